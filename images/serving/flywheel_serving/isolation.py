"""Runs a function in a child process, so that a crash in native code is an outcome and not the end."""

import contextlib
import os
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass

CRASHES = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL})


@dataclass(frozen=True)
class Ended:
    """`signal` names a crash; otherwise `code` is the exit code of the function."""

    code: int
    signal: str | None = None


def run(function: Callable[[], int]) -> Ended:
    """`function`'s exit code, or its crash. SIGTERM is passed on; any other signal that ends the child ends us too."""
    child = os.fork()
    if child == 0:
        _be_child(function)
    before = signal.signal(signal.SIGTERM, lambda number, _frame: os.kill(child, number))
    _, status = os.waitpid(child, 0)
    signal.signal(signal.SIGTERM, before)
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return Ended(code)
    number = signal.Signals(-code)
    if number in CRASHES:
        return Ended(code, number.name)
    # Out of memory or stopped from outside: whoever watches this process must see that signal, not an exit code.
    with contextlib.suppress(OSError):  # SIGKILL has no handler to reset
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    return Ended(128 + number)


def _be_child(function: Callable[[], int]) -> None:
    code = 1
    try:
        code = function()
    except Exception:  # noqa: BLE001  the traceback is printed, and the exit code stays 1
        traceback.print_exc()
    finally:
        os._exit(code)

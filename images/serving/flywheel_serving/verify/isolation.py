"""Runs a function in a child process, so that a crash in native code is a result of the function."""

import contextlib
import os
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass

CRASH_SIGNALS = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL})


@dataclass(frozen=True)
class ProcessResult:
    """`signal` names a crash; without one, `code` is the function's result."""

    code: int
    signal: str | None = None


def run(function: Callable[[], int]) -> ProcessResult:
    """`function`'s result, or its crash. SIGTERM is passed on; another signal that ends the child ends this process too."""
    child = os.fork()
    if child == 0:
        _run_child(function)
    before = signal.signal(signal.SIGTERM, lambda number, _frame: os.kill(child, number))
    _, status = os.waitpid(child, 0)
    signal.signal(signal.SIGTERM, before)
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return ProcessResult(code)
    number = signal.Signals(-code)
    if number in CRASH_SIGNALS:
        return ProcessResult(code, number.name)
    # Out of memory, or stopped from outside: the parent of this process must see that signal, not an exit code.
    with contextlib.suppress(OSError):  # SIGKILL has no handler to reset
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    return ProcessResult(128 + number)


def _run_child(function: Callable[[], int]) -> None:
    code = 1
    try:
        code = function()
    except Exception:  # noqa: BLE001  the traceback is printed, and the exit code stays 1
        traceback.print_exc()
    finally:
        os._exit(code)

"""Why main failed, or never started, read as the operator reads it from the termination messages, which collect cannot see."""

import json
from pathlib import Path

from flywheel_runtime.commands.collect.logged_files import read_file
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.processes import SIGNAL_EXIT_BASE

KILLED = "Killed"
# SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS: a fault of the program itself; no other process sends these.
CRASH_EXIT_CODES = frozenset(SIGNAL_EXIT_BASE + number for number in (4, 6, 7, 8, 11, 31))


def exit_failure(exit_code: int | None, report: Path) -> Failure | None:
    """The failure of a main with this exit code, for which it may have left a report; None for 0 and where the code is not known."""
    if not exit_code:
        return None
    if exit_code > SIGNAL_EXIT_BASE and exit_code not in CRASH_EXIT_CODES:
        return Failure(KILLED, f"main was ended by signal {exit_code - SIGNAL_EXIT_BASE}")
    return reported_failure(report) or Failure(f"ExitCode{exit_code}", f"main ended with exit code {exit_code}")


def reported_failure(report: Path) -> Failure | None:
    """The failure in a termination message that a container left as a file too; None without one."""
    try:
        found = json.loads(read_file(report) or b"null")
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("reason"), str):
        return None
    return Failure(found["reason"], str(found.get("message") or ""))

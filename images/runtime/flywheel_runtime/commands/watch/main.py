"""The command `watch`: stop main at its timeout or on request, measure it, and at its end let collect read what it left."""

import os
import signal
import sys
from collections.abc import Mapping

from flywheel_runtime.commands.watch.main_guard import MIN_WAIT_FOR_MAIN_SECONDS, MainGuard
from flywheel_runtime.commands.watch.readable_files import make_readable
from flywheel_runtime.contract.config.watch import WatchConfig, WatchReport
from flywheel_runtime.contract.paths import Paths


def main(env: Mapping[str, str] = os.environ) -> int:
    """0 when main has ended, and then there is a report; 0 without one when the pod ends before main has started."""
    paths = Paths.from_env(env)
    config = WatchConfig.parse(env.get("FLYWHEEL_WATCH") or "{}")
    guard = MainGuard(config.timeout_seconds, config.grace_seconds, paths)
    # A pod that is deleted gets main's SIGTERM too, so the end of main is what is waited for.
    signal.signal(signal.SIGTERM, lambda _number, _frame: guard.pod_ends())
    guard.run(max(MIN_WAIT_FOR_MAIN_SECONDS, config.hold_seconds))
    if not guard.main_ended:
        return 0
    changed = make_readable(paths.outputs) + make_readable(paths.checkpoints)
    report = WatchReport(guard.timed_out, guard.usage).encode()
    sys.stderr.write(f"main has ended; {changed} files and folders were made readable; {report}\n")
    part = paths.watch_report.with_name(".report")
    part.write_text(report)
    part.rename(paths.watch_report)
    guard.hold(config.hold_seconds)
    return 0

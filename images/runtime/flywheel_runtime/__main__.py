"""`python3 -m flywheel_runtime COMMAND`; the commands are the keys of MODULES.

Each imports only what it needs, since three of them start in every pod.
"""

import gc
import importlib
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

MODULES = {
    "fetch": "flywheel_runtime.commands.fetch.main",
    "collect": "flywheel_runtime.commands.collect.main",
    "watch": "flywheel_runtime.commands.watch.main",
    "check": "flywheel_runtime.commands.check.main",
    "check-features": "flywheel_runtime.commands.check_features",
    "prepare": "flywheel_runtime.commands.prepare.main",
    "train": "flywheel_runtime.commands.train.main",
    "evaluate": "flywheel_runtime.commands.evaluate.main",
    "package": "flywheel_runtime.commands.package",
    "notify": "flywheel_runtime.commands.notify",
    "compare": "flywheel_runtime.commands.compare",
    "triton": "flywheel_runtime.commands.triton",
    "quantize": "flywheel_runtime.commands.quantize",
    "judge": "flywheel_runtime.commands.canary_analysis.main",
    "ab-test": "flywheel_runtime.commands.ab_test.main",
    "gates": "flywheel_runtime.commands.gates.main",
    "monitor": "flywheel_runtime.commands.monitor.main",
    "promote": "flywheel_runtime.commands.promote",
    "audit": "flywheel_runtime.commands.audit",
    "check-rowwise": "flywheel_runtime.commands.check_rowwise",
    "batch-plan": "flywheel_runtime.commands.batch.first_pod",
    "batch-score": "flywheel_runtime.commands.batch.score",
    "batch-finish": "flywheel_runtime.commands.batch.finish",
}

OBJECTS_BETWEEN_COLLECTIONS = 50_000
SIGNAL_EXIT_BASE = 128  # a shell's convention


def main(arguments: list[str]) -> int:
    """Run one command; its module's `main()` returns the exit code."""
    if len(arguments) != 1 or arguments[0] not in MODULES:
        sys.stderr.write(f"usage: python3 -m flywheel_runtime {'|'.join(MODULES)}\n")
        return 2
    if os.getpid() == 1:
        # The kernel passes SIGTERM on to process 1 only where it has a handler: a pod would wait for its whole grace period.
        signal.signal(signal.SIGTERM, _stop)
    # Imports make many objects and no garbage: Python would search them all for it, which is a tenth of a short command.
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    return int(importlib.import_module(MODULES[arguments[0]]).main())


def _stop(number: int, _frame: FrameType | None) -> None:
    os._exit(SIGNAL_EXIT_BASE + number)


def _exit(code: int) -> NoReturn:
    """End at once. Python would search all objects once more, and destroy modules in an order in which some report leaks to the log."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _exit(main(sys.argv[1:]))

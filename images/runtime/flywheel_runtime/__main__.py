"""`python3 -m flywheel_runtime COMMAND`; the commands are the keys of MODULES.

Each imports only what it needs, since two of them start in every pod.
"""

import importlib
import sys

MODULES = {
    "fetch": "flywheel_runtime.fetch.main",
    "collect": "flywheel_runtime.collect.main",
    "check": "flywheel_runtime.steps.check",
    "prepare": "flywheel_runtime.steps.prepare.main",
    "train": "flywheel_runtime.steps.train",
    "evaluate": "flywheel_runtime.steps.evaluate.main",
    "package": "flywheel_runtime.steps.package",
    "notify": "flywheel_runtime.steps.notify",
    "compare": "flywheel_runtime.steps.compare",
    "triton": "flywheel_runtime.triton.main",
    "quantize": "flywheel_runtime.quantize.main",
    "judge": "flywheel_runtime.steps.judge.main",
    "gates": "flywheel_runtime.gates.main",
    "promote": "flywheel_runtime.audit.promote",
    "audit": "flywheel_runtime.audit.main",
    "batch-plan": "flywheel_runtime.batch.plan",
    "batch-score": "flywheel_runtime.batch.score",
    "batch-finish": "flywheel_runtime.batch.finish",
}


def main(arguments: list[str]) -> int:
    """Run one command; its module's `main()` returns the exit code."""
    if len(arguments) != 1 or arguments[0] not in MODULES:
        sys.stderr.write(f"usage: python3 -m flywheel_runtime {'|'.join(MODULES)}\n")
        return 2
    return int(importlib.import_module(MODULES[arguments[0]]).main())


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

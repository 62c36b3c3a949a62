"""The entry of a trial: its first log line at once, threads before any library counts cores, then fit.py."""

import os

from flywheel_runtime.contract import cgroup, step


def main() -> int:
    """Run a trial in FLYWHEEL_ROOT; 0 when a model was written, 1 when its parameters do not work, 2 when none could."""
    step.log_line(" ".join(filter(None, ("trial", os.environ.get("FLYWHEEL_STEP"), "started"))))
    # OpenMP's threads spin while they wait: where trials share cores without a CPU limit, two threads each made a fit
    # of 6 s take 55 s (measured). So one thread, unless the limit grants more.
    for library in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(library, str(cgroup.cpu_limit(without_limit=1)))
    from flywheel_runtime.commands.train import fit

    return step.run_step(fit.train)

"""Measure pipelines.

python -m e2e.bench.pipeline             both, about 6 minutes; the development cluster must stand (make up images deploy)
python -m e2e.bench.pipeline --kept      memory alone, which needs no cluster
"""

import argparse
import sys

from e2e.bench import targets
from e2e.bench.pipeline import chain, retained_runs
from e2e.bench.targets import Figures, Target

RUNS = 1000


def targets_of(found: dict[str, Figures]) -> list[Target]:
    """Of those figures that were measured."""
    checked: list[Target] = []
    if "chain" in found:
        checked.append(
            Target(
                "20 steps in a chain: end of one to start of the next, p50",
                found["chain"]["overhead_p50_seconds"],
                1.5,
                "s",
            )
        )
        checked.append(Target("the same run again, all from the cache", found["cached"]["seconds"], 3, "s"))
        checked.append(Target("its pods", found["cached"]["pods"], 0))
    if "kept" in found:
        checked.append(
            Target(f"{RUNS:,} TrainingRuns kept: peak RSS of the operator", found["kept"]["rss_peak_mib"], 200, "MiB")
        )
    return checked


def main() -> int:
    """Return 0 if every target is met."""
    parser = argparse.ArgumentParser(prog="python -m e2e.bench.pipeline", description=__doc__.partition("\n")[0])
    parser.add_argument("--kept", action="store_true", help="memory with a thousand runs alone; writes no result")
    options = parser.parse_args()
    found: dict[str, Figures] = {} if options.kept else chain.measure_chain()
    found["kept"] = retained_runs.measure_retained_runs(RUNS)
    checked = targets_of(found)
    if not options.kept:
        targets.write_results("pipeline", " ".join(("python -m e2e.bench.pipeline", *sys.argv[1:])), found, checked)
    print(found)
    print(targets.format_targets(checked))
    return 0 if all(line.is_met for line in checked) else 1


if __name__ == "__main__":
    sys.exit(main())

"""What monitoring costs, and how soon it finds: `python -m e2e.bench.monitoring`, without a cluster; into `results/monitoring.md`."""

import sys
import tempfile
from pathlib import Path

from e2e.bench import targets
from e2e.bench.monitoring import labelled_rows, roll_ups
from e2e.bench.targets import Target

COMMAND = "make bench-monitoring"


def main() -> int:
    """1 if a promise is not kept."""
    with tempfile.TemporaryDirectory() as folder:
        found = {
            f"{name} of 20 pods and 200 features": each for name, each in roll_ups.measure_parts(Path(folder)).items()
        }
    hour, day, run = found.values()
    with tempfile.TemporaryDirectory() as folder:
        labelled = labelled_rows.measure(Path(folder))
    ours, peer, peer_whole = labelled.values()
    found |= labelled
    speedup = labelled_rows.ROWS / labelled_rows.PEER_ROWS * peer["seconds"] / ours["seconds"]
    checked = [
        Target("an hour of documents: 20 pods, 60 minutes, 200 features", hour["seconds"], 6, "s"),
        Target("a day from 24 roll-ups", day["seconds"], 2, "s"),
        Target("memory of the process that adds a day", day["peak_mib"], 100, "MiB"),
        Target(
            "1,000,000 logged rows of 30 columns read, joined with labels, tested and reported", ours["seconds"], 6, "s"
        ),
        Target("memory of the process that does so", ours["peak_mib"], 500, "MiB"),
        Target(
            "its share of the memory of Evidently's drift preset on all these rows",
            ours["peak_mib"] / peer_whole["peak_mib"],
            0.25,
        ),
        Target("times faster than Evidently's drift preset on 100,000 rows, scaled up", speedup, 20, "", at_least=True),
        Target("the whole run of the hour of documents, with 804 tests and the report", run["seconds"], 30, "s"),
    ]
    targets.write_results("monitoring", COMMAND, found, checked)
    print(targets.format_targets(checked))
    return 0 if all(each.is_met for each in checked) else 1


if __name__ == "__main__":
    sys.exit(main())

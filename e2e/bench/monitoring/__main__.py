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
    ours, peer = labelled.values()
    found |= labelled
    speedup = labelled_rows.ROWS / labelled_rows.PEER_ROWS * peer["seconds"] / ours["seconds"]
    checked = [
        Target("an hour of documents: 20 pods, 60 minutes, 200 features", hour["seconds"], 6, "s"),
        Target("a day from 24 roll-ups", day["seconds"], 2, "s"),
        Target("memory of the process that adds a day", day["peak_mib"], 100, "MiB"),
        Target("a window of 1,000,000 rows of 30 columns, joined with labels and tested", ours["seconds"], 6, "s"),
        Target("memory of the process that does so", ours["peak_mib"], 500, "MiB"),
        Target("times faster than Evidently's drift preset, scaled up", speedup, 20, "", at_least=True),
        Target("the whole run of that hour, with 804 tests and the report", run["seconds"], 30, "s"),
    ]
    targets.write_results("monitoring", COMMAND, found, checked)
    print(targets.format_targets(checked))
    return 0 if all(each.is_met for each in checked) else 1


if __name__ == "__main__":
    sys.exit(main())

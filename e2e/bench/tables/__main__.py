"""CPU seconds of reading one table as a Dataset and as a batch, by a revision before and by this checkout in turn.

Each reading is a process of its own; of every figure the least of all rounds counts, since other work on the machine only adds.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from e2e.bench.revisions import checkout
from e2e.bench.tables import reading
from e2e.bench.targets import Figures, Target, format_targets, write_results
from e2e.cluster.paths import CHECKOUT
from e2e.cluster.progress import announce

READERS = ("dataset", "batch")
FORMATS = ("CSV", "Parquet")


def main() -> None:
    """Measure, print and write results/tables.json and .md."""
    parser = argparse.ArgumentParser(prog="python -m e2e.bench.tables", description=__doc__)
    parser.add_argument("--before", default="a0162be", help="the revision to compare with")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    figures: dict[str, Figures] = {}
    with (
        tempfile.TemporaryDirectory(prefix="flywheel-bench-") as temporary,
        checkout(args.before, Path(temporary)) as before,
    ):
        reading.write_tables(Path(temporary), args.rows)
        for number in range(args.rounds):
            for format_ in FORMATS:
                for reader in READERS:
                    for name, build in (("before", before), ("after", CHECKOUT)):
                        seconds = _measure(build, reader, Path(temporary) / format_)
                        announce(f"round {number + 1}: {format_} as {reader} {name}: {seconds:.2f} s of CPU")
                        found = figures.setdefault(f"{format_} {reader}", {})
                        found[name] = min(seconds, found.get(name, seconds))
    targets = [_target(format_, reader, figures) for format_ in FORMATS for reader in READERS]
    print(format_targets(targets))
    command = f"python -m e2e.bench.tables --before {args.before} --rows {args.rows} --rounds {args.rounds}"
    write_results("tables", command, figures, targets, reading.NOTE)


def _target(format_: str, reader: str, figures: dict[str, Figures]) -> Target:
    """A reader against the faster one of those before."""
    fastest = min(figures[f"{format_} {each}"]["before"] for each in READERS)
    ratio = figures[f"{format_} {reader}"]["after"] / fastest
    return Target(f"{format_}: CPU of the {reader}, of the faster one before", round(ratio, 2), 1.0)


def _measure(build: Path, reader: str, folder: Path) -> float:
    """CPU seconds of one reading by a build's runtime, without the start of its process."""
    env = {**os.environ, "PYTHONPATH": str(build / "images" / "runtime")}
    command = [sys.executable, reading.__file__, reader, str(folder)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1])["cpu_seconds"])


if __name__ == "__main__":
    main()

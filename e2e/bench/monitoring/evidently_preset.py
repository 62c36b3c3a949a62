"""Evidently's drift preset on two tables of 100,000 rows: `PYTHON -I evidently_preset.py FOLDER`, in an environment with evidently.

FOLDER has reference.csv and current.csv. Seconds (without those of importing and reading) and peak memory are printed as JSON. It runs
without this checkout's packages.
"""

import json
import resource
import sys
import time
from pathlib import Path

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset


def main(folder: Path) -> None:
    """Print the figures of one run of the preset."""
    reference, current = (pd.read_csv(folder / f"{name}.csv") for name in ("reference", "current"))
    definition = DataDefinition(numerical_columns=list(reference.columns))
    before = resource.getrusage(resource.RUSAGE_SELF)
    start = time.perf_counter()
    tables = [Dataset.from_pandas(each, definition) for each in (current, reference)]
    Report([DataDriftPreset()]).run(*tables).dict()
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu_seconds = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    figures = {"seconds": time.perf_counter() - start, "cpu_seconds": cpu_seconds, "peak_mib": used.ru_maxrss / 1024}
    sys.stdout.write(json.dumps({name: round(value, 3) for name, value in figures.items()}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Evidently's drift preset on two tables: `PYTHON -I evidently_preset.py FOLDER current`, in an environment with evidently.

FOLDER has reference.csv and current.csv, or another table's name. Seconds (without those of importing and reading) and peak memory are printed as JSON. It runs
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


def main(folder: Path, table: str) -> None:
    """Print the figures of one run of the preset."""
    reference, current = (pd.read_csv(folder / f"{name}.csv") for name in ("reference", table))
    definition = DataDefinition(numerical_columns=list(reference.columns))
    before = resource.getrusage(resource.RUSAGE_SELF)
    start = time.perf_counter()
    tables = [Dataset.from_pandas(each, definition) for each in (current, reference)]
    Report([DataDriftPreset()]).run(*tables).dict()
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu_seconds = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    figures = {"seconds": time.perf_counter() - start, "cpu_seconds": cpu_seconds, "peak_mib": peak_mib()}
    sys.stdout.write(json.dumps({name: round(value, 3) for name, value in figures.items()}) + "\n")


def peak_mib() -> float:
    """The largest resident memory of this process; getrusage would give that of the process that started it."""
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])

"""Evidently's own answer for 100 windows, beside its formula: `PYTHON -I evidently_windows.py FILE.json`, in an environment with evidently.

FILE.json has {"references": [[…], …], "windows": [[…], …], "reference": [index of each window's]}; the library's drift scores are printed
as JSON. It runs without this checkout's packages.
"""

import json
import sys
from pathlib import Path

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.metrics import ValueDrift

COLUMN = "x"


def main(path: str) -> None:
    """Print {"scores": […]}, one for each window."""
    case = json.loads(Path(path).read_text())
    definition = DataDefinition(numerical_columns=[COLUMN])
    references = [Dataset.from_pandas(pd.DataFrame({COLUMN: each}), definition) for each in case["references"]]
    scores = []
    for values, index in zip(case["windows"], case["reference"], strict=True):
        current = Dataset.from_pandas(pd.DataFrame({COLUMN: values}), definition)
        snapshot = Report([ValueDrift(column=COLUMN)]).run(current, references[index])
        scores.append(float(snapshot.dict()["metrics"][0]["value"]))
    sys.stdout.write(json.dumps({"scores": scores}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])

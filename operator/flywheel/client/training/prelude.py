"""What a trial of fw.train runs around the function. It follows the contract of images/README.md with Python 3.8 and nothing else."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from pathlib import Path
from typing import Any, Callable  # noqa: UP035  # of Python 3.8


class Data:
    """The Dataset: `train`, `validation` and `test` are paths of Parquet files, `target` and `features` name columns."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.train = str(folder / "train.parquet")
        self.validation = str(folder / "validation.parquet")
        self.test = str(folder / "test.parquet")
        file = folder / "schema.json"
        self.schema: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        self.target = self.schema.get("target")
        others = {self.target, self.schema.get("eventTime"), *(self.schema.get("keys") or ())}
        self.features = [each["name"] for each in self.schema.get("columns") or () if each["name"] not in others]


class Run:
    """One trial: `params`, `log(step=1, loss=0.4)` for curves, and `output("model")`, a folder whose files are stored."""

    def __init__(self, folder: Path) -> None:
        file = folder / "params.json"
        self.params: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        self._outputs = folder / "outputs"

    def output(self, name: str) -> Path:
        """Returns the folder of an output."""
        folder = self._outputs / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def log(self, step: int | None = None, **values: Any) -> None:
        """Appends one point to each curve, and prints it. What is not finite is null in the curve."""
        numbers = {name: float(value) for name, value in values.items()}
        shown = [f"{name}={value:.6g}" for name, value in numbers.items()]
        sys.stdout.write(" ".join(shown if step is None else [f"step {step}", *shown]) + "\n")
        sys.stdout.flush()
        now = time.time()
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}Z"
        points = [
            {"step": step, "name": name, "value": value if math.isfinite(value) else None, "time": moment}
            for name, value in numbers.items()
        ]
        with (self._outputs / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write("".join(json.dumps(point) + "\n" for point in points))

    def finish(self, metrics: dict[str, Any]) -> None:
        """Writes the metrics: the last thing that a trial does."""
        numbers = {str(name): float(value) for name, value in metrics.items()}
        for name, value in numbers.items():
            if not math.isfinite(value):
                sys.exit(f"metric '{name}' is {value}; return finite numbers")
        part = self._outputs / ".metrics.json.part"
        part.write_text(json.dumps(numbers), encoding="utf-8")
        part.replace(self._outputs / "metrics.json")


def run_function(function: Callable[..., Any], objective: str, parameters: list[str], special: list[str]) -> None:
    """Calls the function with the trial's parameters, and finishes the trial with what it returns."""
    folder = Path(os.environ.get("FLYWHEEL_ROOT") or "/flywheel")
    run = Run(folder)
    given = {"data": Data(folder / "inputs" / "data"), "run": run}
    found = function(**{name: run.params[name] for name in parameters}, **{name: given[name] for name in special})
    metrics = found if isinstance(found, dict) else {objective: found}
    try:
        numbers = {name: float(value) for name, value in metrics.items()}
    except (TypeError, ValueError):
        sys.exit(f"the function returned {found!r}; return {objective} as a number, or a dictionary of numbers with it")
    if objective not in numbers:
        sys.exit(f"the function returned {', '.join(numbers) or 'no metric'}, but not its objective {objective}")
    run.finish(numbers)

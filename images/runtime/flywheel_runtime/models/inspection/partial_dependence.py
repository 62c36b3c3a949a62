"""Partial dependence: the mean prediction of test rows, all of which are given one value of a column, along its values.

Friedman, "Greedy function approximation", 2001; `sklearn.inspection.partial_dependence`. The file quotes values of the data.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from flywheel_runtime.models.inspection.sample import Sample, draw_sample
from flywheel_runtime.models.onnx_model import OnnxModel
from flywheel_runtime.models.test_set import TestSet
from flywheel_runtime.statistics.metrics import Array

FILE = "partial_dependence.json"
MAX_ROWS = 100
MAX_COLUMNS = 20
GRID_POINTS = 20
PERCENTILES = (0.05, 0.95)
MAX_CATEGORIES = 12
MAX_CLASSES = 10


def measure_partial_dependence(model: OnnxModel, test: TestSet, columns: Sequence[str]) -> dict[str, Any] | None:
    """The document partial_dependence.json of the first 20 of `columns` that have a grid; None without a test row that the model answers.

    `average` has for each of `outputs` the mean prediction at each of `gridValues`: probabilities of the second of two classes, or of
    each of the first 10; else values in the target's unit.
    """
    sample = draw_sample(model, test, MAX_ROWS)
    if not len(sample):
        return None
    grids = {name: grid for name in columns if len(grid := _choose_grid(sample, name)) > 1}
    outputs = [test.classes[number] for number in _class_numbers(test)] if test.classes else ["prediction"]
    features = [
        {
            "name": name,
            "type": test.types[name],
            "gridValues": [value if isinstance(value, str) else float(value) for value in grid.tolist()],
            "average": average,
        }
        for name, grid in list(grids.items())[:MAX_COLUMNS]
        if (average := _average(sample, name, grid))
    ]
    return {
        "v": 1,
        "model": f"sha256:{model.sha256}",
        "testDigest": test.data.schema.get("testDigest"),
        "rows": len(sample),
        "outputs": outputs,
        "features": features,
    }


def _class_numbers(test: TestSet) -> Sequence[int]:
    return [1] if len(test.classes) == 2 else range(min(len(test.classes), MAX_CLASSES))


def _choose_grid(sample: Sample, name: str) -> Array:
    """Values (points,) of the sample: numbers from the 5th to the 95th percentile, or the most frequent categories; of free text none."""
    values = sample.inputs[name].reshape(len(sample), -1)[:, 0]
    if values.dtype.kind == "O":
        frequent = sorted(Counter(values.tolist()).items(), key=lambda each: (-each[1], each[0]))
        return np.array([value for value, count in frequent[:MAX_CATEGORIES] if count > 1], dtype=object)
    distinct = np.unique(values[np.isfinite(values)])
    if len(distinct) <= GRID_POINTS:
        return distinct
    points = np.linspace(*PERCENTILES, GRID_POINTS)
    return np.unique(np.quantile(values[np.isfinite(values)], points, method="inverted_cdf"))


def _average(sample: Sample, name: str, grid: Array) -> list[list[float]]:
    """Mean predictions (outputs, points) of the rows that have a finite answer at every point; empty where no row has."""
    rows = np.tile(np.arange(len(sample)), len(grid))
    repeated = sample.take(rows)
    values = np.repeat(grid, len(sample)).reshape(repeated.inputs[name].shape).astype(sample.inputs[name].dtype)
    predicted, probabilities = sample.model.predict(sample.test, {**repeated.inputs, name: values})
    outputs = probabilities[:, _class_numbers(sample.test)] if sample.test.classes else predicted[:, None]
    answers = outputs.reshape(len(grid), len(sample), -1)
    finite = np.isfinite(answers).all(axis=(0, 2))
    if not finite.any():
        return []
    return [[float(f"{value:.6g}") for value in each] for each in answers[:, finite].mean(axis=1).T]

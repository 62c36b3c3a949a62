"""Permutation importance: by how much a metric becomes worse on test rows when the values of one column are shuffled.

Breiman, "Random Forests", 2001; `sklearn.inspection.permutation_importance`. Of two columns that say the same, either may seem
unimportant, since the model reads the other. The same model and rows give the same numbers, unless the time limit is met.
"""

import time
from typing import Any

import numpy as np

from flywheel_runtime.contract.step import log_line
from flywheel_runtime.models.inspection.sample import Sample, draw_sample
from flywheel_runtime.models.onnx_model import OnnxModel
from flywheel_runtime.models.test_set import TestSet
from flywheel_runtime.statistics.metrics import LESS_IS_BETTER, metric_value, order_metrics

FILE = "permutation_importance.json"
REPEATS = 5
MAX_ROWS, MIN_ROWS = 2_000, 200
MAX_PREDICTED_ROWS = 100_000  # by all shuffles together, above MIN_ROWS for each
TIME_LIMIT_SECONDS = 30.0  # only models of tens of microseconds a row come near it
SEED = 0


def measure_importance(model: OnnxModel, test: TestSet, objective: str) -> dict[str, Any] | None:
    """The document permutation_importance.json, the most important column first; None without a test row that the model answers.

    Importances are in the unit of the metric, greater where the model needs the column more. The metric is `objective`, or the next
    one of the task that the rows define.
    """
    columns = list(model.input_names)
    budgeted = MAX_PREDICTED_ROWS // (REPEATS * max(len(columns), 1))
    sample = draw_sample(model, test, min(max(budgeted, MIN_ROWS), MAX_ROWS))
    if not len(sample):
        return None
    metric, score = _choose_metric(sample, objective)
    drops = _measure_drops(sample, columns, metric, score)
    features = [
        {"name": name, "importance": _round(float(np.mean(found))), "deviation": _round(float(np.std(found)))}
        for name, found in drops.items()
        if found
    ]
    unmeasured = [name for name, found in drops.items() if not found]
    return {
        "v": 1,
        "model": f"sha256:{model.sha256}",
        "testDigest": test.data.schema.get("testDigest"),
        "metric": metric,
        "score": _round(score),
        "rows": len(sample),
        "repeats": max((len(found) for found in drops.values()), default=0),
        "features": sorted(features, key=lambda each: (-each["importance"], each["name"])),
        **({"unmeasured": unmeasured} if unmeasured else {}),
    }


def _choose_metric(sample: Sample, objective: str) -> tuple[str, float]:
    scored = sample.score({})
    values = {name: metric_value(name, scored) for name in order_metrics(sample.test.task, objective)}
    return next(((name, value) for name, value in values.items() if np.isfinite(value)), (objective, float("nan")))


def _measure_drops(sample: Sample, columns: list[str], metric: str, score: float) -> dict[str, list[float]]:
    """How much worse the metric is with each column shuffled, once for each repeat that the time limit has room for."""
    random, sign = np.random.default_rng(SEED), 1 if metric in LESS_IS_BETTER else -1
    drops: dict[str, list[float]] = {name: [] for name in columns}
    end = time.monotonic() + TIME_LIMIT_SECONDS
    for _ in range(REPEATS):
        for name in columns:
            if time.monotonic() > end:
                log_line(f"warning: importance is measured in part: {TIME_LIMIT_SECONDS:g} s are over")
                return drops
            values = sample.inputs[name]
            drop = sign * (metric_value(metric, sample.score({name: values[random.permutation(len(values))]})) - score)
            if np.isfinite(drop):
                drops[name].append(drop)
    return drops


def _round(value: float) -> float:
    return float(f"{value:.6g}")

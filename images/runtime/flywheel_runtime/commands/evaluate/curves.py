"""ROC, precision and recall, and reliability: for each class against the rest, or for numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flywheel_runtime.commands.evaluate.intervals import Judged
from flywheel_runtime.statistics.curves import roc_points

Array = NDArray[Any]
POINTS = 101
BINS = 10
MOST_CLASSES = 10


def of_classes(judged: Judged, classes: list[str]) -> dict[str, Any]:
    """The curves of each class (of two classes the second alone), at most 10; none of a class that all rows or no row has."""
    shown = list(enumerate(classes))[1:] if len(classes) == 2 else list(enumerate(classes))[:MOST_CLASSES]
    found = {}
    for number, name in shown:
        is_class = (judged.y == number).astype(int)
        score = judged.probabilities[:, number]
        if 0 < is_class.sum() < len(is_class):
            found[name] = {
                "roc": roc_points(is_class, score),
                "precisionRecall": _precision_recall(is_class, score),
                "reliability": reliability(is_class, score),
            }
    return found


def _precision_recall(is_class: Array, score: Array) -> dict[str, list[float]]:
    from sklearn.metrics import precision_recall_curve

    precision, recall, thresholds = precision_recall_curve(is_class, score)
    picked = np.unique(np.linspace(0, len(thresholds) - 1, POINTS).astype(int))
    points = {"precision": precision, "recall": recall, "thresholds": thresholds}
    return {name: [round(float(value), 6) for value in values[picked]] for name, values in points.items()}


def reliability(is_class: Array, score: Array) -> dict[str, Any]:
    """Ten bins of equal width: how often it was true where the model said so much, and the expected calibration error.

    The error is the mean of |true - said| over the bins, weighted by their rows (Guo and others, 2017, On Calibration of
    Modern Neural Networks, equation 3).
    """
    bins = np.minimum((np.clip(score, 0, 1) * BINS).astype(int), BINS - 1)
    rows = np.bincount(bins, minlength=BINS)
    filled = rows > 0
    said = np.bincount(bins, weights=score, minlength=BINS)[filled] / rows[filled]
    true = np.bincount(bins, weights=is_class, minlength=BINS)[filled] / rows[filled]
    error = float(np.sum(np.abs(true - said) * rows[filled]) / len(score))
    return {
        "said": [round(float(value), 6) for value in said],
        "true": [round(float(value), 6) for value in true],
        "rows": rows[filled].tolist(),
        "expectedCalibrationError": round(error, 6),
    }


def of_numbers(judged: Judged) -> dict[str, Any]:
    """Ten bins of the predictions with equal rows: mean said and true; and quantiles of the error, predicted - actual."""
    order = np.argsort(judged.label, kind="stable")
    parts = [part for part in np.array_split(order, BINS) if len(part)]
    points = np.linspace(0, 1, 11)
    errors = np.quantile(judged.label - judged.y, points)
    return {
        "reliability": {
            "said": [float(f"{judged.label[part].mean():.9g}") for part in parts],
            "true": [float(f"{judged.y[part].mean():.9g}") for part in parts],
            "rows": [len(part) for part in parts],
        },
        "errors": {"quantiles": points.round(2).tolist(), "values": [float(f"{value:.9g}") for value in errors]},
    }

"""The curves of a report: ROC, precision and recall, and reliability for classes; reliability and errors for values."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flywheel_runtime.statistics.calibration import CALIBRATION_BINS, reliability
from flywheel_runtime.statistics.curves import precision_recall_points, roc_points
from flywheel_runtime.statistics.metrics import ScoredRows

Array = NDArray[Any]
VALUE_BINS = 10
MAX_CLASSES = 10


def class_curves(scored: ScoredRows, classes: list[str]) -> dict[str, Any]:
    """The curves of each class (of two classes the second alone), at most 10; none of a class that all rows or no row has."""
    numbers = [1] if scored.is_binary else range(min(len(classes), MAX_CLASSES))
    curves = {}
    for number in numbers:
        is_class, probability = (scored.truth == number).astype(int), scored.probabilities[:, number]
        if 0 < is_class.sum() < len(is_class):
            curves[classes[number]] = {
                "roc": roc_points(is_class, probability),
                "precisionRecall": precision_recall_points(is_class, probability),
                "reliability": _reliability(is_class, probability),
            }
    return curves


def _reliability(is_class: Array, probability: Array) -> dict[str, Any]:
    found = reliability(is_class, probability)
    return {
        "bins": CALIBRATION_BINS,
        "said": [round(float(value), 6) for value in found.mean_probability],
        "true": [round(float(value), 6) for value in found.observed_rate],
        "rows": found.rows.tolist(),
        "expectedCalibrationError": round(found.error, 6),
    }


def value_curves(scored: ScoredRows) -> dict[str, Any]:
    """Mean predicted and true value in ten bins of equal rows, and quantiles of the error, predicted - true; in the target's unit."""
    order = np.argsort(scored.predicted, kind="stable")
    bins = [rows for rows in np.array_split(order, VALUE_BINS) if len(rows)]
    points = np.linspace(0, 1, 11)
    errors = np.quantile(scored.predicted - scored.truth, points)
    return {
        "reliability": {
            "said": [float(f"{scored.predicted[rows].mean():.9g}") for rows in bins],
            "true": [float(f"{scored.truth[rows].mean():.9g}") for rows in bins],
            "rows": [len(rows) for rows in bins],
        },
        "errors": {"quantiles": points.round(2).tolist(), "values": [float(f"{value:.9g}") for value in errors]},
    }

"""Curves of a classifier's scores, thinned for a report."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
MAX_POINTS = 101
DECIMALS = 6


def roc_points(is_true: Array, score: Array) -> dict[str, list[float]]:
    """At most 101 points of the ROC curve of `score` (rows,) for `is_true` (rows,), 0 or 1."""
    from sklearn.metrics import roc_curve

    false_positives, true_positives, thresholds = roc_curve(is_true, score)
    # scikit-learn's first threshold is infinite: no row is called positive.
    return _thin(len(thresholds), fpr=false_positives, tpr=true_positives, thresholds=np.minimum(thresholds, 1.0))


def precision_recall_points(is_true: Array, score: Array) -> dict[str, list[float]]:
    """At most 101 points of the curve of precision and recall of `score` (rows,) for `is_true` (rows,), 0 or 1."""
    from sklearn.metrics import precision_recall_curve

    precision, recall, thresholds = precision_recall_curve(is_true, score)
    return _thin(len(thresholds), precision=precision, recall=recall, thresholds=thresholds)


def _thin(count: int, **curve: Array) -> dict[str, list[float]]:
    points = np.unique(np.linspace(0, count - 1, MAX_POINTS).astype(int))
    return {name: [round(float(value), DECIMALS) for value in values[points]] for name, values in curve.items()}

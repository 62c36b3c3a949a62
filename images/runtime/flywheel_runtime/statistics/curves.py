"""Curves of a classifier's scores, thinned for a report."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
MAX_POINTS = 101
DECIMALS = 6
ABOVE_PROBABILITIES = 1 + 10**-DECIMALS


def roc_points(is_true: Array, score: Array) -> dict[str, list[float]]:
    """At most 101 points of the ROC curve of `score` (rows,), probabilities, for `is_true` (rows,), 0 or 1.

    The first point is (0, 0): no row is called positive. Its threshold is 1.000001, above each probability.
    """
    from sklearn.metrics import roc_curve

    false_positives, true_positives, thresholds = roc_curve(is_true, score)
    thresholds[0] = ABOVE_PROBABILITIES  # scikit-learn's is infinite, which JSON has no number for
    return _thin(len(thresholds), fpr=false_positives, tpr=true_positives, thresholds=thresholds)


def precision_recall_points(is_true: Array, score: Array) -> dict[str, list[float]]:
    """At most 101 points of the curve of precision and recall of `score` (rows,) for `is_true` (rows,), 0 or 1.

    Each point has a threshold; scikit-learn's last one, recall 0 and precision 1 by convention, has none and is left out.
    """
    from sklearn.metrics import precision_recall_curve

    precision, recall, thresholds = precision_recall_curve(is_true, score)
    return _thin(len(thresholds), precision=precision, recall=recall, thresholds=thresholds)


def _thin(count: int, **curve: Array) -> dict[str, list[float]]:
    points = np.unique(np.linspace(0, count - 1, MAX_POINTS).astype(int))
    return {name: [round(float(value), DECIMALS) for value in values[points]] for name, values in curve.items()}

"""Curves of a classifier's scores."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
ROC_POINTS = 101


def roc_points(y: Array, score: Array) -> dict[str, list[float]]:
    """At most 101 points of the ROC curve of scores (rows,) against answers 0 and 1 (rows,)."""
    from sklearn.metrics import roc_curve

    false, true, thresholds = roc_curve(y, score)
    picked = np.unique(np.linspace(0, len(false) - 1, ROC_POINTS).astype(int))
    # The first threshold is infinite by convention: nothing is called positive.
    thresholds = np.minimum(thresholds, 1.0)
    points = {"fpr": false, "tpr": true, "thresholds": thresholds}
    return {name: [round(float(v), 6) for v in values[picked]] for name, values in points.items()}

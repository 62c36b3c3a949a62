"""Rows to which a model gave no finite answer. They have failed: they are counted, and no metric is computed from them."""

import numpy as np
from numpy.typing import NDArray

from flywheel_runtime.statistics.metrics import ScoredRows


def find_answered(scored: ScoredRows) -> NDArray[np.bool_]:
    """Whether each row (rows,) has a finite prediction and, where classes are predicted, finite probabilities."""
    finite: NDArray[np.bool_] = np.isfinite(scored.predicted.astype(float))
    finite &= np.isfinite(scored.probabilities.astype(float)).all(axis=1)
    return finite

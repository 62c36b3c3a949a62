"""The constant prediction that a model has to beat: scikit-learn's DummyClassifier and DummyRegressor."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from flywheel_runtime.statistics.metrics import Array, ScoredRows

Strategy = Literal["prior", "mean", "median"]
BEST_BY_MEDIAN = frozenset(("mae", "mape"))


@dataclass(frozen=True)
class Dummy:
    """A prediction that is the same for every row: `constant` (classes,) holds the prior of each class, or (1,) a value."""

    strategy: Strategy
    constant: Array

    def score(self, y_true: Array) -> ScoredRows:
        """Rows with the true targets `y_true` (rows,) and this prediction."""
        if self.strategy != "prior":
            return ScoredRows(y_true, np.full(len(y_true), self.constant[0]), np.empty((len(y_true), 0)))
        predicted = np.full(len(y_true), self.constant.argmax())
        return ScoredRows(y_true, predicted, np.tile(self.constant, (len(y_true), 1)))


def fit_dummy(metric: str, y_true: Array, classes: int) -> Dummy:
    """The constant for `metric` from train rows: the prior of class numbers `y_true` (rows,), or the mean or median of values (`classes` 0)."""
    if classes:
        counts = np.bincount(y_true.astype(np.int64), minlength=classes)
        return Dummy("prior", counts / counts.sum())
    if metric in BEST_BY_MEDIAN:
        return Dummy("median", np.array([np.median(y_true)]))
    return Dummy("mean", np.array([np.mean(y_true)]))

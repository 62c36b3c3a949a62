"""A network of scikit-learn that learns the target in units of its standard deviation."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neural_network import MLPRegressor

Array = NDArray[Any]


class StandardizedTargetMLPRegressor(MLPRegressor):  # type: ignore[misc]
    """An MLPRegressor fitted to the standardized target, which predicts the target itself.

    scikit-learn's takes the target as it is; of one in thousands, the first epochs learn little but its mean. The last layer adds up without
    an activation, so that mean and deviation become part of its weights, and the exported model is that of any MLPRegressor.
    """

    def fit(self, x: Array, y: Array) -> "StandardizedTargetMLPRegressor":
        """Fit to rows `x` (rows, columns) and their targets `y` (rows,)."""
        mean, deviation = float(np.mean(y)), float(np.std(y)) or 1.0
        super().fit(x, (y - mean) / deviation)
        self.coefs_[-1] = self.coefs_[-1] * deviation
        self.intercepts_[-1] = self.intercepts_[-1] * deviation + mean
        return self

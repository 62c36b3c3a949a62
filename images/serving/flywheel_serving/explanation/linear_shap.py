"""Contributions to a linear model, exactly: coefficient times the distance of a value from its mean in training."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flywheel_serving.explanation.errors import NotExplained

Array = NDArray[Any]


class LinearShap:
    """Contributions by a node LinearClassifier or LinearRegressor to its outputs before `post_transform`.

    `base` (outputs,) is the output at the means (columns,) of the training rows.
    """

    def __init__(self, node: Any, means: Array) -> None:
        attributes = {bytes(attribute.name): attribute for attribute in node.attribute}
        coefficients = np.array(attributes[b"coefficients"].floats, dtype=np.float64)
        if coefficients.size % len(means):
            raise NotExplained("ColumnsDiffer", "its coefficients are not one for each column of explanation.json")
        self._coefficients, self._means = coefficients.reshape(-1, len(means)), means
        intercepts = np.array(attributes[b"intercepts"].floats if b"intercepts" in attributes else [], dtype=np.float64)
        self.base: Array = (intercepts if intercepts.size else 0.0) + self._coefficients @ means

    def shap_values(self, matrix: Array) -> Array:
        """Contributions (rows, outputs, columns) of a matrix (rows, columns)."""
        found: Array = (matrix.astype(np.float64) - self._means)[:, None, :] * self._coefficients
        return found

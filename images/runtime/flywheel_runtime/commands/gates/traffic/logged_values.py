"""Columns of the log as arrays."""

from typing import Any

import numpy as np

from flywheel_runtime.contract.errors import Unmeasurable
from flywheel_runtime.statistics.metrics import Array


def read_values(values: Any) -> Array:
    """A column of DuckDB: text without a value is empty, a number without one is not a number, and lists (rows, values) are side by side."""
    array = np.ma.asarray(values)
    if array.dtype.kind == "O":
        filled = np.ma.filled(array, "")
        if len(filled) and not isinstance(filled[0], str) and hasattr(filled[0], "__len__"):
            return _stack_lists(filled)
        return np.asarray(filled, object)
    if np.ma.is_masked(array):
        return np.asarray(np.ma.filled(array.astype(np.float64), np.nan))
    return np.asarray(array)


def _stack_lists(values: Array) -> Array:
    """Lists of one length side by side. Raises Unmeasurable where their lengths differ."""
    if len({len(each) for each in values}) > 1:
        raise Unmeasurable("a column of the log has lists of several lengths, which one call of the model cannot take")
    return np.array([list(each) for each in values.tolist()])

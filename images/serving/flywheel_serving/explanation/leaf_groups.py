"""Leaves of trees as arrays: those with about as many conditions are computed together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flywheel_serving.explanation.tree_paths import Condition, Leaf

Array = NDArray[Any]
WIDTHS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 48, 64, 96, 128)
CHUNK_LEAVES = 4_096
ANY_VALUE = Condition()  # adds nothing and changes nothing: it fills rows of fewer conditions
LEAST = np.finfo(np.float32).min


@dataclass(frozen=True)
class LeafGroup:
    """Of each condition (width, leaves) its column, bounds, whether a missing value meets it, and its share of training rows; of each leaf
    its values (leaves, outputs)."""

    columns: Array
    low: Array
    high: Array
    missing: Array
    share: Array
    values: Array

    @classmethod
    def build(cls, leaves: Sequence[Leaf], width: int) -> "LeafGroup":
        filled = [[*leaf.conditions.items(), *[(0, ANY_VALUE)] * (width - len(leaf.conditions))] for leaf in leaves]
        columns = np.array([[column for column, _ in each] for each in filled], dtype=np.intp).T
        share, low, high, missing = (
            np.array([[getattr(condition, name) for _, condition in each] for each in filled]).T
            for name in ("share", "low", "high", "missing")
        )
        return cls(
            np.ascontiguousarray(columns),
            np.ascontiguousarray(low, dtype=np.float32),
            np.ascontiguousarray(high, dtype=np.float32),
            np.ascontiguousarray(missing),
            share,
            np.array([leaf.values for leaf in leaves]),
        )

    def is_met(self, row: Array) -> Array:
        """Which conditions (width, leaves) a row (columns,) of `clip_infinite` meets."""
        value = row[self.columns]
        is_met: Array = (value > self.low) & (value <= self.high)
        is_missing = np.isnan(value)
        return np.where(is_missing, self.missing, is_met) if is_missing.any() else is_met

    def add_to(self, found: Array, shares: Array) -> None:
        """Add to `found` (outputs, columns) the leaves' values times what each condition (width, leaves) contributes."""
        columns = self.columns.ravel()
        for output in range(found.shape[0]):
            added = (shares * self.values[:, output]).ravel()
            found[output] += np.bincount(columns, added, minlength=found.shape[1])


def clip_infinite(matrix: Array) -> Array:
    """Rows of 32-bit floats: -inf goes the way of the least number, NaN stays."""
    return np.maximum(matrix, LEAST)


def group_leaves(leaves: Sequence[Leaf]) -> Iterator[tuple[LeafGroup, int]]:
    """Groups of leaves, each with the number of conditions to which they are filled."""
    lower = 0
    deepest = max((len(leaf.conditions) for leaf in leaves), default=0)
    for width in (*(width for width in WIDTHS if width < deepest), deepest):
        chosen = [leaf for leaf in leaves if lower < len(leaf.conditions) <= width and leaf.values.any()]
        for start in range(0, len(chosen), CHUNK_LEAVES):
            yield LeafGroup.build(chosen[start : start + CHUNK_LEAVES], width), width
        lower = width

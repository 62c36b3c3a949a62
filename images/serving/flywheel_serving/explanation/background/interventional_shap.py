"""Interventional TreeSHAP: exact Shapley values of trees without covers, where columns that are not known have the values of kept rows.

Lundberg et al., "From local explanations to global understanding with explainable AI for trees", 2020 (interventional feature
perturbation). For one kept row a leaf counts for a set of columns if each of its conditions is met by the explained row's value where the
column is in the set, and by the kept row's where it is not. With `a` conditions that only the explained row meets, `b` that only the kept
row meets, and none that neither does, its value times

    (a - 1)! b! / (a + b)!   goes to each column of the first,
    - a! (b - 1)! / (a + b)! to each column of the second.
"""

from math import factorial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flywheel_serving.explanation.errors import NotExplained
from flywheel_serving.explanation.leaf_groups import LeafGroup, clip_infinite, group_leaves
from flywheel_serving.explanation.tree_paths import TreeEnsemble

Array = NDArray[Any]
MAX_COMPARED = 40_000_000  # conditions times kept rows: that many bytes, and about as many nanoseconds a row


class InterventionalShap:
    """Contributions by an ensemble of trees to its outputs before `post_transform`; `base` (outputs,) is the mean output of the kept rows."""

    def __init__(self, ensemble: TreeEnsemble, background: Array) -> None:
        """`background` (rows, columns) are the kept rows. Raises NotExplained if the trees are too large for them."""
        conditions = sum(len(leaf.conditions) for leaf in ensemble.leaves)
        if conditions * len(background) > MAX_COMPARED:
            message = f"its trees have {conditions:,} conditions, too many for {len(background)} kept rows"
            raise NotExplained("TreesTooLarge", message)
        background = clip_infinite(background.astype(np.float32))
        self._columns = background.shape[1]
        self._groups = [_ComparedGroup(group, width, background) for group, width in group_leaves(ensemble.leaves)]
        constant = sum((leaf.values for leaf in ensemble.leaves if not leaf.conditions), np.zeros(ensemble.outputs))
        self.base: Array = (
            ensemble.base_values
            + constant
            + sum((group.mean_output for group in self._groups), np.zeros(ensemble.outputs))
        )

    def shap_values(self, matrix: Array) -> Array:
        """Contributions (rows, outputs, columns) of a matrix (rows, columns) of 32-bit floats."""
        found = np.zeros((len(matrix), len(self.base), self._columns))
        for row, contributions in zip(clip_infinite(matrix), found, strict=True):
            for group in self._groups:
                group.add_contributions(row, contributions)
        return found


class _ComparedGroup:
    """Leaves, and which of their conditions each kept row meets (rows, width, leaves)."""

    def __init__(self, group: LeafGroup, width: int, background: Array) -> None:
        self._group = group
        self._background_meets = np.stack([group.is_met(row) for row in background])
        self.mean_output: Array = self._background_meets.all(axis=1).mean(axis=0) @ group.values
        sizes = range(width + 1)
        self._gains = np.array(
            [[factorial(a - 1) * factorial(b) / factorial(a + b) if a else 0.0 for b in sizes] for a in sizes]
        )

    def add_contributions(self, row: Array, found: Array) -> None:
        """Add to `found` (outputs, columns) what these leaves give for a row (columns,) of 32-bit floats."""
        row_meets, background_meets = self._group.is_met(row), self._background_meets
        gaining, losing = row_meets & ~background_meets, background_meets & ~row_meets
        is_reached = (row_meets | background_meets).all(axis=1)
        gains, losses = gaining.sum(axis=1), losing.sum(axis=1)
        per_gain = np.where(is_reached, self._gains[gains, losses], 0.0)
        per_loss = np.where(is_reached, self._gains[losses, gains], 0.0)
        shares = np.einsum("rwl,rl->wl", gaining, per_gain) - np.einsum("rwl,rl->wl", losing, per_loss)
        self._group.add_to(found, shares / len(background_meets))

"""Path-dependent TreeSHAP: the Shapley values of the columns of one row, with the covers of the trees as the distribution of the rest.

Lundberg et al., "From local explanations to global understanding with explainable AI for trees", 2020. A leaf with the conditions D adds
to column j, with o = 1 where the row meets a condition and z the share of training rows that do,

    value * (o_j - z_j) * sum over subsets S of D without j of |S|! (|D| - 1 - |S|)! / |D|! * prod_S o * prod_not_S z.

Since |S|! (|D| - 1 - |S|)! / |D|! is the integral of t^|S| (1 - t)^(|D| - 1 - |S|) over [0, 1], the sum is the integral of the product of
t o + (1 - t) z over the other conditions: a polynomial, which Gauss-Legendre's rule of ceil(|D| / 2) points integrates exactly. So all
leaves are computed at once, without the recursion over paths.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flywheel_serving.explanation.tree_paths import Condition, Leaf, TreeEnsemble

Array = NDArray[Any]
WIDTHS = (
    1,
    2,
    3,
    4,
    5,
    6,
    8,
    10,
    12,
    16,
    24,
    32,
    48,
    64,
    96,
    128,
)  # leaves with as many conditions are computed together
CHUNK_LEAVES = 4_096
ANY_VALUE = Condition()  # adds nothing and changes nothing: it fills rows of fewer conditions


@dataclass(frozen=True)
class _Leaves:
    """Leaves with at most `width` conditions: of each condition (width, leaves) its column, bounds, and share; of each leaf its values.

    `met` and `unmet` (points, width, leaves) are the factors t + (1 - t) z and (1 - t) z; `met_weights` and `unmet_weights` are the
    weight of the point, times 1 - z or -z, over the factor.
    """

    columns: Array
    low: Array
    high: Array
    missing: Array
    met: Array
    unmet: Array
    met_weights: Array
    unmet_weights: Array
    values: Array

    @classmethod
    def build(cls, leaves: Sequence[Leaf], width: int) -> "_Leaves":
        filled = [[*leaf.conditions.items(), *[(0, ANY_VALUE)] * (width - len(leaf.conditions))] for leaf in leaves]
        columns = np.array([[column for column, _ in each] for each in filled], dtype=np.intp).T
        share, low, high, missing = (
            np.array([[getattr(condition, name) for _, condition in each] for each in filled]).T
            for name in ("share", "low", "high", "missing")
        )
        nodes, weights = np.polynomial.legendre.leggauss(-(-width // 2))
        t, weight = ((nodes + 1) / 2)[:, None, None], (weights / 2)[:, None, None]
        met, unmet = t + (1 - t) * share, (1 - t) * share
        return cls(
            np.ascontiguousarray(columns),
            np.ascontiguousarray(low, dtype=np.float32),
            np.ascontiguousarray(high, dtype=np.float32),
            np.ascontiguousarray(missing),
            met,
            unmet,
            weight * (1 - share) / met,
            -weight * share / unmet,
            np.array([leaf.values for leaf in leaves]),
        )

    def add_contributions(self, row: Array, found: Array) -> None:
        """Add to `found` (outputs, columns) what these leaves give for a row (columns,) of 32-bit floats."""
        value = row[self.columns]
        is_met = (value > self.low) & (value <= self.high)
        is_missing = np.isnan(value)
        if is_missing.any():
            is_met = np.where(is_missing, self.missing, is_met)
        products = np.multiply.reduce(np.where(is_met, self.met, self.unmet), axis=1)
        weights = np.where(is_met, self.met_weights, self.unmet_weights)
        shares = np.einsum("pl,pcl->cl", products, weights)
        columns = self.columns.ravel()
        for output in range(found.shape[0]):
            added = (shares * self.values[:, output]).ravel()
            found[output] += np.bincount(columns, added, minlength=found.shape[1])


class TreeShap:
    """Contributions by an ensemble of trees to its outputs before ONNX's `post_transform`.

    `base` (outputs,) is the expected output over the training rows.
    """

    def __init__(self, ensemble: TreeEnsemble, columns: int) -> None:
        self._columns = columns
        self._groups = list(_group_leaves(ensemble.leaves))
        expected = sum((leaf.share * leaf.values for leaf in ensemble.leaves), np.zeros(ensemble.outputs))
        self.base: Array = ensemble.base_values + expected

    def shap_values(self, matrix: Array) -> Array:
        """Contributions (rows, outputs, columns) of a matrix (rows, columns) of 32-bit floats."""
        found = np.zeros((len(matrix), len(self.base), self._columns))
        matrix = np.maximum(matrix, np.finfo(np.float32).min)  # -inf goes the way of the least number, NaN stays
        for row, contributions in zip(matrix, found, strict=True):
            for group in self._groups:
                group.add_contributions(row, contributions)
        return found


def _group_leaves(leaves: Sequence[Leaf]) -> Iterator[_Leaves]:
    lower = 0
    deepest = max((len(leaf.conditions) for leaf in leaves), default=0)
    for width in (*(width for width in WIDTHS if width < deepest), deepest):
        chosen = [leaf for leaf in leaves if lower < len(leaf.conditions) <= width and leaf.values.any()]
        for start in range(0, len(chosen), CHUNK_LEAVES):
            yield _Leaves.build(chosen[start : start + CHUNK_LEAVES], width)
        lower = width

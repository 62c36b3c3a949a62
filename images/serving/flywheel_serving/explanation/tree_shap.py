"""Path-dependent TreeSHAP: the Shapley values of the columns of one row, with the covers of the trees as the distribution of the rest.

Lundberg et al., "From local explanations to global understanding with explainable AI for trees", 2020. A leaf with the conditions D adds
to column j, with o = 1 where the row meets a condition and z the share of training rows that do,

    value * (o_j - z_j) * sum over subsets S of D without j of |S|! (|D| - 1 - |S|)! / |D|! * prod_S o * prod_not_S z.

Since |S|! (|D| - 1 - |S|)! / |D|! is the integral of t^|S| (1 - t)^(|D| - 1 - |S|) over [0, 1], the sum is the integral of the product of
t o + (1 - t) z over the other conditions: a polynomial, which Gauss-Legendre's rule of ceil(|D| / 2) points integrates exactly. So all
leaves are computed at once, without the recursion over paths.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flywheel_serving.explanation.leaf_groups import LeafGroup, clip_infinite, group_leaves
from flywheel_serving.explanation.tree_paths import TreeEnsemble

Array = NDArray[Any]


@dataclass(frozen=True)
class _Integrand:
    """The factors of a group's integrals.

    `met` and `unmet` (points, width, leaves) are the factors t + (1 - t) z and (1 - t) z; `met_weights` and `unmet_weights` are the
    weight of the point, times 1 - z or -z, over the factor.
    """

    group: LeafGroup
    met: Array
    unmet: Array
    met_weights: Array
    unmet_weights: Array

    @classmethod
    def build(cls, group: LeafGroup, width: int) -> "_Integrand":
        nodes, weights = np.polynomial.legendre.leggauss(-(-width // 2))
        t, weight = ((nodes + 1) / 2)[:, None, None], (weights / 2)[:, None, None]
        met, unmet = t + (1 - t) * group.share, (1 - t) * group.share
        return cls(group, met, unmet, weight * (1 - group.share) / met, -weight * group.share / unmet)

    def add_contributions(self, row: Array, found: Array) -> None:
        """Add to `found` (outputs, columns) what these leaves give for a row (columns,) of 32-bit floats."""
        is_met = self.group.is_met(row)
        products = np.multiply.reduce(np.where(is_met, self.met, self.unmet), axis=1)
        weights = np.where(is_met, self.met_weights, self.unmet_weights)
        self.group.add_to(found, np.einsum("pl,pcl->cl", products, weights))


class TreeShap:
    """Contributions by an ensemble of trees to its outputs before ONNX's `post_transform`.

    `base` (outputs,) is the expected output over the training rows.
    """

    def __init__(self, ensemble: TreeEnsemble, columns: int) -> None:
        self._columns = columns
        self._groups = [_Integrand.build(group, width) for group, width in group_leaves(ensemble.leaves)]
        expected = sum((leaf.share * leaf.values for leaf in ensemble.leaves), np.zeros(ensemble.outputs))
        self.base: Array = ensemble.base_values + expected

    def shap_values(self, matrix: Array) -> Array:
        """Contributions (rows, outputs, columns) of a matrix (rows, columns) of 32-bit floats."""
        found = np.zeros((len(matrix), len(self.base), self._columns))
        for row, contributions in zip(clip_infinite(matrix), found, strict=True):
            for group in self._groups:
                group.add_contributions(row, contributions)
        return found

"""Kernel SHAP: Shapley values of any function of columns, from its values for sets of columns that are known.

Lundberg and Lee, "A unified approach to interpreting model predictions", 2017: the Shapley values are the solution of a least-squares
problem with the weights (M - 1) / (C(M, s) s (M - s)) for sets of s of M columns, whose sum is the answer less the base. Up to 10 columns
all sets are evaluated, and the solution is exact; beyond, sets are drawn by these weights, each with its complement (Covert and Lee,
"Improving KernelSHAP", 2021), the same for every row.
"""

from collections.abc import Callable
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
EXACT_COLUMNS = 10
DRAWN_SETS, DRAWN_SETS_PER_COLUMN = 1_024, 2
SEED = 0


def draw_sets(columns: int) -> tuple[Array, Array]:
    """Sets of columns (sets, columns), neither empty nor full, and the weight of each (sets,)."""
    if columns <= EXACT_COLUMNS:
        numbers = np.arange(1, 2**columns - 1)
        sets = (numbers[:, None] >> np.arange(columns)) & 1 == 1
        sizes = sets.sum(axis=1)
        weights = [(columns - 1) / (comb(columns, size) * size * (columns - size)) for size in sizes.tolist()]
        return sets, np.array(weights)
    random = np.random.default_rng(SEED)
    sizes = np.arange(1, columns)
    shares = 1 / (sizes * (columns - sizes))
    pairs = (DRAWN_SETS + DRAWN_SETS_PER_COLUMN * columns) // 2
    chosen = random.choice(sizes, pairs, p=shares / shares.sum())
    ranks = random.random((pairs, columns)).argsort(axis=1).argsort(axis=1)
    drawn = ranks < chosen[:, None]
    return np.concatenate([drawn, ~drawn]), np.ones(2 * pairs)


def kernel_shap(values_of_sets: Callable[[Array], Array], columns: int, base: Array, answer: Array) -> Array:
    """Contributions (outputs, columns), which add up to `answer` - `base` (outputs,).

    `values_of_sets` gives for sets of known columns (sets, columns) the expected output of each (sets, outputs).
    """
    total = answer - base
    if columns <= 1:
        return np.repeat(total[:, None], columns, axis=1)
    sets, weights = draw_sets(columns)
    gains = values_of_sets(sets) - base
    design = sets.astype(np.float64)
    squares = np.linalg.pinv(design.T @ (weights[:, None] * design))
    free = squares @ (design.T @ (weights[:, None] * gains))  # (columns, outputs), without the constraint on the sum
    ones = squares.sum(axis=1)
    found: Array = free - ones[:, None] * (free.sum(axis=0) - total) / ones.sum()
    return found.T

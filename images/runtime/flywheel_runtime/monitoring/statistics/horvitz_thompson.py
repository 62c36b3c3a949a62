"""Few labels, right answer: which rows to label, and the unbiased estimate from them.

Each row is drawn by itself with a probability that is known (Poisson sampling). A drawn row counts as 1/probability rows, which makes the
estimate of a mean unbiased whatever the probabilities are (Horvitz and Thompson, JASA 47, 1952). The variance is least if the probability
is proportional to the root of the row's expected squared loss (Neyman's allocation); a share of the draws is uniform, so that no row
counts for more than `1/UNIFORM_SHARE` times its uniform weight, however sure the model is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flywheel_runtime.contract.errors import Undefined
from flywheel_runtime.monitoring.statistics.quantiles import Array

UNIFORM_SHARE = 0.3  # of the labels that is drawn without regard to the model
MIN_GROUP_LABELS = 5.0  # expected of each group, if it has so many rows
BISECTIONS = 60


@dataclass(frozen=True)
class Estimate:
    """An estimate with its standard error and a normal interval."""

    value: float
    standard_error: float
    low: float
    high: float
    labels: int


def expected_error_spread(probabilities: ArrayLike) -> Array:
    """The root (rows,) of the expected squared 0-1 loss of the most probable class, from probabilities (rows, classes)."""
    spread: Array = np.sqrt(1 - np.asarray(probabilities, dtype=np.float64).max(axis=1))
    return spread


def allocate_labels(spread: ArrayLike, labels: float, groups: Sequence[str] | None = None) -> Array:
    """The probability (rows,) with which each row is drawn, for `labels` labels in expectation.

    `spread` (rows,) is the root of the expected squared loss, such as expected_error_spread. With `groups` (rows,), such as the values of
    a fairness column, each group has at least five labels in expectation. No probability exceeds 1.
    """
    values = np.asarray(spread, dtype=np.float64)
    rows, count = len(values), min(float(labels), float(len(values)))
    uniform = np.full(rows, UNIFORM_SHARE * count / rows)
    probabilities = _fill_up(uniform, values + 1e-12, count)
    if groups is None:
        return probabilities
    names, group_of_row = np.unique(np.asarray(groups), return_inverse=True)
    sizes = np.bincount(group_of_row, minlength=len(names))
    least = np.minimum(sizes, MIN_GROUP_LABELS)[group_of_row] / sizes[group_of_row]
    floor = np.maximum(uniform, least * min(1.0, count / max(least.sum(), 1e-12)))
    return _fill_up(np.minimum(floor, 1.0), values + 1e-12, count)


def _fill_up(floor: Array, size: Array, count: float) -> Array:
    """Probabilities min(1, max(floor, scale * size)) (rows,) whose sum is `count`; the floor itself if that is more."""
    low, high = np.log(1e-12 / size.max()), np.log(1 / size.min())
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        is_below = np.minimum(1.0, np.maximum(floor, np.exp(middle) * size)).sum() <= count
        low, high = (middle, high) if is_below else (low, middle)
    probabilities: Array = np.minimum(1.0, np.maximum(floor, np.exp(low) * size))
    return probabilities


def draw_rows(probabilities: ArrayLike, seed: int) -> NDArray[np.intp]:
    """The indices of the rows that are drawn, each by itself with its probability; the same for the same seed."""
    values = np.asarray(probabilities, dtype=np.float64)
    return np.flatnonzero(np.random.default_rng(seed).random(len(values)) < values)


def estimate_mean(losses: ArrayLike, probabilities: ArrayLike, rows: int, confidence: float = 0.95) -> Estimate:
    """The unbiased estimate of the mean loss of `rows` rows from the losses (labels,) of those that were drawn with `probabilities`.

    sum(loss / probability) / rows; its variance is estimated by sum(loss² (1 - probability) / probability²) / rows².

    Raises:
        Undefined: no row was labelled.
    """
    values, chances = np.asarray(losses, dtype=np.float64), np.asarray(probabilities, dtype=np.float64)
    if not len(values):
        raise Undefined("no row was labelled")
    value = float((values / chances).sum() / rows)
    error = float(np.sqrt((values**2 * (1 - chances) / chances**2).sum()) / rows)
    half = NormalDist().inv_cdf((1 + confidence) / 2) * error
    return Estimate(value, error, value - half, value + half, len(values))


def estimate_ratio(losses: ArrayLike, probabilities: ArrayLike, confidence: float = 0.95) -> Estimate:
    """The mean loss as a ratio of two estimates (Hájek): with weights that sum to 1, nearly unbiased, and often narrower.

    Raises:
        Undefined: fewer than two rows were labelled.
    """
    values, chances = np.asarray(losses, dtype=np.float64), np.asarray(probabilities, dtype=np.float64)
    if len(values) < 2:
        raise Undefined("fewer than two rows were labelled")
    weights = 1 / chances
    value = float((weights * values).sum() / weights.sum())
    error = float(np.sqrt((weights**2 * (1 - chances) * (values - value) ** 2).sum()) / weights.sum())
    half = NormalDist().inv_cdf((1 + confidence) / 2) * error
    return Estimate(value, error, value - half, value + half, len(values))


def labels_for_precision(
    spread: ArrayLike, half_width: float, groups: Sequence[str] | None = None, confidence: float = 0.95
) -> int:
    """How many labels make the interval of the mean loss at most `half_width` to each side, as far as `spread` (rows,) is right.

    The expected variance is sum(spread² (1 - probability) / probability) / rows².
    """
    values = np.asarray(spread, dtype=np.float64)
    wanted = (half_width / NormalDist().inv_cdf((1 + confidence) / 2)) ** 2
    low, high = 0, len(values)
    while high - low > 1:
        middle = (low + high) // 2
        chances = allocate_labels(values, middle, groups)
        variance = float((values**2 * (1 - chances) / chances).sum()) / len(values) ** 2
        low, high = (low, middle) if variance <= wanted else (middle, high)
    return high

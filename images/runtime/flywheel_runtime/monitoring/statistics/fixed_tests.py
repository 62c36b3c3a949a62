"""Classic tests of one window: p-values of the same composite null, and Holm's correction over what is tested.

They hold for one look. Whoever looks every hour and stops at the first small p-value has more false alarms than the level says; the
default method is for that.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from flywheel_runtime.monitoring.statistics.effects import smooth_shares
from flywheel_runtime.monitoring.statistics.null_ball import hellinger_distance
from flywheel_runtime.monitoring.statistics.quantiles import Array, binary_divergence


def drift_p_values(reference: ArrayLike, current: ArrayLike, threshold: float, design_effect: float = 1.0) -> Array:
    """P-values (…) of PSI <= threshold from counts (…, bins); a threshold of 0 gives the test of equal distributions.

    With d the Hellinger distance and 1/n = 1/reference rows + 1/current rows, n d² is nearly chi-square with bins - 1 degrees for equal
    distributions, and for two that are sqrt(threshold) apart nearly noncentral chi-square with parameter n * threshold; its upper tail is
    by Sankaran's normal approximation (Biometrika 50, 1963). Rows that depend on one another count as 1/design_effect of a row.
    """
    p, q = np.asarray(reference, dtype=np.float64), np.asarray(current, dtype=np.float64) / design_effect
    rows = 1 / (1 / np.maximum(p.sum(axis=-1), 1.0) + 1 / np.maximum(q.sum(axis=-1), 1.0))
    statistic = rows * hellinger_distance(np.sqrt(smooth_shares(p)), smooth_shares(q)) ** 2
    degrees = np.maximum(((p + q) > 0).sum(axis=-1) - 1, 1)
    return noncentral_chi_square_tail(statistic, degrees, rows * threshold)


def noncentral_chi_square_tail(statistic: ArrayLike, degrees: ArrayLike, noncentrality: ArrayLike) -> Array:
    """P(X >= statistic) (…) of a noncentral chi-square variable, by Sankaran's normal approximation, for statistics (…) above 0."""
    x, k, ncp = (np.asarray(each, dtype=np.float64) for each in (statistic, degrees, noncentrality))
    total, spread = k + ncp, k + 2 * ncp
    h = 1 - 2 / 3 * total * (k + 3 * ncp) / spread**2
    p = spread / total**2
    m = (h - 1) * (1 - 3 * h)
    mean = 1 + h * p * (h - 1 - (2 - h) * m * p / 2)
    deviation = h * np.sqrt(2 * p) * (1 + m * p / 2)
    return _normal_tail(((x / total) ** h - mean) / deviation)


def share_p_values(
    reference_hits: ArrayLike, reference_rows: ArrayLike, hits: ArrayLike, rows: ArrayLike, increase: float
) -> Array:
    """P-values (…) of "the share is at most the reference's plus `increase`", by the signed root of the likelihood ratio.

    The reference's share is the one that makes both samples most likely at the boundary of the null.
    """
    first, n = np.asarray(reference_hits, dtype=np.float64), np.asarray(reference_rows, dtype=np.float64)
    second, m = np.asarray(hits, dtype=np.float64), np.asarray(rows, dtype=np.float64)
    shares = np.linspace(0, 1 - increase, 2001)[1:-1]
    of_first = n[..., None] * binary_divergence((first / n)[..., None], shares)
    of_second = m[..., None] * binary_divergence((second / m)[..., None], shares + increase)
    statistic = 2 * np.maximum((of_first + of_second).min(axis=-1), 0.0)
    sign = np.sign(second / m - first / n - increase)
    return _normal_tail(sign * np.sqrt(statistic))


def holm_adjusted(p_values: ArrayLike) -> Array:
    """Holm's adjusted p-values (tests,): reject those below the level, and the chance of any false rejection is at most the level.

    Holm, Scandinavian Journal of Statistics 6, 1979. It holds whatever the tests have to do with one another.
    """
    values = np.asarray(p_values, dtype=np.float64)
    ascending = np.argsort(values, kind="stable")
    scaled = values[ascending] * np.arange(len(values), 0, -1)
    adjusted = np.empty_like(values)
    adjusted[ascending] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted


def fixed_level(count: float, per_seconds: float, window_seconds: float) -> float:
    """The level of one window's tests with which `count` false alarms are expected in `per_seconds` at most."""
    return min(1.0, count * window_seconds / per_seconds)


def _normal_tail(z: Array) -> Array:
    tail: Array = np.asarray(np.vectorize(lambda each: math.erfc(each / math.sqrt(2)) / 2)(z), dtype=np.float64)
    return tail

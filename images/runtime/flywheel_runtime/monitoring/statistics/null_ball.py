"""The null hypothesis of drift as a set of distributions, and its point that is hardest to tell from an alternative.

The user's null is PSI(p, q) <= threshold for the true reference p. Since (t² - 1) log t >= 2 (t - 1)² for every t > 0, PSI is at least
d(p, q)² with d = 2 ||sqrt(q) - sqrt(p)||, and nearly equal for small differences. So the ball d <= sqrt(threshold) contains the null, has
one meaning for empty bins too, and d is a metric: the distance of the observed reference from the true one adds to the radius.
"""

import numpy as np
from numpy.typing import ArrayLike

from flywheel_runtime.monitoring.statistics.quantiles import Array, chi_square_upper_quantile, normal_upper_quantile

REFERENCE_ERROR = 1e-5  # the probability, for each stream and version, that the reference is further from the truth than is allowed for
MAX_RADIUS = 2.8  # two distributions without a common bin are 2 sqrt(2) = 2.83 apart
BISECTIONS = 32
MAX_LOG_PULL = 18.0


def hellinger_distance(root_reference: Array, shares: Array) -> Array:
    """Distances d (…) = 2 ||sqrt(q) - sqrt(p)||, from 0 to 2.83, of sqrt(p) (…, bins) and q (…, bins). PSI is at least its square."""
    distance: Array = 2 * np.sqrt(((np.sqrt(shares) - root_reference) ** 2).sum(axis=-1))
    return distance


def radius_in_all_directions(threshold: ArrayLike, reference_rows: ArrayLike, bins: ArrayLike) -> Array:
    """The radius (…) of the ball around the observed reference that contains the null whatever the direction of its error.

    sqrt(threshold) + sqrt(c / rows), where c is the upper quantile of chi-square with bins - 1 degrees: 4 n ||sqrt(observed) - sqrt(p)||²
    is nearly of that distribution, since the square root makes the variance of a count 1/4.
    """
    error = chi_square_upper_quantile(REFERENCE_ERROR, np.asarray(bins) - 1)
    return _add_error(threshold, error, reference_rows)


def radius_in_one_direction(threshold: ArrayLike, reference_rows: ArrayLike, directions: int) -> Array:
    """The radius (…) for each of `directions` that were chosen before the reference was drawn: there its error is one normal variable."""
    return _add_error(threshold, np.asarray(normal_upper_quantile(REFERENCE_ERROR / directions) ** 2), reference_rows)


def _add_error(threshold: ArrayLike, squared_error: Array, rows: ArrayLike) -> Array:
    of_reference = np.sqrt(squared_error / np.maximum(np.asarray(rows, dtype=np.float64), 1.0))
    radius: Array = np.minimum(np.sqrt(np.asarray(threshold, dtype=np.float64)) + of_reference, MAX_RADIUS)
    return radius


def project_onto_ball(root_reference: Array, radius: Array, alternative: Array) -> Array:
    """The distribution q (…, bins) of the ball d(reference, q) <= radius (…) with the least KL(alternative || q).

    The ball is convex, so E[alternative/q] <= 1 for rows of any distribution in it, and no other such e-value grows faster: the reverse
    information projection (Grünwald, de Heide and Koolen, "Safe Testing", JRSS B 86, 2024). By Lagrange q is proportional to s² with
    s = (h sqrt(p) + sqrt(h² p + 4 a)) / 2, for the one h at which q lies on the sphere. The h returned is on the outer side, so the
    rounding never makes the e-value too large. An alternative within the ball is its own projection.
    """
    p, a = root_reference, alternative
    affinity = 1 - radius**2 / 8
    low, high = np.full(radius.shape, -MAX_LOG_PULL), np.full(radius.shape, MAX_LOG_PULL)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        is_outside = (p * _roots(p, a, middle)).sum(axis=-1) < affinity
        low, high = np.where(is_outside, middle, low), np.where(is_outside, high, middle)
    is_inside = (p * np.sqrt(a)).sum(axis=-1) >= affinity
    projected: Array = np.where(is_inside[..., None], a, _roots(p, a, low) ** 2)
    return projected


def _roots(root_reference: Array, alternative: Array, log_pull: Array) -> Array:
    pulled = np.exp(log_pull)[..., None] * root_reference
    roots: Array = pulled + np.sqrt(pulled**2 + 4 * alternative)
    roots /= np.sqrt((roots**2).sum(axis=-1, keepdims=True))
    return roots

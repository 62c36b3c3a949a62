"""The null hypothesis of drift as a set of distributions, and its point that is hardest to tell from an alternative.

The user's null is PSI(p, q) <= threshold for the true reference p. Since (t² - 1) log t >= 2 (t - 1)² for every t > 0, PSI is at least
d(p, q)² with d = 2 ||sqrt(q) - sqrt(p)||, and nearly equal for small differences. So the ball d <= sqrt(threshold) contains the null, has
one meaning for empty bins too, and d is a metric: the distance of the observed reference from the true one adds to the radius.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flywheel_runtime.monitoring.statistics.quantiles import Array, chi_square_upper_quantile, normal_upper_quantile

REFERENCE_ERROR = 1e-5  # the probability, for each stream and version, that the reference is further from the truth than is allowed for
MAX_RADIUS = 2.8  # two distributions without a common bin are 2 sqrt(2) = 2.83 apart
MAX_NEWTON_STEPS = 8
LAST_STEP = 1e-6  # of the logarithm of the pull
OUTWARDS = 1e-9  # of the pull, more than its rounding error


def hellinger_distance(root_reference: Array, shares: Array) -> Array:
    """Distances d (…) = 2 ||sqrt(q) - sqrt(p)||, from 0 to 2.83, of sqrt(p) (…, bins) and q (…, bins). PSI is at least its square."""
    difference = np.sqrt(shares) - root_reference
    distance: Array = 2 * np.sqrt(_dot(difference, difference))
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
    """The distribution q (…, bins) of the ball d(reference, q) <= radius (…) with the least KL(alternative || q); no share may be 0.

    The ball is convex, so E[alternative/q] <= 1 for rows of any distribution in it, and no other such e-value grows faster: the reverse
    information projection (Grünwald, de Heide and Koolen, "Safe Testing", JRSS B 86, 2024). By Lagrange q is proportional to s² with
    s = (h sqrt(p) + sqrt(h² p + 4 a)) / 2, for the one h at which q lies on the sphere. The h taken is on the outer side, so the
    rounding never makes the e-value too large. An alternative within the ball is its own projection.
    """
    p, a = root_reference, alternative
    lack = radius**2 / 8  # of the affinity on the sphere, to 1
    is_outside = _dot(p, np.sqrt(a)) < 1 - lack
    pulled = (_solve_pull(p, a, lack, is_outside) * (1 - OUTWARDS))[..., None] * p
    squares = (pulled + np.sqrt(pulled**2 + 4 * a)) ** 2
    projected: Array = np.where(is_outside[..., None], squares / squares.sum(axis=-1, keepdims=True), a)
    return projected


def _solve_pull(p: Array, a: Array, lack: Array, is_outside: NDArray[np.bool_]) -> Array:
    """The pull h (…) of the projections, by Newton's method; 1 within the ball.

    Since s² = h sqrt(p) s + a, the sums y of sqrt(p) s and of s² fulfil sum(s²) = h y + 1, and q lies on the sphere if y² = c² (h y + 1)
    with c = 1 - lack. With u = (h + sqrt(h² + 4/c²)) / 2 that is (1 - c²) h = 1/u - sum(sqrt(p) a / s), where little cancels if the ball
    is small. Over log h the logarithms of both sides are nearly straight: about four steps from the lesser of two bounds of h, to which
    the right side's limits for small h and for large h lead.
    """
    slope, inverse = lack * (2 - lack), 1 / (1 - lack) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        of_small = (1 - lack - _dot(p, np.sqrt(a))) / slope
        of_large = ((_dot(a / p, a / p) - inverse) / slope) ** 0.25
        pull = np.where(is_outside, np.minimum(of_small, of_large), 1.0)
        for _ in range(MAX_NEWTON_STEPS):
            pulled = pull[..., None] * p
            width, width_of_ball = np.sqrt(pulled**2 + 4 * a), np.sqrt(pull**2 + 4 * inverse)
            terms, term = p * a / (pulled + width), 1 / (pull + width_of_ball)
            side = 2 * (term - terms.sum(axis=-1))
            change = 2 * (_dot(terms, p / width) - term / width_of_ball)
            step = np.where(is_outside, np.log(slope * pull / side) / (1 - pull * change / side), 0.0)
            pull = pull * np.exp(-step)
            if np.abs(step).max(initial=0.0) < LAST_STEP:  # the next would be about its square
                break
    return pull


def _dot(left: Array, right: Array) -> Array:
    product: Array = np.einsum("...k,...k->...", left, right)
    return product

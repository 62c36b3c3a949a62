"""E-values of one window: how much a bet against the null wins on its rows. Under the null the mean of each is at most 1.

A component is one alternative a. Its e-value of a row in bin k is a_k / q_k, where q is the projection of a onto the null ball, and that
of a window is the product over its rows. The mean is at most 1 for every row whose distribution, given the rows before, lies in the ball:
it may move within the ball from row to row, as in a daily cycle. If rows depend on one another, the logarithm is divided by the design
effect D: when the rows fall into D groups within which the above holds (clusters of at most D rows, or dependence over at most D rows),
the geometric mean of the groups' e-values has mean at most 1 by Hölder's inequality.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from flywheel_runtime.monitoring.statistics.effects import smooth_shares
from flywheel_runtime.monitoring.statistics.null_ball import (
    REFERENCE_ERROR,
    hellinger_distance,
    project_onto_ball,
    radius_in_all_directions,
    radius_in_one_direction,
)
from flywheel_runtime.monitoring.statistics.quantiles import Array, binomial_upper_bound

BEYOND_RADIUS = (0.03, 0.1, 0.3, 0.9)  # of the alternatives from the ball, in d: about standard deviations of a shift
LARGEST_ALTERNATIVE = 2.4  # in d
MAX_SINGLE_BINS = 6  # bins of a categorical feature that have alternatives of their own
LEAST_ROOT_RATIO = 0.15  # an alternative leaves each bin at least 0.15² of its reference share, so that no row costs more than 3.8 nats
LEARNED_WEIGHT = 0.4  # of the components that learn their alternative from earlier rows
RETENTION = (0.5, 0.92)  # what each of those keeps of its counts from one window to the next
MAX_BLOCKS = 4  # parts of a window after each of which they learn


@dataclass(frozen=True)
class WindowTest:
    """What does not change from window to window: the fixed alternatives and the null, of one stream or of many (leading axes …)."""

    log_ratios: Array  # (…, bins, alternatives): log(a / q) of a row in the bin
    log_weights: Array  # (components,): alternatives first, then those that learn; the weights sum to 1
    root_reference: Array  # (…, bins)
    learning_radius: Array  # (…)
    learns: bool

    @property
    def components(self) -> int:
        return len(self.log_weights)

    def initial_counts(self) -> Array:
        """Counts (…, learners, bins) from which the alternatives are learned, before the first window."""
        learners = len(RETENTION) if self.learns else 0
        return np.zeros((*self.root_reference.shape[:-1], learners, self.root_reference.shape[-1]))


def distribution_test(reference: ArrayLike, threshold: float, ordered: int) -> WindowTest:
    """A test of PSI <= threshold from the reference's counts (…, bins), of which the first `ordered` bins have an order.

    The fixed alternatives shift and widen the ordered bins, or change the share of one of the first bins where there is no order.
    """
    counts = np.asarray(reference, dtype=np.float64)
    rows, shares = counts.sum(axis=-1), smooth_shares(counts)
    directions = _ordered_directions(shares, ordered) if ordered > 2 else _single_bin_directions(shares)
    count = directions.shape[-1] * len(BEYOND_RADIUS)
    radius = radius_in_one_direction(threshold, rows, directions.shape[-1])
    root = np.sqrt(shares)
    ratios: list[Array] = []
    for beyond in BEYOND_RADIUS:
        distance = np.minimum(radius + beyond, np.maximum(radius, LARGEST_ALTERNATIVE))
        alternatives = np.moveaxis(_move_along(root, directions, distance), -1, 0)
        ratios.extend(np.log(each / project_onto_ball(root, radius, each)) for each in alternatives)
    weights = np.full(count, (1 - LEARNED_WEIGHT) / count)
    weights = np.append(weights, np.full(len(RETENTION), LEARNED_WEIGHT / len(RETENTION)))
    everywhere = radius_in_all_directions(threshold, rows, shares.shape[-1])
    return WindowTest(np.stack(ratios, axis=-1), np.log(weights), root, everywhere, learns=True)


def share_test(reference_hits: ArrayLike, reference_rows: ArrayLike, max_increase: float) -> WindowTest:
    """A test of q <= p + max_increase for the share of hits, from `reference_hits` (…) of `reference_rows` (…). Bins are [hits, others].

    The null ends at u = (upper bound of p) + max_increase.
    """
    return share_limit_test(binomial_upper_bound(reference_hits, reference_rows, REFERENCE_ERROR) + max_increase)


def share_limit_test(max_share: ArrayLike) -> WindowTest:
    """A test of q <= u for the share of hits, from u = `max_share` (…). Bins are [hits, others].

    For an alternative a > u the bet a/u on a hit and (1 - a)/(1 - u) on another row has a mean of at most 1 for every q <= u.
    """
    bound = np.minimum(max_share, 1 - 1e-9)
    angle = np.arcsin(np.sqrt(bound))[..., None]
    beyond = np.asarray([*BEYOND_RADIUS, 1.2]) / 2
    alternative = np.sin(np.minimum(angle + beyond, (angle + np.pi / 2) / 2)) ** 2
    ratios = np.stack(
        [np.log(alternative / bound[..., None]), np.log((1 - alternative) / (1 - bound[..., None]))], axis=-2
    )
    weights = np.full(len(beyond), 1 / len(beyond))
    root = np.sqrt(np.stack([bound, 1 - bound], axis=-1))
    return WindowTest(ratios, np.log(weights), root, np.zeros(bound.shape), learns=False)


def log_e_values(test: WindowTest, learned: Array, blocks: Array, design_effect: Array) -> tuple[Array, Array]:
    """Log e-values (…, components) of one window, and the counts (…, learners, bins) that the learners have after it.

    `blocks` (…, blocks, bins) are the window's counts in the order of time, `learned` the counts after the window before, and
    `design_effect` (…) is at least 1.
    """
    effective = blocks / design_effect[..., None, None]
    fixed = np.einsum("...k,...km->...m", effective.sum(axis=-2), test.log_ratios)
    if not test.learns:
        return fixed, learned
    counts = learned * np.asarray(RETENTION)[:, None]
    parts = merge_blocks(effective, MAX_BLOCKS)
    total = np.zeros(counts.shape[:-1])
    for index in range(parts.shape[-2]):
        part = parts[..., index, :]
        total = total + np.einsum("...k,...lk->...l", part, _log_ratios_of_learned(test, counts))
        counts = counts + part[..., None, :]
    return np.concatenate([fixed, total], axis=-1), counts


def merge_blocks(blocks: Array, most: int) -> Array:
    """Counts (…, at most `most`, bins): adjacent ones of the blocks (…, blocks, bins) are added."""
    length = blocks.shape[-2]
    if length <= most:
        return blocks
    starts = np.linspace(0, length, most, endpoint=False).astype(int)
    merged: Array = np.add.reduceat(blocks, starts, axis=-2)
    return merged


def _log_ratios_of_learned(test: WindowTest, counts: Array) -> Array:
    """Log ratios (…, learners, bins); 0 where the learned distribution is within the ball, since there is nothing to bet on."""
    bins = counts.shape[-1]
    root = np.broadcast_to(test.root_reference[..., None, :], counts.shape)
    radius = np.broadcast_to(test.learning_radius[..., None], counts.shape[:-1])
    learned = (bins * root**2 + counts) / (bins + counts.sum(axis=-1, keepdims=True))
    is_outside = hellinger_distance(root, learned) > radius
    ratios = np.zeros(counts.shape)
    if is_outside.any():
        outside = learned[is_outside]
        ratios[is_outside] = np.log(outside / project_onto_ball(root[is_outside], radius[is_outside], outside))
    return ratios


def _ordered_directions(shares: Array, ordered: int) -> Array:
    """Scores (…, bins, 4) with mean 0 and variance 1 under the shares: up, down, wider, narrower; 0 for bins without an order."""
    inside = shares[..., :ordered]
    mass = inside.sum(axis=-1, keepdims=True)
    ranks = (np.cumsum(inside, axis=-1) - inside / 2) / mass
    location = np.zeros_like(shares)
    location[..., :ordered] = np.vectorize(NormalDist().inv_cdf)(ranks)
    is_ordered = np.zeros_like(shares)
    is_ordered[..., :ordered] = 1.0
    location = _standardize(location, shares, is_ordered)
    scale = _standardize(location**2, shares, is_ordered)
    overlap = (shares * scale * location).sum(axis=-1, keepdims=True)
    scale = _standardize(scale - overlap * location, shares, is_ordered)
    return np.stack([location, -location, scale, -scale], axis=-1)


def _single_bin_directions(shares: Array) -> Array:
    """Scores (…, bins, 2 * singles) with mean 0 and variance 1 under the shares: more, and less, of each of the first bins."""
    singles = min(MAX_SINGLE_BINS, shares.shape[-1])
    everywhere = np.ones_like(shares)
    directions = []
    for index in range(singles):
        indicator = np.zeros_like(shares)
        indicator[..., index] = 1.0
        score = _standardize(indicator, shares, everywhere)
        directions.extend([score, -score])
    return np.stack(directions, axis=-1)


def _standardize(score: Array, shares: Array, mask: Array) -> Array:
    mass = (shares * mask).sum(axis=-1, keepdims=True)
    centered = (score - (shares * mask * score).sum(axis=-1, keepdims=True) / mass) * mask
    spread = np.sqrt((shares * centered**2).sum(axis=-1, keepdims=True))
    standardized: Array = centered / np.where(spread > 0, spread, 1.0)
    return standardized


def _move_along(root_reference: Array, scores: Array, distance: Array) -> Array:
    """Distributions (…, bins, directions) on the great circles from the reference (…, bins) along the scores, `distance` (…) away in d."""
    angle = 2 * np.arcsin(np.minimum(distance / 4, 1.0))[..., None, None]
    root = root_reference[..., None]
    moved = np.maximum(root * (np.cos(angle) + np.sin(angle) * scores), LEAST_ROOT_RATIO * root) ** 2
    alternatives: Array = moved / moved.sum(axis=-2, keepdims=True)
    return alternatives

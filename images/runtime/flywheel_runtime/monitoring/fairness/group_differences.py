"""Differences between the means of groups: e-values against "no two groups are further apart than allowed", and the difference itself.

For groups a and b and a centre c, the bet is prod(1 + k (y - c - gap/2)/n_a) over the rows of a times prod(1 - k (y - c + gap/2)/n_b) over
those of b. Since 1 + x <= exp(x), its mean is at most exp(k (mean of a - mean of b - gap)), and so at most 1 wherever the null holds,
whatever the means themselves are and however they move within the window. Turner, Ly and Grünwald, "Generic E-variables for exact
sequential k-sample tests that allow for optional stopping", JSPI 230, 2024, choose the centre by the alternative; here some are mixed. Any
pair may be the one that is apart, so all are bet on, in both directions.
"""

from dataclasses import dataclass

import numpy as np

from flywheel_runtime.statistics.metrics import Array

PARTS = 12  # of a window, by the order of its rows: what they differ by shows how much rows depend on one another
CENTERS = (0.1, 0.5, 0.9)
BETS = (0.04, 0.12, 0.4)  # of the largest k that leaves every factor above 0
COMPONENTS = len(CENTERS) * len(BETS)


@dataclass(frozen=True)
class GroupCounts:
    """Rows of a window by part, group and outcome: `counts` (parts, groups, levels), where an outcome is one of `levels` (levels,) in [0, 1]."""

    names: tuple[str, ...]
    levels: Array
    counts: Array

    @property
    def rows(self) -> Array:
        """The number of rows (groups,)."""
        return np.asarray(self.counts.sum(axis=(0, 2)))

    @property
    def means(self) -> Array:
        """The mean outcome (groups,); NaN for a group without rows."""
        return _means(self.counts.sum(axis=0), self.levels)

    def select(self, groups: Array) -> "GroupCounts":
        """Some of the groups, by their numbers."""
        return GroupCounts(tuple(self.names[int(each)] for each in groups), self.levels, self.counts[:, groups])


def count_outcomes(names: tuple[str, ...], groups: Array, outcomes: Array, levels: Array) -> GroupCounts:
    """Counts of rows in the order of time: `groups` (rows,) numbers their group, and `outcomes` (rows,) their level."""
    parts = np.arange(len(groups)) * PARTS // max(1, len(groups))
    shape = (PARTS, len(names), len(levels))
    cells = np.ravel_multi_index((parts, groups, outcomes), shape) if len(groups) else np.zeros(0, np.int64)
    return GroupCounts(names, levels, np.bincount(cells, minlength=int(np.prod(shape))).reshape(shape))


def ordered_pairs(groups: int) -> Array:
    """The numbers (pairs, 2) of each two groups, in both directions."""
    first, second = np.nonzero(~np.eye(groups, dtype=bool))
    return np.stack([first, second], axis=1)


def log_e_values_of_differences(found: GroupCounts, max_gap: float) -> Array:
    """Log e-values (pairs, components) against each mean being at most `max_gap` above the other, divided by the pair's design effect.

    Every group has rows. The pairs are those of `ordered_pairs`.
    """
    counts, rows = found.counts.sum(axis=0).astype(np.float64), found.rows.astype(np.float64)
    first, second = ordered_pairs(len(rows)).T
    values = []
    for center in CENTERS:
        high, low = center + max_gap / 2, center - max_gap / 2
        largest = np.minimum(rows[first] / high, rows[second] / (1 - low))
        for bet in BETS:
            of_first = _log_factors(bet * largest / rows[first], found.levels - high)
            of_second = _log_factors(-bet * largest / rows[second], found.levels - low)
            values.append((counts[first] * of_first).sum(axis=1) + (counts[second] * of_second).sum(axis=1))
    return np.asarray(np.stack(values, axis=1) / design_effects(found)[:, None])


def _log_factors(bets: Array, excess: Array) -> Array:
    return np.asarray(np.log1p(bets[:, None] * excess))


def design_effects(found: GroupCounts) -> Array:
    """How much more the difference of each pair (pairs,) varies over the parts of the window than that of independent rows; at least 1.

    What moves both groups alike, such as a daily cycle, is no part of it.
    """
    counts = found.counts.astype(np.float64)
    rows, means = found.rows.astype(np.float64), found.means
    deviations = (counts @ found.levels - counts.sum(axis=2) * means) / rows  # (parts, groups)
    variances = _means(counts.sum(axis=0), found.levels**2) - means**2
    first, second = ordered_pairs(len(rows)).T
    observed = ((deviations[:, first] - deviations[:, second]) ** 2).sum(axis=0) * PARTS / (PARTS - 1)
    expected = variances[first] / rows[first] + variances[second] / rows[second]
    ratios = np.divide(observed, expected, out=np.ones(len(expected)), where=expected > 0)
    return np.asarray(np.maximum(1.0, ratios))


def gap_without_bias(found: GroupCounts) -> float:
    """The largest difference between two groups' means, without what few rows add to a maximum.

    The two groups are those with the highest and the lowest mean in every second part of the window, and compared in the other parts.
    """
    halves = [_means(found.counts[start::2].sum(axis=0), found.levels) for start in (0, 1)]
    if np.isnan(halves).any():
        return 0.0
    gaps = [other[np.argmax(chosen)] - other[np.argmin(chosen)] for chosen, other in (halves, halves[::-1])]
    return max(0.0, float(np.mean(gaps)))


def _means(counts: Array, levels: Array) -> Array:
    """The mean level (groups,) of counts (groups, levels)."""
    rows = counts.sum(axis=1)
    return np.asarray(np.divide(counts @ levels, rows, out=np.full(len(rows), np.nan), where=rows > 0))

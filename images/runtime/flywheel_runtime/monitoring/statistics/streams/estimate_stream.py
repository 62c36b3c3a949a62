"""The test of estimated performance: whether the scores of a window let a worse metric be expected than those of the reference.

Labelled rows of the reference say what a row of each bin of the score is expected to cost (or, of roc_auc, how often it is positive). With
these rates given, the expected metric is a function of the distribution of scores alone. The null is: it is at most `max_drop` worse than
that of the reference's distribution, whose sampling error is added. The rates themselves are given: a change of what the features mean for
the label is not seen.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from flywheel_runtime.contract.errors import Undefined
from flywheel_runtime.monitoring.statistics.betting import BETS
from flywheel_runtime.monitoring.statistics.estimation import Calibration, estimate_roc_auc
from flywheel_runtime.monitoring.statistics.null_ball import REFERENCE_ERROR
from flywheel_runtime.monitoring.statistics.quantiles import Array

EstimatedMetric = Literal["roc_auc", "accuracy", "mae", "rmse"]
MAX_PAIRED_ROWS = 1_000_000  # of a window: pairs of more are drawn from so many


@dataclass(frozen=True)
class EstimateStream:
    """A test of the metric that counts of scores (bins,) let expect.

    `rates` (bins,) are, of roc_auc, the share of positive rows in each bin of the score, not decreasing; otherwise the expected loss of
    a row: of accuracy the chance of an error, of mae the absolute and of rmse the squared error. `reference` (bins,) are the counts
    of the rows that the metric is compared with.
    """

    metric: EstimatedMetric
    rates: Array
    reference: Array
    threshold: float

    @cached_property
    def reference_value(self) -> float:
        """The metric that is expected of the reference's rows. Raises Undefined."""
        return self.value(self.reference)

    def value(self, counts: ArrayLike) -> float:
        """The metric that is expected of rows with these counts (bins,). Raises Undefined if it has no value."""
        values = np.asarray(counts, dtype=np.float64)
        if self.metric == "roc_auc":
            return estimate_roc_auc(Calibration(self.rates), values)
        if not values.sum():
            raise Undefined("there is no row")
        mean = float(values @ self.rates / values.sum())
        return {"accuracy": 1 - mean, "mae": mean, "rmse": math.sqrt(mean)}[self.metric]

    def effect(self, counts: Array) -> float:
        """How much worse the expected metric is than that of the reference; 0 where it has no value."""
        try:
            difference = self.reference_value - self.value(counts)
        except Undefined:
            return 0.0
        return difference if self.metric in ("roc_auc", "accuracy") else -difference

    @property
    def log_weights(self) -> Array:
        """The logarithms (components,) of the weights of the bets."""
        return np.full(len(BETS), -math.log(len(BETS)))

    def initial_counts(self) -> Array:
        """Nothing is learned: counts (0, bins)."""
        return np.zeros((0, len(self.rates)))

    @cached_property
    def has_room(self) -> bool:
        """Whether any counts would be beyond the null."""
        return bool(self._excess.max() > 0 > self._excess.min())

    def log_e_values(
        self, learned: Array, blocks: Array, design_effect: float, window_start: int
    ) -> tuple[Array, Array]:
        """Log e-values (components,) of a window with counts (blocks, bins).

        Each bet pays 1 + bet * excess on a row, or of roc_auc on a pair of rows, where the mean excess is at most 0 within the null. Pairs
        are disjoint and drawn at random, with a seed that the window fixes. If rows come in groups of D, a pair shares rows of its groups
        with at most 2 (D - 1) others, so that the logarithm is divided by 2 D - 1.
        """
        counts = blocks.sum(axis=0)
        if self.metric != "roc_auc":
            return self.log_payoffs @ counts / design_effect, learned
        pairs = pair_rows(counts, window_start)
        return self.log_payoffs @ pairs.reshape(-1) / (2 * design_effect - 1), learned

    @cached_property
    def log_payoffs(self) -> Array:
        """What a row of each bin, or a pair of rows, pays: logarithms (components, bins), or (components, bins * bins)."""
        bets = np.asarray(BETS) / -float(self._excess.min())
        payoffs: Array = np.log1p(bets[:, None] * self._excess.reshape(1, -1))
        return payoffs

    def p_value(self, counts: Array, design_effect: float) -> float:
        """The p-value of the same null for one window with counts (bins,), by the normal approximation of both samples' errors."""
        try:
            difference, error = self.effect(counts) - self.threshold, 0.0
            for each, factor in ((self.reference, 1.0), (counts, design_effect)):
                shares, influence = each / each.sum(), self._influence(each)
                error += factor * float(shares @ (influence - shares @ influence) ** 2) / float(each.sum())
        except Undefined:
            return 1.0
        if not error:
            return 0.0 if difference > 0 else 1.0
        return math.erfc(difference / math.sqrt(2 * error)) / 2

    def _influence(self, counts: Array) -> Array:
        """By how much a row of each bin (bins,) moves the metric of rows with these counts (bins,), times their number. Raises Undefined."""
        value = self.value(counts)
        if self.metric == "roc_auc":
            return area_influence(self.rates, counts / counts.sum(), value)
        return self.rates / (2 * max(value, 1e-12)) if self.metric == "rmse" else self.rates

    @cached_property
    def _excess(self) -> Array:
        """By how much a row (bins,), or a pair of rows (bins, bins), exceeds what the null allows on average."""
        if self.metric != "roc_auc":
            return self.rates - self._largest_mean_loss()
        concordant, pairs = pair_kernels(self.rates)
        return (self._least_area() * pairs) - concordant

    def _largest_mean_loss(self) -> float:
        shares = self.reference / self.reference.sum()
        mean = float(shares @ self.rates)
        power = 2 if self.metric == "rmse" else 1
        allowed: float = (mean ** (1 / power) + self.threshold) ** power
        return allowed + reference_error(self.rates, shares, float(self.reference.sum()))

    def _least_area(self) -> float:
        """The area by the null, less the sampling error of the reference's."""
        shares, area = self.reference / self.reference.sum(), self.reference_value
        error = reference_error(area_influence(self.rates, shares, area), shares, float(self.reference.sum()))
        return area - self.threshold - error


def pair_kernels(rates: Array) -> tuple[Array, Array]:
    """Of two rows in bins of these positive rates (bins,) the chance that just one is positive and has the higher bin, and that just one is.

    Both are (bins, bins); rows of one bin count as ties, 1/2. The ROC area is the ratio of their means over pairs.
    """
    mixed = rates[:, None] * (1 - rates[None, :])
    pairs = mixed + mixed.T
    above = np.tril(np.ones_like(mixed), -1)
    concordant = mixed * above + (mixed * above).T + np.diag(np.diag(mixed))
    return concordant, pairs


def area_influence(rates: Array, shares: Array, area: float) -> Array:
    """The influence (bins,) of a row on the ROC area of rows with these positive rates and shares (bins,): a ratio of means over pairs."""
    concordant, pairs = pair_kernels(rates)
    influence: Array = 2 * ((concordant - area * pairs) @ shares) / float(shares @ pairs @ shares)
    return influence


def reference_error(values: Array, shares: Array, rows: float) -> float:
    """How far the mean of values (bins,) over `rows` rows with these shares (bins,) can be from its expectation.

    It holds except with probability REFERENCE_ERROR: the empirical Bernstein bound (Maurer and Pontil, COLT 2009).
    """
    mean = float(shares @ values)
    variance = float(shares @ (values - mean) ** 2)
    logarithm, extent = math.log(2 / REFERENCE_ERROR), float(np.ptp(values))
    return math.sqrt(2 * variance * logarithm / rows) + 7 * logarithm * extent / (3 * max(rows - 1, 1.0))


def pair_rows(counts: Array, seed: int) -> Array:
    """Counts (bins, bins) of the pairs of rows with counts (bins,): each row is in one pair at most, drawn with `seed`."""
    random, bins = np.random.default_rng(seed), len(counts)
    rows = counts.astype(np.int64)
    if rows.sum() > MAX_PAIRED_ROWS:
        rows = random.multivariate_hypergeometric(rows, MAX_PAIRED_ROWS, method="marginals")
    drawn = random.permutation(np.repeat(np.arange(bins), rows))
    half = len(drawn) // 2
    found = np.bincount(drawn[:half] * bins + drawn[half : 2 * half], minlength=bins * bins)
    return found.reshape(bins, bins).astype(np.float64)

"""Few labels, right answer: the mean loss and the ROC area of all rows, from rows that were drawn to be labelled.

Each row was drawn by itself with a probability that is known (Poisson sampling). A drawn row counts as 1/probability rows, which makes a
sum over the drawn rows an unbiased estimate of that over all rows, whatever the probabilities are (Horvitz and Thompson, JASA 47, 1952).
A mean is the ratio of two such sums (Hájek 1971): nearly unbiased, and right also where a random part of the drawn rows was labelled.
The draw itself is in flywheel/client/labels/label_sampling.py, since a user makes it.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from flywheel_runtime.contract.errors import Undefined
from flywheel_runtime.monitoring.statistics.quantiles import Array

MIN_PROBABILITY = 1e-6  # of a draw, as the server has it
MAX_WEIGHT = 20.0  # times the mean weight; a draw of `flywheel label` gives no row more than about 4
ROUNDING = 1e-9  # below which a share's variance is that of rounding


@dataclass(frozen=True)
class Estimate:
    """An estimate with its standard error and an interval. `effective` rows of a fair sample would have the same error."""

    value: float
    standard_error: float
    low: float
    high: float
    effective: float


def combine_samples(probabilities: ArrayLike, is_uniform: ArrayLike) -> Array:
    """Weights (rows,) of labelled rows, of which two samples are known: those that were drawn, and those that were labelled anyway.

    `probabilities` (rows,) is NaN where the row was not drawn, and `is_uniform` (rows,) whether its label came without a draw, which makes
    such rows a sample without a preference. A row may be in both. The mean by these weights is that of both samples' means, each weighted
    by its effective number of rows (Kish: (sum w)² / sum w²), which does not depend on losses, so that both stay unbiased.
    Weights of drawn rows are cut at `largest_weight`.
    """
    inverse = _inverse_probabilities(probabilities)
    inverse = np.minimum(inverse, largest_weight(inverse[inverse > 0]))
    total = inverse.sum()
    scale = total / (inverse**2).sum() if total else 0.0
    weights: Array = np.asarray(is_uniform, dtype=np.float64) + inverse * scale
    return weights


def count_capped(probabilities: ArrayLike) -> int:
    """How many rows with these probabilities (rows,), NaN where the row was not drawn, have a weight that is cut."""
    inverse = _inverse_probabilities(probabilities)
    return int((inverse > largest_weight(inverse[inverse > 0])).sum())


def largest_weight(weights: Array) -> float:
    """The largest weight that counts of drawn rows with positive weights (rows,): 20 times their mean once larger ones are cut to it.

    Without it, one label with a wrong probability could outweigh all others. Of up to 20 rows none is cut.
    """
    if not len(weights):
        return 0.0
    ordered = np.sort(weights)[::-1]
    capped = np.arange(math.ceil(len(ordered) / MAX_WEIGHT))
    rest = np.cumsum(ordered[::-1])[::-1][capped]  # of the rows after the largest ones
    limits = MAX_WEIGHT * rest / (len(ordered) - MAX_WEIGHT * capped)
    fits = limits >= ordered[capped]
    return float(limits[np.argmax(fits)]) if fits.any() else float(ordered[0])


def _inverse_probabilities(probabilities: ArrayLike) -> Array:
    """1/probability (rows,), 0 where it is NaN."""
    chances = np.asarray(probabilities, dtype=np.float64)
    inverse: Array = np.where(np.isnan(chances), 0.0, 1 / np.where(np.isnan(chances), 1.0, chances))
    return inverse


def weighted_mean(losses: ArrayLike, weights: ArrayLike, confidence: float = 0.95) -> Estimate:
    """The mean of losses (rows,) by weights (rows,), with a normal interval.

    The variance is sum(weight² (loss - mean)²) / (sum weight)²: of a ratio of two sums, linearized.

    Raises:
        Undefined: fewer than two rows are labelled.
    """
    values, given = np.asarray(losses, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    if len(values) < 2:
        raise Undefined("fewer than two rows are labelled")
    share = given / given.sum()
    value = float(share @ values)
    error = float(np.sqrt(((share * (values - value)) ** 2).sum()))
    half = _quantile(confidence) * error
    return Estimate(value, error, value - half, value + half, float(1 / (share**2).sum()))


def weighted_share(hits: ArrayLike, weights: ArrayLike, confidence: float = 0.95) -> Estimate:
    """The share of hits (rows,), 0 or 1, by weights (rows,), with Wilson's interval of as many rows as have the same variance.

    Where the labelled rows show no variance (no hit, or nothing else), these are Kish's effective rows.

    Raises:
        Undefined: fewer than two rows are labelled.
    """
    found = weighted_mean(hits, weights, confidence)
    value = min(1.0, max(0.0, found.value))
    spread = value * (1 - value)
    rows = spread / found.standard_error**2 if spread > ROUNDING else found.effective
    z = _quantile(confidence)
    middle = (value + z**2 / (2 * rows)) / (1 + z**2 / rows)
    half = z / (1 + z**2 / rows) * float(np.sqrt(spread / rows + z**2 / (4 * rows**2)))
    return Estimate(value, found.standard_error, max(0.0, middle - half), min(1.0, middle + half), rows)


def weighted_roc_auc(y_true: ArrayLike, score: ArrayLike, weights: ArrayLike, confidence: float = 0.95) -> Estimate:
    """The ROC area of rows with `y_true` (rows,) 0 or 1, `score` (rows,) and weights (rows,), and its normal interval on the logit scale.

    The variance is DeLong's with weights: that of the weighted share of negatives below each positive row, and the reverse.

    Raises:
        Undefined: fewer than two rows of a class are labelled.
    """
    is_positive = np.asarray(y_true).astype(bool)
    scores, given = np.asarray(score, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    if min(int(is_positive.sum()), int((~is_positive).sum())) < 2:
        raise Undefined("fewer than two rows of a class are labelled")
    positives, negatives = scores[is_positive], scores[~is_positive]
    of_positive = given[is_positive] / given[is_positive].sum()
    of_negative = given[~is_positive] / given[~is_positive].sum()
    below = _share_below(positives, negatives, of_negative)
    above = 1 - _share_below(negatives, positives, of_positive)
    area = float(of_positive @ below)
    variance = ((of_positive * (below - area)) ** 2).sum() + ((of_negative * (above - area)) ** 2).sum()
    error = float(np.sqrt(variance))
    low, high = _logit_interval(area, error, _quantile(confidence))
    return Estimate(area, error, low, high, float(1 / (of_positive**2).sum() + 1 / (of_negative**2).sum()))


def _share_below(scores: Array, others: Array, weights: Array) -> Array:
    """For each score (rows,) the weight of `others` that are below, and half of that of equal ones; the weights (others,) sum to 1."""
    order = np.argsort(others, kind="stable")
    cumulative = np.append(0.0, np.cumsum(weights[order]))
    ordered = others[order]
    low, high = np.searchsorted(ordered, scores, "left"), np.searchsorted(ordered, scores, "right")
    shares: Array = (cumulative[low] + cumulative[high]) / 2
    return shares


def _logit_interval(area: float, error: float, z: float) -> tuple[float, float]:
    """Stays within 0 and 1; an area of 0 or 1 without an error has no width that could be known."""
    if not 0 < area < 1 or error == 0:
        return max(0.0, area - z * error), min(1.0, area + z * error)
    middle, half = float(np.log(area / (1 - area))), z * error / (area * (1 - area))
    low, high = 1 / (1 + np.exp(-(middle - half))), 1 / (1 + np.exp(-(middle + half)))
    return float(low), float(high)


def _quantile(confidence: float) -> float:
    return NormalDist().inv_cdf((1 + confidence) / 2)

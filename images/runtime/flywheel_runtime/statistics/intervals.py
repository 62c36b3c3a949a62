"""Confidence intervals of a metric, and of the difference between two models on the same rows.

              a metric of one model          the difference of two models
accuracy      Wilson                         paired bootstrap
roc_auc (2)   Newcombe                       DeLong
all others    bootstrap                      paired bootstrap

The bootstrap is the percentile method over whole rows, not stratified, with 1,000 resamples (fewer above 200,000 rows, at least 200)
and one seed, so that the same rows give the same interval. It never leaves a metric's range and follows the skew of losses.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from flywheel_runtime.contract.errors import Undefined
from flywheel_runtime.statistics.metrics import Array, ScoredRows, WeightedMetric, metric_function, metric_value

CONFIDENCE = 0.95
RESAMPLES, MIN_RESAMPLES = 1000, 200
MAX_DRAWS = 200_000_000  # of a row, in all resamples: seconds
MAX_CELLS = 1_000_000  # weights in memory at a time: 8 MB, which is faster than more
MAX_UNDEFINED_FRACTION = 0.05  # of the resamples
BOOTSTRAP_SEED = 7
BISECTIONS = 60


@dataclass(frozen=True)
class Interval:
    """A value, the two ends between which it lies with the requested confidence, and the name of the method."""

    value: float
    low: float
    high: float
    method: str


def metric_interval(metric: str, scored: ScoredRows, confidence: float = CONFIDENCE) -> Interval:
    """The interval of a metric of one model.

    Raises:
        Undefined: the metric is undefined on these rows, or on more than 5 % of their resamples.
    """
    if metric == "accuracy" and len(scored):
        return wilson(metric_value(metric, scored), len(scored), confidence)
    if metric == "roc_auc" and scored.is_binary:
        positives = int(scored.y_true.sum())
        return newcombe(metric_value(metric, scored), positives, len(scored) - positives, confidence)
    return bootstrap(metric_function(metric, scored), len(scored), confidence)


def difference_interval(metric: str, first: ScoredRows, second: ScoredRows, confidence: float = CONFIDENCE) -> Interval:
    """The interval of the metric of `first` minus that of `second`, two models on the same rows.

    Raises:
        Undefined: as for metric_interval.
    """
    if metric == "roc_auc" and first.is_binary:
        return delong(first.y_true, first.probabilities[:, 1], second.probabilities[:, 1], confidence)
    of_first, of_second = metric_function(metric, first), metric_function(metric, second)
    return bootstrap(lambda weights: of_first(weights) - of_second(weights), len(first), confidence)


def bootstrap(
    metric: WeightedMetric, rows: int, confidence: float = CONFIDENCE, seed: int = BOOTSTRAP_SEED
) -> Interval:
    """Percentile interval: rows are drawn with replacement, so a difference always compares two models on the same ones.

    `metric` takes weights (resamples, rows): how often each row was drawn. Efron and Tibshirani, An Introduction to the Bootstrap,
    1993, section 13.3.

    Raises:
        Undefined: the metric is NaN on all rows, or on more than 5 % of the resamples.
    """
    value = float(metric(np.ones((1, rows)))[0]) if rows else float("nan")
    if not math.isfinite(value):
        raise Undefined("the rows are too few, or of too few classes, for an interval")
    random = np.random.default_rng(seed)
    resamples = max(MIN_RESAMPLES, min(RESAMPLES, MAX_DRAWS // rows))
    step = max(1, MAX_CELLS // rows)
    counts = [min(step, resamples - start) for start in range(0, resamples, step)]
    values = np.concatenate([metric(_draw_weights(random, count, rows)) for count in counts])
    if float(np.isnan(values).mean()) > MAX_UNDEFINED_FRACTION:
        raise Undefined("the rows are too few, or of too few classes, for an interval")
    low, high = np.nanquantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(value, float(low), float(high), "bootstrap")


def _draw_weights(random: np.random.Generator, resamples: int, rows: int) -> Array:
    drawn = random.integers(0, rows, (resamples, rows)) + np.arange(resamples)[:, None] * rows
    return np.bincount(drawn.ravel(), minlength=resamples * rows).reshape(resamples, rows).astype(float)


def wilson(share: float, rows: int, confidence: float = CONFIDENCE) -> Interval:
    """Wilson's score interval of a share of `rows`.

    Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22, 1927.
    """
    z = _normal_quantile(confidence)
    middle = (share + z**2 / (2 * rows)) / (1 + z**2 / rows)
    half = z / (1 + z**2 / rows) * math.sqrt(share * (1 - share) / rows + z**2 / (4 * rows**2))
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half), "Wilson")


def newcombe(area: float, positives: int, negatives: int, confidence: float = CONFIDENCE) -> Interval:
    """The interval of a ROC area: the areas from which it is z of their own standard errors away. It holds for few rows and near 1.

    Newcombe, "Confidence Intervals for an Effect Size Measure Based on the Mann-Whitney Statistic, Part 2", Statistics in Medicine 25,
    2006, method 5.

    Raises:
        Undefined: a class has no row.
    """
    if positives < 1 or negatives < 1:
        raise Undefined("there is no row of a class")
    z, size = _normal_quantile(confidence), (positives + negatives) / 2 - 1

    def is_beyond(other: float) -> bool:
        spread = other * (1 - other) * (1 + size * ((1 - other) / (2 - other) + other / (1 + other)))
        return (other - area) ** 2 > z**2 * spread / (positives * negatives)

    return Interval(area, _bisect(0.0, area, is_beyond), _bisect(1.0, area, is_beyond), "Newcombe")


def _bisect(outside: float, inside: float, is_beyond: Callable[[float], bool]) -> float:
    for _ in range(BISECTIONS):
        middle = (outside + inside) / 2
        outside, inside = (middle, inside) if is_beyond(middle) else (outside, middle)
    return inside


def delong(y_true: Array, first: Array, second: Array, confidence: float = CONFIDENCE) -> Interval:
    """The difference (first - second) of two correlated ROC areas, and its normal interval.

    `y_true` (rows,) is 0 or 1, `first` and `second` (rows,) are scores. DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988, by the
    midranks of Sun and Xu, "Fast Implementation of DeLong's Algorithm for Comparing the Areas Under Correlated Receiver Operating
    Characteristic Curves", IEEE Signal Processing Letters 21 (11), 2014.

    Raises:
        Undefined: there are fewer than two rows of a class.
    """
    is_positive = y_true.astype(bool)
    positives, negatives = int(is_positive.sum()), int((~is_positive).sum())
    if positives < 2 or negatives < 2:
        raise Undefined("there are fewer than two test rows of a class")
    components = [_structural_components(score[is_positive], score[~is_positive]) for score in (first, second)]
    areas = [float(of_positives.mean()) for of_positives, _ in components]
    of_positives, of_negatives = (np.cov(np.stack(each)) for each in zip(*components, strict=True))
    covariance = of_positives / positives + of_negatives / negatives
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    half = _normal_quantile(confidence) * max(variance, 0.0) ** 0.5
    difference = areas[0] - areas[1]
    return Interval(difference, difference - half, difference + half, "DeLong")


def _structural_components(positives: Array, negatives: Array) -> tuple[Array, Array]:
    """For each positive row the share of negatives below it, for each negative row the share of positives above it."""
    ranks = midranks(np.concatenate([positives, negatives]))
    of_positives = (ranks[: len(positives)] - midranks(positives)) / len(negatives)
    of_negatives = 1 - (ranks[len(positives) :] - midranks(negatives)) / len(positives)
    return of_positives, of_negatives


def midranks(values: Array) -> Array:
    """Ranks (rows,) of values (rows,) from 1; equal values share the mean of theirs."""
    order = np.argsort(values, kind="stable")
    sorted_values = values[order]
    starts = np.flatnonzero(np.append(True, sorted_values[1:] != sorted_values[:-1]))
    ends = np.append(starts[1:], len(values))
    ranks = np.empty(len(values))
    ranks[order] = np.repeat((starts + ends + 1) / 2, ends - starts)
    return ranks


def _normal_quantile(confidence: float) -> float:
    return NormalDist().inv_cdf((1 + confidence) / 2)

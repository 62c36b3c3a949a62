"""How sure a difference between two models on the same rows is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flywheel_runtime.contract.errors import Undefined

Array = NDArray[Any]
RESAMPLES = 1000
MOST_CELLS = 4_000_000  # weights held at once: 32 MB
MOST_UNDEFINED = 0.05  # of the resamples


@dataclass(frozen=True)
class Interval:
    """A difference, and the two ends between which it lies with the confidence that was asked for; `method` says how they were found."""

    difference: float
    low: float
    high: float
    method: str


def bootstrap(
    difference: Callable[[Array], Array], rows: int, seed: int, confidence: float, resamples: int = RESAMPLES
) -> Interval:
    """Percentile interval of a paired bootstrap: whole rows are drawn, so both models are always compared on the same ones.

    `difference` takes weights (resamples, rows), how often each row was drawn. Efron and Tibshirani, An Introduction to the Bootstrap, 1993, §13.3.

    Raises:
        Undefined: there is no difference on all rows, or on more than 5 % of the resamples.
    """
    whole = float(difference(np.ones((1, rows)))[0]) if rows else float("nan")
    random = np.random.default_rng(seed)
    at_once = max(1, min(resamples, MOST_CELLS // max(rows, 1)))
    found: list[Array] = []
    while rows and sum(map(len, found)) < resamples:
        found.append(difference(_draw(random, min(at_once, resamples - sum(map(len, found))), rows)))
    values = np.concatenate(found) if found else np.empty(0)
    undefined = float(np.isnan(values).mean()) if len(values) else 1.0
    if not np.isfinite(whole) or undefined > MOST_UNDEFINED:
        raise Undefined("the rows are too few, or of too few classes, for an interval")
    low, high = np.nanquantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(whole, float(low), float(high), "bootstrap")


def _draw(random: np.random.Generator, resamples: int, rows: int) -> Array:
    drawn = random.integers(0, rows, (resamples, rows)) + np.arange(resamples)[:, None] * rows
    return np.bincount(drawn.ravel(), minlength=resamples * rows).reshape(resamples, rows).astype(float)


def delong(truth: Array, first: Array, second: Array, confidence: float) -> Interval:
    """The difference (first - second) of two correlated ROC areas, and its normal interval.

    `truth` (rows,) is 0 or 1, `first` and `second` (rows,) are scores. The estimator is that of DeLong, DeLong and Clarke-Pearson
    (Biometrics 44, 1988), by the midranks of Sun and Xu, "Fast Implementation of DeLong's Algorithm for Comparing the Areas Under Correlated
    Receiver Operating Characteristic Curves", IEEE Signal Processing Letters 21 (11), 2014.

    Raises:
        Undefined: there are fewer than two rows of a class.
    """
    positive = truth.astype(bool)
    count, rest = int(positive.sum()), int((~positive).sum())
    if count < 2 or rest < 2:
        raise Undefined("there are fewer than two test rows of a class")
    parts = [_components(score[positive], score[~positive]) for score in (first, second)]
    areas = [float(of_positive.mean()) for of_positive, _ in parts]
    over_positive = np.cov(np.stack([of_positive for of_positive, _ in parts]))
    over_rest = np.cov(np.stack([of_rest for _, of_rest in parts]))
    covariance = over_positive / count + over_rest / rest
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * max(variance, 0.0) ** 0.5
    difference = areas[0] - areas[1]
    return Interval(difference, difference - reach, difference + reach, "DeLong")


def _components(positive: Array, rest: Array) -> tuple[Array, Array]:
    """For each positive row the share of the rest below it, for each of the rest the share of positives above it."""
    together = midranks(np.concatenate([positive, rest]))
    of_positive = (together[: len(positive)] - midranks(positive)) / len(rest)
    of_rest = 1 - (together[len(positive) :] - midranks(rest)) / len(positive)
    return of_positive, of_rest


def midranks(values: Array) -> Array:
    """Ranks from 1; equal values share the mean of theirs."""
    order = np.argsort(values, kind="stable")
    sorted_values = values[order]
    starts = np.flatnonzero(np.append(True, sorted_values[1:] != sorted_values[:-1]))
    ends = np.append(starts[1:], len(values))
    ranks = np.empty(len(values))
    ranks[order] = np.repeat((starts + ends + 1) / 2, ends - starts)
    return ranks

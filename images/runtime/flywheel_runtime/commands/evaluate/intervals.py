"""How sure a metric is: 95 % intervals, by the method that suits each metric. No randomness but one fixed seed.

- accuracy: Wilson, E. B. (1927), Probable inference, the law of succession, and statistical inference, JASA 22, 209-212.
- roc_auc of two classes: Newcombe, R. G. (2006), Confidence intervals for an effect size measure based on the Mann-Whitney
  statistic, part 2, Statistics in Medicine 25, 559-573, method 5; it stays honest for few rows and near 1.
- brier, log_loss, mae, mape, rmse: the normal interval of a mean of losses; for rmse by the delta method.
- others: the normal interval with the bootstrap's standard error (Efron and Tibshirani, 1993, An Introduction to the
  Bootstrap, chapter 6: 50 resamples are often enough for a standard error).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flywheel_runtime.statistics import scoring

Array = NDArray[Any]
Z = 1.959963984540054  # of 95 %
SEED = 7
MOST_RESAMPLES, FEWEST_RESAMPLES, ROWS_TO_DRAW = 50, 25, 2_000_000
# A metric of such a kind never leaves these.
BOUNDS = {"log_loss": (0.0, math.inf), "rmse": (0.0, math.inf), "mae": (0.0, math.inf), "mape": (0.0, math.inf)}
BOUNDS |= {"r2": (-math.inf, 1.0), "brier": (0.0, 2.0)}


@dataclass(frozen=True)
class Judged:
    """Right answers (rows,), labels or values (rows,), probabilities (rows, classes)."""

    y: Array
    label: Array
    probabilities: Array

    def __len__(self) -> int:
        return len(self.y)

    def part(self, chosen: Array) -> Judged:
        return Judged(self.y[chosen], self.label[chosen], self.probabilities[chosen])

    def score(self, names: list[str], task: str) -> dict[str, float]:
        return scoring.score(names, task, self.y, self.label, self.probabilities)


@dataclass(frozen=True)
class Interval:
    """A 95 % interval and the name of its method."""

    low: float
    high: float
    method: str


def of(metric: str, task: str, judged: Judged, value: float) -> Interval | None:
    """The interval of a metric that has this value; None where the rows are too few to tell."""
    if len(judged) < 2:
        return None
    if metric == "accuracy":
        return wilson(value, len(judged))
    if metric == "roc_auc" and judged.probabilities.shape[1] == 2:
        positives = int(judged.y.sum())
        return newcombe(value, positives, len(judged) - positives)
    if metric in _LOSSES:
        losses = _LOSSES[metric](judged)
        error = float(np.std(losses, ddof=1)) / math.sqrt(len(losses))
        if metric == "rmse":
            error = error / (2 * value) if value > 0 else 0.0
        return _normal(metric, value, error, "mean of losses")
    found = _resampled(metric, task, judged)
    return _normal(metric, value, float(np.std(found, ddof=1)), "bootstrap") if len(found) > 1 else None


def wilson(share: float, rows: int) -> Interval:
    """Wilson's score interval of a share of `rows`."""
    middle = (share + Z**2 / (2 * rows)) / (1 + Z**2 / rows)
    half = Z / (1 + Z**2 / rows) * math.sqrt(share * (1 - share) / rows + Z**2 / (4 * rows**2))
    return Interval(max(0.0, middle - half), min(1.0, middle + half), "Wilson")


def newcombe(area: float, positives: int, negatives: int) -> Interval | None:
    """Newcombe's interval of an area under the ROC curve: the areas that lie Z of their own standard errors away."""
    if positives < 1 or negatives < 1:
        return None
    size = (positives + negatives) / 2 - 1

    def too_far(theta: float) -> bool:
        spread = theta * (1 - theta) * (1 + size * ((1 - theta) / (2 - theta) + theta / (1 + theta)))
        return (theta - area) ** 2 > Z**2 * spread / (positives * negatives)

    return Interval(_edge(0.0, area, too_far), _edge(1.0, area, too_far), "Newcombe")


def _edge(outside: float, inside: float, too_far: Callable[[float], bool]) -> float:
    for _ in range(60):
        middle = (outside + inside) / 2
        outside, inside = (middle, inside) if too_far(middle) else (outside, middle)
    return inside


def _chosen_class(judged: Judged) -> Array:
    return np.asarray(judged.probabilities[np.arange(len(judged)), judged.y.astype(int)])


def _brier(judged: Judged) -> Array:
    if judged.probabilities.shape[1] == 2:
        return np.asarray((judged.probabilities[:, 1] - judged.y) ** 2)
    truth = judged.y[:, None] == np.arange(judged.probabilities.shape[1])
    return np.asarray(((judged.probabilities - truth) ** 2).sum(axis=1))


def _relative(judged: Judged) -> Array:
    least = np.finfo(np.float64).eps  # as scikit-learn has it
    return np.asarray(np.abs(judged.label - judged.y) / np.maximum(np.abs(judged.y), least))


_LOSSES: dict[str, Callable[[Judged], Array]] = {
    "brier": _brier,
    "log_loss": lambda judged: -np.log(np.maximum(_chosen_class(judged), np.finfo(np.float64).eps)),
    "mae": lambda judged: np.abs(judged.label - judged.y),
    "mape": _relative,
    "rmse": lambda judged: (judged.label - judged.y) ** 2,
}


def _resampled(metric: str, task: str, judged: Judged) -> list[float]:
    random = np.random.default_rng(SEED)
    times = max(FEWEST_RESAMPLES, min(MOST_RESAMPLES, ROWS_TO_DRAW // len(judged)))
    drawn = (judged.part(random.integers(0, len(judged), len(judged))) for _ in range(times))
    scores = (part.score([metric], task).get(metric) for part in drawn)
    return [score for score in scores if score is not None]


def _normal(metric: str, value: float, error: float, method: str) -> Interval:
    low, high = BOUNDS.get(metric, (0.0, 1.0))
    return Interval(max(low, value - Z * error), min(high, value + Z * error), method)

"""Metrics as functions of row weights, so that a thousand resamples are one multiplication.

The definitions are scikit-learn's (statistics/scoring.py), with its `sample_weight`; for two classes the positive one is the second.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Measure = Callable[[Array], Array]
"""Weights (resamples, rows) to values (resamples,); NaN where the metric is undefined, as an area where only one class occurs."""


@dataclass(frozen=True)
class Answers:
    """What a model said of `rows` rows: `label` (rows,) class numbers (-1: no class of the data) or values, `probabilities` (rows, classes),
    which has no column where a value is predicted."""

    label: Array
    probabilities: Array

    def of(self, rows: Array) -> Answers:
        """The answers to some of the rows."""
        return Answers(self.label[rows], self.probabilities[rows])


def measure(metric: str, truth: Array, answers: Answers) -> Measure:
    """The metric of these answers, where `truth` (rows,) holds class numbers or values.

    Raises:
        KeyError: the metric is not one of the task's; see flywheel_runtime/statistics/metric_names.py.
    """
    if answers.probabilities.shape[1] == 0:
        return _regression(metric, truth.astype(float), answers.label.astype(float))
    return _classification(metric, truth.astype(int), answers)


def value(metric: str, truth: Array, answers: Answers) -> float:
    """The metric of all rows, each counted once; NaN where it is undefined."""
    if not len(truth):
        return float("nan")
    return float(measure(metric, truth, answers)(np.ones((1, len(truth))))[0])


def _classification(metric: str, truth: Array, answers: Answers) -> Measure:
    if metric in ("roc_auc", "average_precision"):
        return _over_classes(_area if metric == "roc_auc" else _precision, truth, answers.probabilities)
    if metric in ("balanced_accuracy", "f1", "f1_macro"):
        return _of_counts(metric, truth, answers)
    losses = {"accuracy": _hits, "log_loss": _log_losses, "brier": _squares}
    return _mean(losses[metric](truth, answers))


def _regression(metric: str, truth: Array, found: Array) -> Measure:
    error = found - truth
    if metric == "r2":
        return _determination(truth, error)
    if metric == "rmse":
        mean = _mean(error**2)
        return lambda weights: np.sqrt(mean(weights))
    scale = {"mae": np.ones_like(truth), "mape": np.maximum(np.abs(truth), np.finfo(float).eps)}
    return _mean(np.abs(error) / scale[metric])


def _mean(losses: Array) -> Measure:
    return lambda weights: np.asarray(weights @ losses / weights.sum(axis=1))


def _hits(truth: Array, answers: Answers) -> Array:
    return np.asarray(answers.label == truth, dtype=float)


def _log_losses(truth: Array, answers: Answers) -> Array:
    # As scikit-learn: never the logarithm of 0, and rows that sum to 1.
    given = answers.probabilities.astype(float)
    clipped = np.clip(given, np.finfo(answers.probabilities.dtype).eps, 1 - np.finfo(answers.probabilities.dtype).eps)
    share = clipped[np.arange(len(truth)), truth] / clipped.sum(axis=1)
    return np.asarray(-np.log(share))


def _squares(truth: Array, answers: Answers) -> Array:
    probabilities = answers.probabilities.astype(float)
    if probabilities.shape[1] == 2:
        return np.asarray((probabilities[:, 1] - truth) ** 2)
    return np.asarray(np.sum((probabilities - (truth[:, None] == np.arange(probabilities.shape[1]))) ** 2, axis=1))


def _determination(truth: Array, error: Array) -> Measure:
    def of(weights: Array) -> Array:
        total = weights.sum(axis=1)
        spread = weights @ truth**2 - (weights @ truth) ** 2 / total
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(spread > 0, 1 - weights @ error**2 / spread, np.nan))

    return of


def _of_counts(metric: str, truth: Array, answers: Answers) -> Measure:
    classes = np.arange(answers.probabilities.shape[1])
    is_true, is_found = truth[:, None] == classes, answers.label[:, None] == classes
    both = (is_true & is_found).astype(float)

    def of(weights: Array) -> Array:
        hits, true, found = weights @ both, weights @ is_true.astype(float), weights @ is_found.astype(float)
        with np.errstate(divide="ignore", invalid="ignore"):
            if metric == "balanced_accuracy":
                return _average(hits / true, true > 0)
            score = np.nan_to_num(2 * hits / (true + found))
        if metric == "f1_macro":
            return _average(score, true + found > 0)
        weighted = (score * true).sum(axis=1) / true.sum(axis=1)
        return np.asarray(score[:, 1] if len(classes) == 2 else weighted)

    return of


def _average(values: Array, counted: Array) -> Array:
    return np.asarray(np.where(counted, values, 0).sum(axis=1) / counted.sum(axis=1))


def _over_classes(one: Callable[[Array, Array], Measure], truth: Array, probabilities: Array) -> Measure:
    """Of the second of two classes, or the mean over each class against the rest."""
    classes = (1,) if probabilities.shape[1] == 2 else tuple(range(probabilities.shape[1]))
    parts = [one((truth == number).astype(float), probabilities[:, number]) for number in classes]
    return lambda weights: np.asarray(np.mean([part(weights) for part in parts], axis=0))


def _curve(truth: Array, score: Array) -> Callable[[Array], tuple[Array, Array]]:
    """Weights to the true and false positives (resamples, thresholds), where each distinct score is a threshold."""
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.append(score[order][1:] != score[order][:-1], True))
    positive = truth[order]

    def of(weights: Array) -> tuple[Array, Array]:
        sorted_weights = weights[:, order]
        hits = np.cumsum(sorted_weights * positive, axis=1)[:, ends]
        return hits, np.cumsum(sorted_weights, axis=1)[:, ends] - hits

    return of


def _area(truth: Array, score: Array) -> Measure:
    curve = _curve(truth, score)

    def of(weights: Array) -> Array:
        hits, misses = curve(weights)
        pairs = hits[:, -1] * misses[:, -1]
        heights = (hits + np.pad(hits[:, :-1], ((0, 0), (1, 0)))) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray((np.diff(misses, axis=1, prepend=0) * heights).sum(axis=1) / pairs)

    return of


def _precision(truth: Array, score: Array) -> Measure:
    curve = _curve(truth, score)

    def of(weights: Array) -> Array:
        hits, misses = curve(weights)
        with np.errstate(divide="ignore", invalid="ignore"):
            precision = np.nan_to_num(hits / (hits + misses))
            return np.asarray((np.diff(hits, axis=1, prepend=0) * precision).sum(axis=1) / hits[:, -1])

    return of

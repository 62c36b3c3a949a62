"""Metrics by scikit-learn's definitions, as functions of row weights: a thousand bootstrap resamples are one call.

For two classes the positive one is the second. With more classes roc_auc and average_precision are the mean over each class against the
rest, f1 is the mean weighted by the rows of each class, and brier is summed over the classes (0 to 2). log_loss is in nats, mape a
fraction, rmse and mae have the target's unit.

A metric that the rows do not define is NaN, where scikit-learn returns a number by convention: average_precision and f1 without a
positive row (there 0), r2 of a constant target (there 0 or 1). Whoever reports metrics leaves such a one out (metric_values), so that it
counts neither as the worst slice nor in the mean over folds. log_loss clips probabilities at the epsilon of 64-bit floats, whatever their type.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flywheel_runtime.contract.errors import Failure

Array = NDArray[Any]
WeightedMetric = Callable[[Array], Array]
"""Weights (resamples, rows) to values (resamples,)."""

CLASSIFICATION = (
    "roc_auc",
    "average_precision",
    "accuracy",
    "balanced_accuracy",
    "f1",
    "f1_macro",
    "log_loss",
    "brier",
)
REGRESSION = ("rmse", "mae", "r2", "mape")
METRICS_OF_TASK = {"Classification": CLASSIFICATION, "Regression": REGRESSION}
DEFAULT_METRIC = {"Classification": "roc_auc", "Regression": "rmse"}
LESS_IS_BETTER = frozenset(("log_loss", "brier", "rmse", "mae", "mape"))
EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class ScoredRows:
    """Rows with their true and their predicted target.

    `y_true` and `predicted` (rows,) are class numbers from 0, or values; `probabilities` (rows, classes) has no column where values are
    predicted. A predicted number beyond the last class is a class that the data does not have: always wrong.
    """

    y_true: Array
    predicted: Array
    probabilities: Array

    def __len__(self) -> int:
        return len(self.y_true)

    @property
    def is_classification(self) -> bool:
        return bool(self.probabilities.shape[1])

    @property
    def is_binary(self) -> bool:
        return bool(self.probabilities.shape[1] == 2)

    def take(self, rows: Array) -> "ScoredRows":
        """Some of the rows, by their numbers."""
        return ScoredRows(self.y_true[rows], self.predicted[rows], self.probabilities[rows])


def order_metrics(task: str, objective: str) -> list[str]:
    """The names of all metrics of the task, the objective's first. Raises Failure MetricUnknown."""
    known = METRICS_OF_TASK[task]
    if objective not in known:
        message = f"Metric '{objective}' is not known for {task}; choose one of {', '.join(known)}."
        raise Failure("MetricUnknown", message)
    return [objective, *(name for name in known if name != objective)]


def metric_value(metric: str, scored: ScoredRows) -> float:
    """The metric of all rows, each counted once; NaN where it is undefined.

    Raises:
        KeyError: there are rows, and the metric is not one of their task's.
    """
    if not len(scored):
        return float("nan")
    return float(metric_function(metric, scored)(np.ones((1, len(scored))))[0])


def metric_values(metrics: Iterable[str], scored: ScoredRows) -> dict[str, float]:
    """Each metric that is defined on these rows, by name."""
    values = {metric: metric_value(metric, scored) for metric in metrics}
    return {metric: value for metric, value in values.items() if np.isfinite(value)}


def metric_function(metric: str, scored: ScoredRows) -> WeightedMetric:
    """The metric of these rows as a function of their weights.

    Raises:
        KeyError: the metric is not one of the rows' task (METRICS_OF_TASK).
    """
    if metric not in METRICS_OF_TASK["Classification" if scored.is_classification else "Regression"]:
        raise KeyError(metric)
    if metric in ("roc_auc", "average_precision"):
        return _one_vs_rest(_roc_auc if metric == "roc_auc" else _average_precision, scored)
    if metric in ("balanced_accuracy", "f1", "f1_macro"):
        return _from_class_counts(metric, scored)
    if metric == "r2":
        return _r2(scored)
    mean_loss = _weighted_mean(_LOSSES[metric](scored))
    return (lambda weights: np.sqrt(mean_loss(weights))) if metric == "rmse" else mean_loss


def describe_confusion(scored: ScoredRows, classes: list[str]) -> dict[str, Any]:
    """The confusion matrix as JSON: counts (classes, classes) of rows by their true class (first axis) and their predicted class."""
    pairs = scored.y_true.astype(int) * len(classes) + scored.predicted.astype(int)
    counts = np.bincount(pairs, minlength=len(classes) ** 2).reshape(len(classes), len(classes))
    return {"classes": classes, "rowsAre": "actual", "counts": counts.tolist()}


def _weighted_mean(losses: Array) -> WeightedMetric:
    return lambda weights: np.asarray(weights @ losses / weights.sum(axis=1))


def _log_losses(scored: ScoredRows) -> Array:
    clipped = np.clip(scored.probabilities.astype(float), EPSILON, 1 - EPSILON)
    of_true = clipped[np.arange(len(scored)), scored.y_true.astype(int)]
    return np.asarray(-np.log(of_true / clipped.sum(axis=1)))


def _brier_losses(scored: ScoredRows) -> Array:
    probabilities = scored.probabilities.astype(float)
    if scored.is_binary:
        return np.asarray((probabilities[:, 1] - scored.y_true) ** 2)
    one_hot = scored.y_true[:, None] == np.arange(probabilities.shape[1])
    return np.asarray(np.sum((probabilities - one_hot) ** 2, axis=1))


def _errors(scored: ScoredRows) -> Array:
    return np.asarray(scored.predicted.astype(float) - scored.y_true.astype(float))


_LOSSES: dict[str, Callable[[ScoredRows], Array]] = {
    "accuracy": lambda scored: np.asarray(scored.predicted == scored.y_true, dtype=float),
    "log_loss": _log_losses,
    "brier": _brier_losses,
    "rmse": lambda scored: _errors(scored) ** 2,
    "mae": lambda scored: np.abs(_errors(scored)),
    "mape": lambda scored: np.abs(_errors(scored)) / np.maximum(np.abs(scored.y_true.astype(float)), EPSILON),
}


def _r2(scored: ScoredRows) -> WeightedMetric:
    # Centred on the median, a constant target is exactly 0, and a large mean costs no digits.
    centred = scored.y_true.astype(float) - np.median(scored.y_true.astype(float))
    squared_errors = _errors(scored) ** 2
    # Where all drawn rows have one value, the two terms of `total` differ by the rounding of their sums, or not at all.
    rounding = 4 * len(scored) * EPSILON

    def metric(weights: Array) -> Array:
        squares = weights @ centred**2
        total = squares - (weights @ centred) ** 2 / weights.sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(total > rounding * squares, 1 - weights @ squared_errors / total, np.nan))

    return metric


def _from_class_counts(metric: str, scored: ScoredRows) -> WeightedMetric:
    classes = scored.probabilities.shape[1]
    y_true, predicted = scored.y_true.astype(int), np.minimum(scored.predicted.astype(int), classes)
    hit = np.where(predicted == y_true, y_true, classes)

    def class_sums(weights: Array, class_of_row: Array) -> Array:
        sums = [np.bincount(class_of_row, each, minlength=classes + 1)[:classes] for each in weights]
        return np.stack(sums)

    def value(weights: Array) -> Array:
        hits, true, positive = (class_sums(weights, each) for each in (hit, y_true, predicted))
        with np.errstate(divide="ignore", invalid="ignore"):
            if metric == "balanced_accuracy":
                return _mean_where(true > 0, hits / true)
            f1 = np.nan_to_num(2 * hits / (true + positive))
        if metric == "f1_macro":
            return _mean_where(true + positive > 0, f1)
        if classes == 2:
            return np.asarray(np.where(true[:, 1] > 0, f1[:, 1], np.nan))
        return np.asarray((f1 * true).sum(axis=1) / true.sum(axis=1))

    return value


def _mean_where(counted: Array, values: Array) -> Array:
    return np.asarray(np.where(counted, values, 0).sum(axis=1) / counted.sum(axis=1))


def _one_vs_rest(binary_metric: Callable[[Array, Array], WeightedMetric], scored: ScoredRows) -> WeightedMetric:
    classes = (1,) if scored.is_binary else range(scored.probabilities.shape[1])
    metrics = [binary_metric((scored.y_true == each).astype(float), scored.probabilities[:, each]) for each in classes]

    def mean(weights: Array) -> Array:
        values = np.stack([metric(weights) for metric in metrics], axis=1)
        with np.errstate(invalid="ignore"):
            return _mean_where(np.isfinite(values), values)

    return mean


def _threshold_counts(y_true: Array, score: Array) -> Callable[[Array], tuple[Array, Array]]:
    """Weights to the true and false positives (resamples, thresholds), where each distinct score is a threshold."""
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.append(score[order][1:] != score[order][:-1], True))
    positive = y_true[order]

    def counts(weights: Array) -> tuple[Array, Array]:
        sorted_weights = weights[:, order]
        true_positives = np.cumsum(sorted_weights * positive, axis=1)[:, ends]
        return true_positives, np.cumsum(sorted_weights, axis=1)[:, ends] - true_positives

    return counts


def _roc_auc(y_true: Array, score: Array) -> WeightedMetric:
    counts = _threshold_counts(y_true, score)

    def area(weights: Array) -> Array:
        true_positives, false_positives = counts(weights)
        heights = (true_positives + np.pad(true_positives[:, :-1], ((0, 0), (1, 0)))) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            area = (np.diff(false_positives, axis=1, prepend=0) * heights).sum(axis=1)
            return np.asarray(area / (true_positives[:, -1] * false_positives[:, -1]))

    return area


def _average_precision(y_true: Array, score: Array) -> WeightedMetric:
    counts = _threshold_counts(y_true, score)

    def area(weights: Array) -> Array:
        true_positives, false_positives = counts(weights)
        with np.errstate(divide="ignore", invalid="ignore"):
            precision = np.nan_to_num(true_positives / (true_positives + false_positives))
            steps = np.diff(true_positives, axis=1, prepend=0)
            return np.asarray((steps * precision).sum(axis=1) / true_positives[:, -1])

    return area

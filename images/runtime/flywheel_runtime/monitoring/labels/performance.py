"""Labelled performance of one version in one window: the metric with its interval, how far it is below that of the test rows, and a test."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from flywheel_runtime.contract.errors import Undefined
from flywheel_runtime.monitoring.documents import MAX_COUNT
from flywheel_runtime.monitoring.labels.drawn_labels import is_finite_interval, weighted_interval
from flywheel_runtime.monitoring.labels.join import LabelledRows
from flywheel_runtime.monitoring.labels.losses import LossScale, loss_scale, loss_weights, row_losses
from flywheel_runtime.monitoring.labels.window_rows import MAX_VALUE
from flywheel_runtime.monitoring.statistics.monitored_stream import loss_stream, observe_losses
from flywheel_runtime.monitoring.statistics.streams.decision import Finding as Outcome
from flywheel_runtime.monitoring.statistics.streams.decision import State
from flywheel_runtime.statistics.intervals import Interval, metric_interval
from flywheel_runtime.statistics.metrics import LESS_IS_BETTER, METRICS_OF_TASK, Array, ScoredRows, metric_value

Z = 1.959964  # of a 95 % interval
MIN_LOSSES = (
    30  # of a window with enough labelled rows: pairs are fewer, as there are no more than rows of the rarer class
)


@dataclass(frozen=True)
class PerformanceTarget:
    """The metric that is watched, and by how much it may be worse than on the test rows."""

    metric: str
    max_drop: float


@dataclass(frozen=True)
class TestMetric:
    """The metric on the rows of the version's test split, from its evaluation.json; `rows` (of roc_auc: pairs) say how sure it is."""

    __test__ = False  # pytest: no tests in here

    value: float
    rows: int


@dataclass(frozen=True)
class Performance:
    """What the labels of a window say. `drop` is above 0 where the model is worse than on its test rows."""

    window: LabelledRows
    target: PerformanceTarget
    reference: TestMetric
    scale: LossScale
    interval: Interval
    losses: Array
    weights: Array | None = None  # of the losses; None where all count alike

    @property
    def drop(self) -> float:
        """How much worse the metric is than on the test rows."""
        difference = self.reference.value - self.interval.value
        return -difference if self.target.metric in LESS_IS_BETTER else difference

    def observe(self, state: Mapping[str, Any] | None, allowance: float, min_rows: int) -> tuple[State, Outcome]:
        """One look of the test at this window, which is frozen. Returns the state of the next look, and the outcome.

        A window with fewer labelled rows than `min_rows` is not tested.
        """
        stream = loss_stream(self.scale.reference, self.reference.rows, self.scale.max_increase)
        has_enough = len(self.window.scored) >= min_rows
        min_losses = MIN_LOSSES if has_enough else len(self.losses) + 1
        return observe_losses(
            stream, state, self.losses, allowance, self.window.start, min_rows=min_losses, weights=self.weights
        )

    def to_json(self) -> dict[str, Any]:
        """What the report says of the window."""
        return {
            "start": self.window.start,
            "version": self.window.version,
            "metric": self.target.metric,
            "value": self.interval.value,
            "low": self.interval.low,
            "high": self.interval.high,
            "test": self.reference.value,
            "drop": self.drop,
            "maxDrop": self.target.max_drop,
            "labels": self.window.counts.to_json(),
        }


def read_test_metric(metric: str, evaluation: Mapping[str, Any]) -> TestMetric:
    """The metric on the test rows in an evaluation.json.

    Raises:
        Undefined: the document has no test rows, or not this metric.
    """
    value = read_test_value(metric, evaluation)
    try:
        rows = test_rows = int(evaluation["test"]["rows"])
        if metric == "roc_auc":
            counts = (evaluation.get("confusionMatrix") or {}).get("counts")
            rows = min(sum(each) for each in counts) if counts else rows // 2
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise _no_test_metric(metric) from error
    if not 0 < test_rows <= MAX_COUNT:
        raise _no_test_metric(metric)
    return TestMetric(value, max(1, rows))


def read_test_value(metric: str, evaluation: Mapping[str, Any]) -> float:
    """The metric on the test rows in an evaluation.json, which a user's own step may have written.

    Raises:
        Undefined: the document has no such number, or one with which errors cannot be compared.
    """
    try:
        value = float(evaluation["test"]["metrics"][metric])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _no_test_metric(metric) from error
    if not abs(value) <= MAX_VALUE:
        raise _no_test_metric(metric)
    return value


def _no_test_metric(metric: str) -> Undefined:
    return Undefined(f"the version has no {metric} on test rows; give its Dataset a split with a test part")


def measure_performance(window: LabelledRows, target: PerformanceTarget, reference: TestMetric) -> Performance:
    """The performance of a window.

    Raises:
        Undefined: the labels do not define the metric, or it cannot be tested.
    """
    scale = loss_scale(target.metric, reference.value, target.max_drop)
    if not len(window.scored):
        raise Undefined("no row has a label yet")
    task = "Classification" if window.scored.is_classification else "Regression"
    if target.metric not in METRICS_OF_TASK[task]:
        raise Undefined(
            f"{target.metric} is no metric of a {task.lower()}; a version of classes names them as 'classes' in its signature.json"
        )
    losses = row_losses(scale, window.scored)
    weights = window.weights
    if weights is None:
        interval = _interval(target.metric, window.scored, losses, scale)
    else:
        interval = weighted_interval(target.metric, window.scored, weights)
    if not is_finite_interval(interval):
        raise Undefined(f"{target.metric} of its labelled rows is no finite number")
    return Performance(window, target, reference, scale, interval, losses, loss_weights(scale, window.scored, weights))


def _interval(metric: str, scored: ScoredRows, losses: Array, scale: LossScale) -> Interval:
    """The metric and its interval, without a bootstrap: a window may have a million rows, and is measured again and again.

    Where the metric is a mean the interval is the normal one of that mean, and rmse is its root.
    """
    if metric in ("accuracy", "roc_auc"):
        return metric_interval(metric, scored)
    value = metric_value(metric, scored)
    error = Z * float(np.std(losses)) / max(1, len(losses)) ** 0.5 * scale.unit
    if metric == "rmse":
        return Interval(value, max(0.0, value**2 - error) ** 0.5, (value**2 + error) ** 0.5, "normal")
    return Interval(value, max(0.0, value - error), value + error, "normal")

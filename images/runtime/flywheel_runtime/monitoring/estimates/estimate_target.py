"""What a version's own files let estimate without labels: CBPE, from the labelled rows that its model was not fitted to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from flywheel_runtime.contract.errors import Undefined
from flywheel_runtime.monitoring.layout import Column, Counts
from flywheel_runtime.monitoring.reference import Reference
from flywheel_runtime.monitoring.statistics.estimation import calibrate_bins, calibrate_losses
from flywheel_runtime.monitoring.statistics.quantiles import Array
from flywheel_runtime.monitoring.statistics.streams.estimate_stream import EstimatedMetric, EstimateStream

METRICS_OF_CLASSES = frozenset({"roc_auc", "accuracy"})
DECISION_THRESHOLD = 0.5  # of the probability of the second of two classes, from which on it is predicted

ProblemReason = Literal[
    "CalibrationMissing", "ColumnNotLogged", "LossModelMissing", "MetricNotEstimable", "RowsNotLogged"
]


@dataclass(frozen=True)
class EstimateProblem:
    """Why nothing can be estimated for a version: a reason, and a clause that says what to do."""

    reason: ProblemReason
    message: str


@dataclass(frozen=True)
class EstimateTarget:
    """The metric that is estimated, and by how much it may be worse than on the reference's rows."""

    metric: EstimatedMetric
    max_drop: float


@dataclass(frozen=True)
class RowScores:
    """A test of scores that are computed of logged rows, since the servers do not count them, and the inner edges of their bins."""

    stream: EstimateStream
    inner_edges: Array

    def count(self, scores: Array, parts: Array, length: int) -> Counts:
        """Counts (length, bins) of scores (rows,) by their `parts` (rows,)."""
        bins = len(self.inner_edges) + 1
        places = np.searchsorted(self.inner_edges, scores, side="right")
        return np.bincount(parts * bins + places, minlength=length * bins).reshape(length, bins)


NO_CALIBRATION = EstimateProblem(
    "CalibrationMissing",
    "its baseline.json has no calibration, which trainer sklearn writes for classes since this release; train it again with that",
)


def calibrated_scores(target: EstimateTarget, reference: Reference, column: Column) -> EstimateStream | EstimateProblem:
    """The test of a model of two classes, whose scores are counted in the bins of the prediction."""
    facts = reference.column_facts(column)
    if reference.positives is None or len(facts.edges) != len(reference.positives) + 1:
        return NO_CALIBRATION
    if target.metric not in METRICS_OF_CLASSES:
        return EstimateProblem(
            "MetricNotEstimable", f"{target.metric} is of a regression, and its model has two classes; choose roc_auc"
        )
    counts = column.distribution(reference.counts)
    middles = (np.array(facts.edges[1:]) + np.array(facts.edges[:-1])) / 2
    rates = calibrate_bins(reference.positives, counts, middles).positive_rate
    if target.metric == "accuracy":
        rates = np.where(middles >= DECISION_THRESHOLD, 1 - rates, rates)
    return check_reference(EstimateStream(target.metric, rates, counts.astype(np.float64), target.max_drop))


def check_reference(stream: EstimateStream) -> EstimateStream | EstimateProblem:
    """The test, unless the metric has no value on the reference's rows."""
    try:
        stream.reference_value  # noqa: B018
    except Undefined as error:
        return EstimateProblem("MetricNotEstimable", f"{stream.metric} has no value on its reference's rows: {error}")
    return stream


def calibrated_confidence(target: EstimateTarget, baseline: Mapping[str, Any]) -> RowScores | EstimateProblem:
    """The test of a model of several classes, whose rows are counted by the probability of their predicted class."""
    confidence = (baseline.get("predictions") or {}).get("confidence")
    if not confidence:
        return NO_CALIBRATION
    if target.metric != "accuracy":
        return EstimateProblem(
            "MetricNotEstimable", f"{target.metric} is not estimated for its several classes; choose accuracy"
        )
    counts, correct = (np.array([*confidence[name].values()], np.float64).sum(axis=0) for name in ("counts", "correct"))
    edges = np.asarray(confidence["edges"], np.float64)
    rates = 1 - calibrate_bins(correct, counts, (edges[1:] + edges[:-1]) / 2).positive_rate
    return _row_scores(EstimateStream("accuracy", rates, counts, target.max_drop), edges[1:-1])


def modelled_losses(target: EstimateTarget, document: Mapping[str, Any]) -> RowScores | EstimateProblem:
    """The test of a regression, whose rows are counted by the error that its loss model expects of them."""
    if target.metric in METRICS_OF_CLASSES:
        return EstimateProblem(
            "MetricNotEstimable", f"{target.metric} is of classes, and its model is a regression; choose mae or rmse"
        )
    if not document:
        return EstimateProblem(
            "LossModelMissing",
            "it has no loss_model.json, which trainer sklearn writes since this release where the Dataset has enough rows for validation "
            "and test; train it again with that",
        )
    sums = document["absoluteErrors" if target.metric == "mae" else "squaredErrors"]
    rates, rows = calibrate_losses(sums, document["rows"]), np.asarray(document["rows"], np.float64)
    return _row_scores(
        EstimateStream(target.metric, rates, rows, target.max_drop), np.asarray(document["innerEdges"], np.float64)
    )


def _row_scores(stream: EstimateStream, inner_edges: Array) -> RowScores | EstimateProblem:
    checked = check_reference(stream)
    return checked if isinstance(checked, EstimateProblem) else RowScores(checked, inner_edges)

"""What a version's own files let estimate without labels: CBPE, from the labelled rows that its model was not fitted to."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from flywheel_runtime.contract.errors import Undefined
from flywheel_runtime.monitoring.layout import Column
from flywheel_runtime.monitoring.reference import Reference
from flywheel_runtime.monitoring.statistics.estimation import calibrate_bins
from flywheel_runtime.monitoring.statistics.streams.estimate_stream import EstimatedMetric, EstimateStream

METRICS_OF_CLASSES = frozenset({"roc_auc", "accuracy"})
DECISION_THRESHOLD = 0.5  # of the probability of the second of two classes, from which on it is predicted

ProblemReason = Literal["CalibrationMissing", "LossModelMissing", "MetricNotEstimable", "RowsNotLogged"]


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


def calibrated_scores(target: EstimateTarget, reference: Reference, column: Column) -> EstimateStream | EstimateProblem:
    """The test of a model of two classes, whose scores are counted in the bins of the prediction."""
    facts = reference.column_facts(column)
    if reference.positives is None or len(facts.edges) != len(reference.positives) + 1:
        return EstimateProblem(
            "CalibrationMissing",
            "its baseline.json has no calibration, since an earlier release trained it or it was brought; train it again",
        )
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

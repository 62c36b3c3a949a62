"""What a user writes into a ModelMonitor."""

from typing import Literal

from pydantic import Field

from flywheel.core.pods.cron_job import Schedule
from flywheel.core.resource.schema import (
    Placement,
    Resources,
    Schema,
    Webhook,
    duration_seconds,
    exactly_one_of,
    model_rules,
    rule,
)
from flywheel.core.resource.values import Duration, Number, ObjectName, PatternString
from flywheel.kinds.modelmonitor.schema.estimated_performance import EstimatedPerformance
from flywheel.kinds.modelmonitor.schema.fairness import WITHOUT_LABELS, Fairness
from flywheel.kinds.modelmonitor.schema.ground_truth import GroundTruth, Performance
from flywheel.kinds.modelmonitor.schema.seasonal import MonitorReference
from flywheel.kinds.modelmonitor.schema.service_levels import ServiceLevels

MIN_WINDOW_SECONDS = 60
MAX_WINDOW_SECONDS = 7 * 86_400


def _holds(field: str, type_: type[PatternString], expression: str) -> str:
    """The CEL expression of a rule on a field that has its form; one without it is refused by its type, and a default is written later."""
    return f"!has(self.{field}) || !self.{field}.matches(r'{type_.pattern}') || ({expression})"


_WINDOW = rule(
    _holds(
        "window",
        Duration,
        f"{duration_seconds('window')} >= {MIN_WINDOW_SECONDS} && {duration_seconds('window')} <= {MAX_WINDOW_SECONDS} && "
        f"{duration_seconds('window')} % 60 == 0",
    ),
    "window must be from 1m to 7d, in whole minutes, since servers count by the minute",
)
_SEASON = rule(
    f"!has(self.reference) || {_holds('window', Duration, '3600 % (' + duration_seconds('window') + ') == 0')}",
    "with reference.seasonal: HourOfWeek, an hour must have a whole number of windows; set window to 1h, 30m, 20m, 15m, 10m or less",
)
_FAIRNESS_NEEDS_LABELS = f"has(self.fairness) && self.fairness.measure != '{WITHOUT_LABELS}'"
_PERFORMANCE_LABELS = rule(
    "!has(self.performance) || has(self.groundTruth)",
    "groundTruth and performance belong together: set both to test a metric with labels, such as groundTruth: {} and performance: {metric: roc_auc}",
)
_FAIRNESS_LABELS = rule(
    f"!({_FAIRNESS_NEEDS_LABELS}) || has(self.groundTruth)",
    f"this measure of fairness compares predictions with labels: set groundTruth, such as groundTruth: {{}}, or measure: {WITHOUT_LABELS}",
)
_USED_LABELS = rule(
    f"!has(self.groundTruth) || has(self.performance) || ({_FAIRNESS_NEEDS_LABELS})",
    "groundTruth and performance belong together, or groundTruth and a measure of fairness with labels: set one of them to test something with the labels",
)
_PERIOD = rule(
    _holds("per", Duration, f"{duration_seconds('per')} >= 86400"),
    "per must be at least one day; write 1d or more, and a larger count",
)
_PSI = rule(
    _holds("psi", Number, "double(self.psi) > 0.0 && double(self.psi) <= 100.0"), "psi must be above 0 and at most 100"
)
_SHARE = rule(
    _holds("maxShare", Number, "double(self.maxShare) > 0.0 && double(self.maxShare) < 1.0"),
    "maxShare is a share of all rows, above 0 and below 1, such as '0.01'",
)


_TARGET = exactly_one_of("inferenceService", "batchInference")
_BATCH = rule(
    "!has(self.batchInference) || !(has(self.groundTruth) || has(self.fairness) || has(self.service) || "
    "(has(self.estimatedPerformance) && self.estimatedPerformance.metric != 'roc_auc'))",
    "groundTruth, performance, fairness, service, and estimatedPerformance of another metric than roc_auc, need inferenceService, since a BatchInference logs no requests",
)


class FalseAlarms(Schema):
    """The budget of false alarms, over all signals, features and windows of the monitor together."""

    model_config = model_rules(_PERIOD)

    count: int = Field(1, ge=1, le=1000, description="Expected number of false alarms in each period, at most.")
    per: Duration = Field(
        Duration("365d"),
        description="The period, at least 1d.",
    )


class DataQuality(Schema):
    """Missing, invalid and unseen values, and values outside of the training data's range. It is always on."""

    model_config = model_rules(_SHARE)

    max_share: Number = Field(
        Number("0.01"),
        description="By how much the share of such values of a feature may exceed that of the training data, as a share of all rows.",
    )


class Drift(Schema):
    """How far a distribution may be from that of the training data."""

    model_config = model_rules(_PSI)

    psi: Number = Field(
        Number("0.1"),
        description="Population stability index up to which a distribution counts as unchanged.",
    )
    disabled: bool = Field(False, description="If true, this signal is not tested.")


class ModelMonitorSpec(Schema):
    """A ModelMonitor compares the traffic of a served model with the data that the model was trained on, and reports what changed."""

    model_config = model_rules(_TARGET, _BATCH, _WINDOW, _SEASON, _PERFORMANCE_LABELS, _FAIRNESS_LABELS, _USED_LABELS)

    inference_service: ObjectName | None = Field(
        None,
        description="The InferenceService to monitor, in the same namespace. It needs spec.logging: its servers then count all traffic. The servers of another spec.runtime count nothing: rows that they leave in the store are counted.",
    )
    batch_inference: ObjectName | None = Field(
        None,
        description="The BatchInference to monitor, in the same namespace: the outputs of its runs, each in the window in which it finished. Features are compared that spec.output.include has.",
    )
    schedule: Schedule = Field(
        Schedule(cron="7 * * * *"),
        description="When to look at the windows that have ended. Defaults to seven minutes past each hour. Runs do not overlap.",
    )
    window: Duration = Field(
        Duration("1h"),
        description="Length of the windows of traffic that are tested, from 1m to 7d, in whole minutes.",
    )
    min_rows: int = Field(
        300,
        ge=1,
        le=1_000_000_000,
        description="Number of rows of a version in a window below which nothing is concluded from it. The conditions are Unknown then.",
    )
    false_alarms: FalseAlarms = Field(
        FalseAlarms(),
        description="How many false alarms are accepted. Defaults to 1 in 365d. A smaller budget needs more evidence before it alarms.",
    )
    method: Literal["Sequential", "Fixed"] = Field(
        "Sequential",
        description="How the counts of traffic are tested. Sequential adds evidence from window to window, so that the budget of false "
        "alarms holds however often is looked. Fixed tests each window by itself, with classical p-values and Holm's correction.",
    )
    reference: MonitorReference | None = Field(
        None,
        description="What drift is measured from in place of the data that the version was trained on. Absent, it is that data.",
    )
    data_quality: DataQuality = Field(
        DataQuality(), description="Missing, invalid, unseen and out-of-range values. It is always tested."
    )
    feature_drift: Drift = Field(Drift(), description="Drift of each feature.")
    prediction_drift: Drift = Field(Drift(), description="Drift of the predictions.")
    estimated_performance: EstimatedPerformance | None = Field(
        None,
        description="The metric that is estimated without labels, by the scores of the rows, and tested. Its condition is EstimatedPerforming.",
    )
    ground_truth: GroundTruth | None = Field(
        None, description="Where labels come from. The service must log rows (spec.logging.sample above 0%)."
    )
    performance: Performance | None = Field(
        None, description="The metric that is tested with the labels. Its condition is Performing."
    )
    service: ServiceLevels | None = Field(
        None,
        description="Which share of requests may fail, and how long responses may take. Its condition is ServiceHealthy. A window with fewer than minRows requests is not tested.",
    )
    fairness: Fairness | None = Field(
        None,
        description="How far apart groups of rows may be. Its condition is Fair. The service must log rows (spec.logging.sample above 0%).",
    )
    notify: Webhook | None = Field(
        None,
        description="A webhook that is notified once each time a condition of a signal becomes False.",
    )
    timeout: Duration | None = Field(
        None, description="Maximum duration of a run. Defaults to that of the installation for checks of data."
    )
    resources: Resources = Field(
        Resources(), description="Resources of the pod of a run. Defaults to 100m CPU and 256Mi memory."
    )
    placement: Placement = Field(Placement(), description="Scheduling constraints of the pod.")
    suspend: bool = Field(False, description="If true, no new run starts. A running one continues.")

    @property
    def target(self) -> str:
        """The name of what it monitors."""
        return str(self.inference_service or self.batch_inference)

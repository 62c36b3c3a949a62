"""Gates: conditions on a version before it may become champion. Those that need rows are measured by a Job of the ModelVersion."""

from typing import Any, Literal

from pydantic import Field

from flywheel.core.resource.schema import (
    ColumnName,
    Quantity,
    Schema,
    duration_seconds,
    exactly_one_of,
    min_is_not_above_max,
    model_rules,
    rule,
)
from flywheel.core.resource.values import Duration, Label, Latency, MetricName, Number, ObjectName, Percent

# What the gates' Job computes from rows by itself (images/README.md, "gates"); a threshold takes any metric that a version reports.
RowMetric = Literal[
    "roc_auc", "average_precision", "accuracy", "balanced_accuracy", "f1", "f1_macro", "log_loss", "brier",
    "rmse", "mae", "r2", "mape",
]  # fmt: skip
# All that a check or a step prepare warns of; tests/kinds/model/schema/test_gates.py holds them to the runtime.
AnomalyKind = Literal[
    "NewCategory", "OutOfRange", "TypeMismatch", "MissingColumn", "ExtraColumn", "NullRateUp", "Constant", "DuplicateKeys",
    "LabelLeak", "TargetNull", "MissingClass", "NotFinite", "RepeatedRows", "GroupMissing", "SplitShares", "NearMiss", "CheckFailed",
    "NotRepeatable", "TypeChanged", "TargetLost", "SplitColumnLost", "FeatureMissing",
]  # fmt: skip


class Threshold(Schema):
    """A metric that must lie within bounds; a metric that a version does not report fails."""

    model_config = model_rules(rule("has(self.min) || has(self.max)", "give min, max or both"), min_is_not_above_max())

    metric: MetricName = Field(description="The metric, such as roc_auc, p95_ms or size_bytes.")
    min: Number | None = Field(None, description='Minimum value that passes, such as "0.70".')
    max: Number | None = Field(None, description='Maximum value that passes, such as "0.2".')


class ChampionGate(Schema):
    """Better than the champion, both scored on the challenger's test rows, each as its own training prepared them. With no champion yet it passes."""

    model_config = model_rules(
        rule(
            "!has(self.confidence) || double(self.confidence.substring(0, self.confidence.size()-1)) >= 50.0",
            "confidence must be at least 50%, such as 95%",
        )
    )

    metric: RowMetric = Field(description="Metric that is computed for both versions.")
    min_gain: Number | None = Field(
        None,
        description='Minimum improvement in the unit of the metric, such as "0.002". Defaults to any improvement. A negative value allows the version to be worse by at most that amount.',
    )
    confidence: Percent | None = Field(
        None,
        description="If set, the lower bound of the confidence interval of the improvement must reach minGain. The interval is DeLong's for binary roc_auc, otherwise a paired bootstrap with 1,000 resamples.",
    )


class BaselineGate(Schema):
    """Better than a constant: the class frequencies, mean or median of the train rows, both scored on the version's test rows."""

    model_config = model_rules(
        rule(
            "!has(self.confidence) || double(self.confidence.substring(0, self.confidence.size()-1)) >= 50.0",
            "confidence must be at least 50%, such as 95%",
        ),
        rule(
            "double(self.minGain) >= 0.0",
            "minGain cannot be negative; to let a version be worse than a constant, set spec.defaultGates: Disabled",
        ),
    )

    metric: RowMetric | None = Field(
        None,
        description="Metric that is computed for the version and the constant. Defaults to that of spec.objective, or else to roc_auc or rmse.",
    )
    min_gain: Number = Field(
        description='Minimum improvement over the constant in the unit of the metric, such as "0.02". With "0" any improvement passes that its confidence interval tells from none.'
    )
    confidence: Percent | None = Field(
        None, description="Confidence level of the interval of the improvement. Defaults to 95%."
    )


class SliceGate(Schema):
    """The worst group of rows must be good enough."""

    model_config = model_rules(exactly_one_of("min", "max"))

    by: ColumnName = Field(description="Column whose values are the groups. It does not have to be a feature.")
    metric: RowMetric = Field(description="Metric that is computed for each group.")
    min: Number | None = Field(None, description='Minimum value of each group that passes, such as "0.65".')
    max: Number | None = Field(None, description="Maximum value of each group that passes.")
    min_rows: int = Field(50, ge=1, le=1_000_000, description="Groups with fewer test rows are ignored.")


class FairnessGate(Schema):
    """Groups must be treated alike."""

    by: ColumnName = Field(description="Column whose values are the groups. It does not have to be a feature.")
    measure: Literal["DemographicParity", "EqualOpportunity"] = Field(
        description="DemographicParity compares the rate of positive predictions between groups; EqualOpportunity, that rate among the rows that are positive."
    )
    max_gap: Percent = Field(description="Maximum difference between the rates of any two groups, such as 10%.")
    positive: str | None = Field(
        None, max_length=128, description="The positive class. Defaults to the second of two classes."
    )
    min_rows: int = Field(50, ge=1, le=1_000_000, description="Groups with fewer relevant rows are ignored.")


class CalibrationGate(Schema):
    """Probabilities must mean what they say."""

    max_error: Percent = Field(description="Maximum expected calibration error (15 bins) that passes, such as 5%.")


class ServingGate(Schema):
    """Quick and small enough, as verification measured it in the real server image."""

    model_config = model_rules(
        rule("has(self.p95) || has(self.size)", "give p95, size or both"),
        rule(
            "!has(self.size) || type(self.size) == int || quantity(self.size).isGreaterThan(quantity('0'))",
            "size must be greater than 0",
        ),
    )

    p95: Latency | None = Field(None, description="Maximum p95 latency of one row that passes, such as 20ms.")
    size: Quantity | None = Field(None, description="Maximum size of the model that passes, such as 50Mi.")


class SignatureGate(Schema):
    """A caller of the champion can call this version: it has the same inputs and all of the champion's outputs, in datatype and shape."""


class DataGate(Schema):
    """The check of the Dataset version that trained it found no anomaly, not even a warning."""

    ignore: tuple[AnomalyKind, ...] = Field((), max_length=32, description="Anomalies to ignore, such as NewCategory.")


MAX_WINDOW_SECONDS = 30 * 86_400
WINDOW_RULE = rule(
    f"!self.window.matches(r'{Duration.pattern}') || {duration_seconds('window')} <= {MAX_WINDOW_SECONDS}",
    "window must not be longer than 30d",
)
CONFIDENCE_RULE = rule(
    f"!has(self.confidence) || !self.confidence.matches(r'{Percent.pattern}') "
    "|| double(self.confidence.substring(0, self.confidence.size()-1)) >= 50.0",
    "confidence must be at least 50%, such as 95%",
)


class ReplayGate(Schema):
    """Few decisions may flip: the version answers the logged requests of the services that serve the Model, and is compared with the champion."""

    model_config = model_rules(WINDOW_RULE, CONFIDENCE_RULE)

    window: Duration = Field(
        description="The time before the measurement whose logged requests are answered, at most 30d, such as 24h."
    )
    max_flips: Percent = Field(
        description="Maximum share of decisions that may differ from the champion's, such as 2%. The upper end of the interval of the share must be within it; 0% allows none."
    )
    by: ColumnName | None = Field(
        None, description="Column of the requests whose values are the groups for which the share is reported."
    )
    tolerance: Percent | None = Field(
        None,
        description="For a model that predicts values: a value flips if it differs by more than this share of the champion's spread (the distance from the 5 % to the 95 % quantile of its answers). Defaults to 5%.",
    )
    confidence: Percent | None = Field(
        None, description="Confidence level of the interval of the share. Defaults to 95%."
    )
    max_rows: int | None = Field(
        None,
        ge=1_000,
        le=10_000_000,
        description="Maximum number of logged rows that are answered; of more, so many are drawn by request. Defaults to 100000.",
    )


class LabelledGate(Schema):
    """Better than the champion on logged requests whose labels are known by now."""

    model_config = model_rules(WINDOW_RULE, CONFIDENCE_RULE)

    metric: RowMetric = Field(description="Metric that is computed for both versions.")
    min_gain: Number = Field(
        description='Minimum improvement in the unit of the metric; "0" requires that the version is not worse. A negative value allows it to be worse by at most that amount.'
    )
    window: Duration = Field(
        description="The time before the measurement whose requests count, at most 30d, such as 7d. Choose it longer than the delay of the labels."
    )
    monitor: ObjectName | None = Field(
        None,
        description="The ModelMonitor whose groundTruth has the labels. Defaults to the only one with groundTruth of the services that serve the Model.",
    )
    confidence: Percent | None = Field(
        None,
        description="If set, the lower bound of the confidence interval of the improvement must reach minGain. The interval is DeLong's for binary roc_auc, otherwise a paired bootstrap.",
    )
    min_rows: int | None = Field(
        None, ge=1, le=1_000_000, description="With fewer labelled rows the gate is not measured. Defaults to 50."
    )


class Gate(Schema):
    """A condition that a version must meet to become champion."""

    model_config = model_rules(
        exactly_one_of(
            "threshold",
            "champion",
            "baseline",
            "slice",
            "fairness",
            "calibration",
            "serving",
            "signature",
            "data",
            "replay",
            "labelled",
        )
    )

    name: Label = Field(description="Name of the gate, shown if a version fails it.")
    description: str | None = Field(None, max_length=256, description="Purpose of the gate.")
    threshold: Threshold | None = Field(None, description="Requires that a reported metric is within bounds.")
    champion: ChampionGate | None = Field(
        None, description="Requires that the version is better than the champion on the same rows."
    )
    baseline: BaselineGate | None = Field(
        None, description="Requires that the version is better than a constant prediction."
    )
    slice: SliceGate | None = Field(None, description="Requires a minimum quality for every group of rows.")
    fairness: FairnessGate | None = Field(None, description="Limits the difference between groups.")
    calibration: CalibrationGate | None = Field(None, description="Requires calibrated probabilities.")
    serving: ServingGate | None = Field(
        None, description="Limits latency and size, measured in the image that serves the model."
    )
    signature: SignatureGate | None = Field(
        None, description="Requires that every request that the champion accepts is valid for the version."
    )
    data: DataGate | None = Field(None, description="Requires that the training data has no anomalies.")

    replay: ReplayGate | None = Field(
        None, description="Limits the share of decisions that differ from the champion's on logged requests."
    )
    labelled: LabelledGate | None = Field(
        None, description="Requires that the version is better than the champion on logged requests with labels."
    )

    @property
    def needs_data(self) -> bool:
        """Whether it is measured on the data that the version was trained on."""
        measured = (self.champion, self.baseline, self.slice, self.fairness, self.calibration, self.data)
        return any(condition is not None for condition in measured)

    @property
    def needs_traffic(self) -> bool:
        """Whether it is measured on logged requests."""
        return self.traffic_window is not None

    @property
    def traffic_window(self) -> Duration | None:
        """Of which time it is measured on logged requests; None for other gates."""
        on_traffic = self.replay or self.labelled
        return on_traffic.window if on_traffic is not None else None

    @property
    def needs_rows(self) -> bool:
        """Whether a Job must measure it on rows."""
        return self.needs_data or self.needs_traffic

    @property
    def needs_champion(self) -> bool:
        """Whether the first version passes it unmeasured."""
        return self.champion is not None or self.needs_traffic

    @property
    def compares_champion(self) -> bool:
        """Whether it is measured anew for another champion."""
        return self.needs_rows and self.baseline is None

    def job_config(self) -> dict[str, Any]:
        """The gate as the gates' Job reads it."""
        config: dict[str, Any] = self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"description"})
        return config


# Measured for every version that is about to become champion, unless spec.defaultGates or a gate of the user's says otherwise.
BEATS_A_CONSTANT = Gate.model_validate({"name": "beats-a-constant", "baseline": {"minGain": "0"}})

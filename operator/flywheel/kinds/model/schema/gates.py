"""Gates: conditions on a version before it may become champion. Those that need rows are measured by a Job of the ModelVersion."""

from typing import Any, Literal

from pydantic import Field

from flywheel.core.resource.schema import ColumnName, Quantity, Schema, exactly_one_of, model_rules, rule
from flywheel.core.resource.values import Label, Latency, MetricName, Number, Percent

# What the gates' Job computes from rows by itself (images/README.md, "gates"); a threshold takes any metric that a version reports.
RowMetric = Literal[
    "roc_auc", "average_precision", "accuracy", "balanced_accuracy", "f1", "f1_macro", "log_loss", "brier",
    "rmse", "mae", "r2", "mape",
]  # fmt: skip
AnomalyKind = Literal[
    "NewCategory", "OutOfRange", "TypeMismatch", "MissingColumn", "ExtraColumn", "NullRateUp", "Constant", "DuplicateKeys",
    "LabelLeak", "TargetNull",
]  # fmt: skip


class Threshold(Schema):
    """A metric that must lie within bounds; a metric that a version does not report fails."""

    model_config = model_rules(
        rule("has(self.min) || has(self.max)", "give min, max or both"),
        rule(
            "!has(self.min) || !has(self.max) || double(self.min) <= double(self.max)",
            "min must not be greater than max",
        ),
    )

    metric: MetricName = Field(description="The metric, such as roc_auc, p95_ms or size_bytes.")
    min: Number | None = Field(None, description='The least value that passes, such as "0.70".')
    max: Number | None = Field(None, description='The greatest value that passes, such as "0.2".')


class ChampionGate(Schema):
    """Better than the champion, both scored on the challenger's test rows. With no champion yet it passes."""

    model_config = model_rules(
        rule(
            "!has(self.confidence) || double(self.confidence.substring(0, self.confidence.size()-1)) >= 50.0",
            "confidence must be at least 50%, such as 95%",
        )
    )

    metric: RowMetric = Field(description="The metric that is computed for both.")
    min_gain: Number | None = Field(
        None,
        description='How much better it must be at least, in the metric\'s own unit, such as "0.002"; absent, any gain. A negative one lets a version pass that is worse by at most so much.',
    )
    confidence: Percent | None = Field(
        None,
        description="With it, the lower end of the gain's interval must reach minGain: DeLong's for roc_auc of two classes, else a paired bootstrap of 1,000 resamples.",
    )


class SliceGate(Schema):
    """The worst group of rows must be good enough."""

    model_config = model_rules(rule("[has(self.min),has(self.max)].exists_one(x,x)", "give one of min and max"))

    by: ColumnName = Field(description="The column whose values are the groups; it need not be a feature.")
    metric: RowMetric = Field(description="The metric that is computed for each group.")
    min: Number | None = Field(None, description='The least value of any group that passes, such as "0.65".')
    max: Number | None = Field(None, description="The greatest value of any group that passes.")
    min_rows: int = Field(50, ge=1, le=1_000_000, description="Groups with fewer test rows are left out.")


class FairnessGate(Schema):
    """Groups must be treated alike."""

    by: ColumnName = Field(description="The column whose values are the groups; it need not be a feature.")
    measure: Literal["DemographicParity", "EqualOpportunity"] = Field(
        description="DemographicParity compares the rate of positive predictions between groups; EqualOpportunity, that rate among the rows that are positive."
    )
    max_gap: Percent = Field(description="How far apart the rates of any two groups may be, such as 10%.")
    positive: str | None = Field(
        None, max_length=128, description="The class that counts as positive; absent, the second of two classes."
    )
    min_rows: int = Field(50, ge=1, le=1_000_000, description="Groups with fewer rows are left out.")


class CalibrationGate(Schema):
    """Probabilities must mean what they say."""

    max_error: Percent = Field(description="The greatest expected calibration error (15 bins) that passes, such as 5%.")


class ServingGate(Schema):
    """Quick and small enough, as verification measured it in the real server image."""

    model_config = model_rules(
        rule("has(self.p95) || has(self.size)", "give p95, size or both"),
        rule(
            "!has(self.size) || type(self.size) == int || quantity(self.size).isGreaterThan(quantity('0'))",
            "size must be greater than 0",
        ),
    )

    p95: Latency | None = Field(
        None, description="The greatest p95 latency of one row's prediction that passes, such as 20ms."
    )
    size: Quantity | None = Field(None, description="The greatest size of the model that passes, such as 50Mi.")


class SignatureGate(Schema):
    """A caller of the champion can call this version: it has the same inputs and all of the champion's outputs, in datatype and shape."""


class DataGate(Schema):
    """The check of the Dataset version that trained it found no anomaly, not even a warning."""

    ignore: tuple[AnomalyKind, ...] = Field(
        (), max_length=10, description="Anomalies that do not count, such as NewCategory."
    )


class Gate(Schema):
    """One condition that a version must meet before it may become champion."""

    model_config = model_rules(
        exactly_one_of("threshold", "champion", "slice", "fairness", "calibration", "serving", "signature", "data")
    )

    name: Label = Field(description="The gate's name, shown where a version fails it.")
    description: str | None = Field(None, max_length=256, description="What the gate is for.")
    threshold: Threshold | None = Field(None, description="Compare one reported metric with fixed bounds.")
    champion: ChampionGate | None = Field(None, description="Be better than the champion on the same rows.")
    slice: SliceGate | None = Field(None, description="Be good enough for every group of rows.")
    fairness: FairnessGate | None = Field(None, description="Treat groups alike.")
    calibration: CalibrationGate | None = Field(None, description="Give probabilities that mean what they say.")
    serving: ServingGate | None = Field(None, description="Be quick and small in the real server.")
    signature: SignatureGate | None = Field(None, description="Take the requests that the champion takes.")
    data: DataGate | None = Field(None, description="Come from data without anomalies.")

    @property
    def needs_rows(self) -> bool:
        """Whether a Job must measure it on rows."""
        measured = (self.champion, self.slice, self.fairness, self.calibration, self.data)
        return any(condition is not None for condition in measured)

    def job_config(self) -> dict[str, Any]:
        """The gate as the gates' Job reads it."""
        config: dict[str, Any] = self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"description"})
        return config

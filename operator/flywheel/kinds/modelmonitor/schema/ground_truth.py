"""Labels of a ModelMonitor: where they come from, and which metric is tested with them."""

from typing import Literal

from pydantic import Field

from flywheel.core.resource.schema import Schema, duration_seconds, model_rules, rule
from flywheel.core.resource.values import Duration, Number, ObjectName

TestableMetric = Literal["roc_auc", "accuracy", "log_loss", "brier", "mae", "mape", "rmse"]
MAX_DELAY_SECONDS = 14 * 86_400
DEFAULT_MAX_DELAY = Duration("3d")


def _has_form(field: str) -> str:
    """CEL: whether the optional Duration is there; one of another form is refused by its type."""
    return f"has(self.{field}) && self.{field}.matches(r'{Duration.pattern}')"


class LabelDelay(Schema):
    """How long after a prediction its label is known."""

    model_config = model_rules(
        rule(
            f"!({_has_form('max')}) || {duration_seconds('max')} <= {MAX_DELAY_SECONDS}",
            "max must not be longer than 14d",
        ),
        rule(
            f"!({_has_form('min')}) || {duration_seconds('min')} <= ({_has_form('max')} ? {duration_seconds('max')} : {DEFAULT_MAX_DELAY.seconds})",
            "min must not be longer than max",
        ),
    )

    min: Duration | None = Field(
        None, description="How long after the end of a window its labels are first read; absent, at once."
    )
    max: Duration = Field(
        DEFAULT_MAX_DELAY,
        description="Until when after its prediction a label counts, at most 14d. Then the window is frozen and tested.",
    )


class GroundTruth(Schema):
    """What turned out to be true of logged predictions: labels that were posted to the service, or a column of a Dataset."""

    model_config = model_rules(
        rule(
            "has(self.dataset) == has(self.key) && has(self.dataset) == has(self.column)",
            "dataset, key and column belong together: set all three, or none for labels that are posted to the service",
        ),
        rule(
            "!has(self.probability) || has(self.dataset)",
            "probability is a column of the Dataset: set dataset too; labels that are posted have their own probability",
        ),
    )

    dataset: ObjectName | None = Field(
        None,
        description="The Dataset with the labels, in the same namespace; absent, labels are those that were posted to the service.",
    )
    key: str | None = Field(
        None,
        min_length=1,
        max_length=253,
        description="Column of the Dataset with the key that the service logs (its spec.logging.key, not hashed).",
    )
    column: str | None = Field(
        None, min_length=1, max_length=253, description="Column of the Dataset with the true target."
    )
    probability: str | None = Field(
        None,
        min_length=1,
        max_length=253,
        description="Column of the Dataset with the probability with which a row was drawn to be labelled, as 'flywheel label' writes it; empty in rows that were labelled without a draw.",
    )
    delay: LabelDelay = Field(LabelDelay(), description="How long after a prediction its label is known.")


class Performance(Schema):
    """By how much a metric of labelled predictions may be worse than on the test rows of the version."""

    model_config = model_rules(
        rule(
            f"!has(self.maxDrop) || !self.maxDrop.matches(r'{Number.pattern}') || double(self.maxDrop) > 0.0",
            "maxDrop must be above 0",
        )
    )

    metric: TestableMetric = Field(description="The metric, which the version must have on test rows.")
    max_drop: Number = Field(Number("0.03"), description="By how much it may be worse, in the unit of the metric.")

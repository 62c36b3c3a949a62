"""Labels of a ModelMonitor: where they come from, and which metric is tested with them."""

from typing import Annotated, Any, Literal

from pydantic import Field

from flywheel.core.resource.schema import Schema, duration_seconds, model_rules, rule
from flywheel.core.resource.values import Duration, Number, ObjectName, Percent

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


class LabelGuards(Schema):
    """Which labels count. Without it all do on which every source agrees."""

    trusted_sources: tuple[Annotated[str, Field(min_length=1, max_length=400)], ...] = Field(
        (),
        max_length=16,
        description="Callers whose labels go before all others and count for no share: user names of Kubernetes, such as system:serviceaccount:shop:claims, the claim sub of a JWT, or a source as the report names it.",
    )
    max_source_share: Percent | None = Field(
        None,
        description="Share of the labelled rows of a version in a window that one other source may decide alone; 0% lets only trusted sources decide alone. Absent, no limit.",
    )
    max_deviations: int | None = Field(
        None,
        ge=3,
        le=1_000,
        description="A number further from the median of the version's test rows than so many robust standard deviations is no label. Absent, every number is.",
    )

    def config(self) -> dict[str, Any]:
        """Returns the guards as params.json has them, of a monitor's runs and of gates."""
        share = self.max_source_share
        given = {
            "trustedSources": list(self.trusted_sources) or None,
            "maxSourceShare": None if share is None else f"{share.fraction:g}",
            "maxDeviations": self.max_deviations,
        }
        return {name: each for name, each in given.items() if each is not None}


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
        rule(
            "!has(self.dataset) || !has(self.guards) || !(has(self.guards.maxSourceShare) || has(self.guards.trustedSources) && self.guards.trustedSources.size() > 0)",
            "guards.trustedSources and guards.maxSourceShare are of callers who post labels: the rows of a Dataset have no source, so remove them or dataset",
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
    guards: LabelGuards | None = Field(
        None, description="Which labels count; absent, all do on which every source agrees."
    )


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

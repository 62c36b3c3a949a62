"""Fairness of a ModelMonitor: which groups are compared, in what, and how far apart they may be."""

from typing import Literal

from pydantic import Field

from flywheel.core.resource.schema import ColumnName, Schema, model_rules, rule
from flywheel.core.resource.values import Number

Measure = Literal[
    "demographic_parity_difference",
    "equalized_odds_difference",
    "true_positive_rate_difference",
    "accuracy_difference",
    "mae_difference",
]
WITHOUT_LABELS: Measure = "demographic_parity_difference"
MAX_COLUMNS = 4


class Fairness(Schema):
    """How far apart groups of logged rows may be in what the model predicts."""

    model_config = model_rules(
        rule(
            f"!has(self.maxGap) || !self.maxGap.matches(r'{Number.pattern}') || double(self.maxGap) > 0.0",
            "maxGap must be above 0",
        ),
        rule(
            "!has(self.maxGap) || self.measure == 'mae_difference' || "
            f"!self.maxGap.matches(r'{Number.pattern}') || double(self.maxGap) < 1.0",
            "maxGap of a difference of rates must be below 1, such as '0.1'; write no percentage",
        ),
        rule(
            "!has(self.positive) || !(self.measure in ['accuracy_difference', 'mae_difference'])",
            "positive is for measures of the positive class: remove it, or choose another measure",
        ),
    )

    by: tuple[ColumnName, ...] = Field(
        min_length=1,
        max_length=MAX_COLUMNS,
        description="Logged columns whose values are the groups, each by itself. Numbers of many values are grouped by the quartiles of the training data.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    measure: Measure = Field(
        description="What is compared, by fairlearn's names. All but demographic_parity_difference need groundTruth; mae_difference is for models of values."
    )
    max_gap: Number = Field(
        Number("0.1"),
        description="How far apart any two groups may be: a difference of rates, or in the target's unit for mae_difference.",
    )
    positive: str | None = Field(
        None, min_length=1, max_length=128, description="The positive class. Defaults to the second of two classes."
    )

    @property
    def needs_labels(self) -> bool:
        """Whether predictions are compared with what turned out to be true."""
        return self.measure != WITHOUT_LABELS

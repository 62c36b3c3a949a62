"""Whether more or less of a metric is better: known for common metrics, given for others."""

from typing import Literal

from pydantic import Field

from flywheel.core.resource.schema import Schema, model_rules, rule
from flywheel.core.resource.values import MetricName

Direction = Literal["Maximize", "Minimize"]

_METRICS: dict[Direction, tuple[str, ...]] = {
    "Maximize": (
        "accuracy",
        "average_precision",
        "balanced_accuracy",
        "explained_variance",
        "f1",
        "f1_macro",
        "f1_micro",
        "f1_weighted",
        "jaccard",
        "matthews_corrcoef",
        "pr_auc",
        "precision",
        "r2",
        "recall",
        "roc_auc",
        "roc_auc_ovr",
    ),
    "Minimize": (
        "brier",
        "brier_score",
        "log_loss",
        "loss",
        "mae",
        "mape",
        "max_error",
        "mean_absolute_error",
        "mean_squared_error",
        "median_absolute_error",
        "mse",
        "rmse",
        "root_mean_squared_error",
    ),
}

KNOWN_DIRECTIONS: dict[str, Direction] = {
    metric: direction for direction, metrics in _METRICS.items() for metric in metrics
}


class MetricObjective(Schema):
    """The one number by which models are compared."""

    model_config = model_rules(
        rule(
            f"has(self.direction) || self.metric in [{', '.join(repr(metric) for metric in sorted(KNOWN_DIRECTIONS))}]",
            "the direction is known only for common metrics; add direction: Maximize or direction: Minimize",
        )
    )

    metric: MetricName = Field(description="The metric.")
    direction: Direction | None = Field(
        None, description="Whether the metric is maximized or minimized. Defaults to the direction of a known metric."
    )

    @property
    def maximize(self) -> bool:
        """Whether more is better."""
        return (self.direction or KNOWN_DIRECTIONS.get(self.metric, "Maximize")) == "Maximize"

"""Estimated performance of a ModelMonitor: the metric that is tested without labels."""

from typing import Literal

from pydantic import Field

from flywheel.core.resource.schema import Schema, model_rules, rule
from flywheel.core.resource.values import Number

EstimatedMetric = Literal["roc_auc", "accuracy", "mae", "rmse"]
METRICS_OF_ROWS = frozenset({"accuracy", "mae", "rmse"})  # accuracy of more than two classes


class EstimatedPerformance(Schema):
    """By how much a metric that is estimated without labels may be worse than what is expected of the reference's rows."""

    model_config = model_rules(
        rule(
            f"!has(self.maxDrop) || !self.maxDrop.matches(r'{Number.pattern}') || double(self.maxDrop) > 0.0",
            "maxDrop must be above 0",
        )
    )

    metric: EstimatedMetric = Field(
        description="The metric: roc_auc of two classes, accuracy of any number of them, mae or rmse of a regression. The version must have been "
        "trained here, since its training writes what the estimate needs. Of more than two classes and of a regression, logged rows are needed."
    )
    max_drop: Number = Field(Number("0.03"), description="By how much it may be worse, in the unit of the metric.")

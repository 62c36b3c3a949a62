"""Bounds on a trial's other metrics that the best trial must satisfy."""

from collections.abc import Mapping, Sequence

from pydantic import Field

from flywheel.core.resource.schema import Schema, min_is_not_above_max, model_rules, rule
from flywheel.core.resource.values import MetricName, Number


class Constraint(Schema):
    """A bound that the best trial must satisfy, such as p95_ms of at most 20."""

    model_config = model_rules(rule("has(self.min) || has(self.max)", "give min, max or both"), min_is_not_above_max())

    metric: MetricName = Field(description="A metric that every trial reports.")
    min: Number | None = Field(None, description="Minimum allowed value.")
    max: Number | None = Field(None, description="Maximum allowed value.")

    def violation(self, value: float) -> tuple[float, str] | None:
        """By how much of the bound a value is beyond it, and the finding; None where the bound is satisfied."""
        if self.max is not None and value > self.max.value:
            return _relative_excess(value, self.max.value), f"{self.metric} {value:.6g} is above {self.max}"
        if self.min is not None and value < self.min.value:
            return _relative_excess(value, self.min.value), f"{self.metric} {value:.6g} is below {self.min}"
        return None


def total_violation(constraints: Sequence[Constraint], metrics: Mapping[str, float]) -> tuple[float, str]:
    """The sum of all violations (0: none), and the findings. Every constraint's metric must be there."""
    violations = [found for each in constraints if (found := each.violation(metrics[each.metric]))]
    return sum(excess for excess, _ in violations), ", ".join(finding for _, finding in violations)


def _relative_excess(value: float, bound: float) -> float:
    """The excess as a share of the bound, so that milliseconds and rates can be added; of a bound of 0 as it is."""
    return abs(value - bound) / (abs(bound) or 1)

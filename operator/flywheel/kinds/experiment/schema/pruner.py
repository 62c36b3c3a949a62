"""When a trial is not worth going on, as a user writes it and as collect reads it (images/README.md)."""

from typing import Any

from pydantic import Field

from flywheel.core.resource.schema import Schema, exactly_one_of, model_rules, rule, validations
from flywheel.core.resource.values import Number

_STARTUP = "Number of trials that must have succeeded before any is pruned. Defaults to 5."
_WARMUP = "First step at which a trial can be pruned. Defaults to 0."


class MedianPruner(Schema):
    """Prune a trial whose best value so far is worse than the median of the others at the same step."""

    startup_trials: int | None = Field(None, ge=1, le=500, description=_STARTUP)
    warmup_steps: int | None = Field(None, ge=0, le=1_000_000_000, description=_WARMUP)


class PercentilePruner(Schema):
    """Prune a trial whose best value so far is not among the best of the others at the same step."""

    percentile: int = Field(ge=1, le=99, description="Percentage of trials that continue; 50 is the median.")
    startup_trials: int | None = Field(None, ge=1, le=500, description=_STARTUP)
    warmup_steps: int | None = Field(None, ge=0, le=1_000_000_000, description=_WARMUP)


class PatientPruner(Schema):
    """Prune a trial that no longer becomes better, whatever the others do."""

    patience: int = Field(
        ge=0, le=1_000_000, description="Number of steps without improvement before the trial is stopped."
    )
    min_delta: Number | None = Field(
        None,
        description="Minimum change by which the recent best value must be worse than the earlier best value. Defaults to any change.",
        json_schema_extra=validations(rule("double(self) >= 0.0", "minDelta cannot be negative")),
    )


class Pruner(Schema):
    """When a trial ends early: exactly one of median, percentile, patient.

    Trials are compared by the curve of objective.metric that they log (metrics.jsonl), each with those of the same estimator that succeeded.
    """

    model_config = model_rules(exactly_one_of("median", "percentile", "patient"))

    median: MedianPruner | None = Field(
        None, description="Stop a trial that is worse than the median of other trials at the same step."
    )
    percentile: PercentilePruner | None = Field(
        None, description="Stop a trial that is not in the given percentile of other trials at the same step."
    )
    patient: PatientPruner | None = Field(None, description="Stop a trial that no longer improves.")

    def collect_config(self, metric: str, group: str, *, maximize: bool) -> dict[str, Any]:
        """The pruner as collect reads it; `group` names the trials that are compared with each other."""
        given = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return {"metric": metric, "maximize": maximize, "group": group, "rule": given}

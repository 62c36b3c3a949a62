"""What the outcome of a trial's Job means for the search."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from flywheel.core.diagnosis.indexed_outcome import mean_metrics
from flywheel.core.diagnosis.outcome import Outcome
from flywheel.kinds.experiment.schema.constraints import total_violation
from flywheel.kinds.experiment.schema.status import State
from flywheel.kinds.experiment.search.defaults import Setup

MAX_LISTED_METRICS = 8


@dataclass(frozen=True)
class TrialResult:
    """The result of a trial that has ended.

    `value` is the objective; of a pruned trial the last of its curve, which ended at `step`. `violation` is how far the trial is beyond the
    constraints; `std` the standard deviation of the objective over its repeats.
    """

    state: State
    reason: str | None = None
    message: str | None = None
    value: float | None = None
    step: int | None = None
    violation: float = 0.0
    std: float | None = None


def result_of(outcome: Outcome, setup: Setup) -> TrialResult:
    """The result of an outcome that is not the infrastructure's. A success without what the search needs is the trial's failure."""
    if outcome.reason == "Pruned" and isinstance(outcome.facts.get("step"), int):
        last = outcome.facts.get("value")
        value = float(last) if isinstance(last, int | float) and math.isfinite(last) else None
        return TrialResult("Pruned", outcome.reason, outcome.message, value, int(outcome.facts["step"]))
    if outcome.result != "Succeeded":
        state: State = "Invalid" if outcome.result == "Invalid" else "Failed"
        return TrialResult(state, outcome.reason, outcome.message)
    fields = {each.metric: "spec.constraints" for each in setup.constraints} | {setup.metric: "spec.objective.metric"}
    for metric, field in fields.items():
        value = outcome.metrics.get(metric)
        if value is None:
            reported = ", ".join(sorted(outcome.metrics)) or "none"
            message = (
                f"It reported no metric '{metric}' (found: {reported}); write it to metrics.json or correct {field}."
            )
            return TrialResult("Failed", "MetricMissing", message)
        if not math.isfinite(value):
            message = f"Its metric '{metric}' is {value}; it must be a finite number."
            return TrialResult("Failed", "MetricsInvalid", message)
    violation, findings = total_violation(setup.constraints, outcome.metrics)
    success = TrialResult("Succeeded", value=outcome.metrics[setup.metric])
    if violation:
        message = f"It cannot be the best: {findings}."
        return replace(success, reason="Infeasible", message=message, violation=violation)
    return success


def listed_metrics(metrics: Mapping[str, str], objective: str) -> dict[str, str]:
    """The metrics of a trial among the last ones of a status, which is bounded in size: the objective, what is derived from it, then others.

    The records in the store have all of them.
    """
    names = sorted(metrics, key=lambda name: (name != objective, objective not in name, name))
    return {name: metrics[name] for name in names[:MAX_LISTED_METRICS]}


def mean_result(outcomes: Sequence[Outcome], setup: Setup) -> tuple[TrialResult, int]:
    """The result of a trial whose repeats all succeeded, by the means of their metrics.

    And the position of the repeat that is nearest to the mean, whose model stands for all.
    """
    if len(outcomes) == 1:
        return result_of(outcomes[0], setup), 0
    means = mean_metrics(outcomes)
    values = [each.metrics[setup.metric] for each in outcomes]
    distances = [abs(value - means[setup.metric]) for value in values]
    result = result_of(replace(outcomes[0], metrics=means), setup)
    return replace(result, std=statistics.stdev(values)), distances.index(min(distances))

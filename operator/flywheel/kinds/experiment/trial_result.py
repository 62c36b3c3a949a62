"""What a trial's Job came to, in the eyes of the search."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from flywheel.core.diagnosis.outcome import Outcome
from flywheel.kinds.experiment.schema.constraints import violation
from flywheel.kinds.experiment.schema.status import State
from flywheel.kinds.experiment.search.defaults import Setup


@dataclass(frozen=True)
class Verdict:
    """`value` is the objective, of a pruned trial the last of its curve, which ended at `step`. `over` is how far it is beyond the constraints."""

    state: State
    reason: str | None = None
    message: str | None = None
    value: float | None = None
    step: int | None = None
    over: float = 0.0
    std: float | None = None


def judged(outcome: Outcome, setup: Setup) -> Verdict:
    """Of an outcome that is not the infrastructure's. A success without what the search needs is a failure of the trial's."""
    if outcome.reason == "Pruned" and isinstance(outcome.facts.get("step"), int):
        last = outcome.facts.get("value")
        value = float(last) if isinstance(last, int | float) and math.isfinite(last) else None
        return Verdict("Pruned", outcome.reason, outcome.message, value, int(outcome.facts["step"]))
    if outcome.result != "Succeeded":
        state: State = "Invalid" if outcome.result == "Invalid" else "Failed"
        return Verdict(state, outcome.reason, outcome.message)
    fields = {each.metric: "spec.constraints" for each in setup.constraints} | {setup.metric: "spec.objective.metric"}
    for metric, field in fields.items():
        value = outcome.metrics.get(metric)
        if value is None:
            found = ", ".join(sorted(outcome.metrics)) or "none"
            words = f"It reported no metric '{metric}' (found: {found}); write it to metrics.json or correct {field}."
            return Verdict("Failed", "MetricMissing", words)
        if not math.isfinite(value):
            return Verdict("Failed", "MetricsInvalid", f"Its metric '{metric}' is {value}; it must be a finite number.")
    over, words = violation(setup.constraints, outcome.metrics)
    success = Verdict("Succeeded", value=outcome.metrics[setup.metric])
    if over:
        return replace(success, reason="Infeasible", message=f"It cannot be the best: {words}.", over=over)
    return success


def together(outcomes: Sequence[Outcome], setup: Setup) -> tuple[Verdict, int]:
    """Of a trial whose repeats have all succeeded: the means decide. And which repeat is nearest to the mean, from 0: its model stands for all."""
    if len(outcomes) == 1:
        return judged(outcomes[0], setup), 0
    names = [name for name in outcomes[0].metrics if all(name in each.metrics for each in outcomes)]
    means = {name: statistics.fmean(each.metrics[name] for each in outcomes) for name in names}
    values = [each.metrics[setup.metric] for each in outcomes]
    distances = [abs(value - means[setup.metric]) for value in values]
    verdict = judged(replace(outcomes[0], metrics=means), setup)
    return replace(verdict, std=statistics.stdev(values)), distances.index(min(distances))

"""The step `compare`: whether a second run had the results of the first (images/README.md, "compare")."""

from typing import Any

from pydantic import Field

from flywheel_runtime.commands.compare.differences import (
    Difference,
    compare_files,
    compare_metrics,
    may_follow_from_weights,
)
from flywheel_runtime.commands.compare.golden import compare_golden_rows
from flywheel_runtime.contract.step import MAX_FACTS_BYTES, Step, canonical_json, log_line, run_step
from flywheel_runtime.params import Params

TOLERANCE = 1e-9
MAX_DIFFERENCES = 20  # in facts.json


class CompareConfig(Params):
    """The configuration in params.json; `tolerance` of a metric is relative to the greater value."""

    left_metrics: dict[str, float] = Field(default_factory=dict)
    right_metrics: dict[str, float] = Field(default_factory=dict)
    tolerance: float = Field(TOLERANCE, ge=0, lt=1)


def main() -> int:
    """Compare in FLYWHEEL_ROOT; 0 with a verdict in facts.json, whatever it is."""
    return run_step(compare)


def compare(step: Step) -> None:
    """Compare inputs `left` and `right` and their metrics; the verdict is a fact."""
    config = CompareConfig.parse(step.params)
    left, right = config.left_metrics, config.right_metrics
    files = compare_files(step.input("left"), step.input("right"))
    golden = compare_golden_rows(step.input("left"), step.input("right")) if files else None
    excused = golden is not None and golden.is_within and may_follow_from_weights(files)
    allowed = max(config.tolerance, golden.tolerance) if excused and golden else config.tolerance
    metrics = compare_metrics(left, right)
    beyond = compare_metrics(left, right, allowed)
    verdict = "Different" if beyond or (files and not excused) else "WithinTolerance" if files or metrics else "Equal"
    differences = [*files, *metrics]
    counts: dict[str, float] = {"differing_files": len(files), "differing_metrics": len(metrics)}
    if golden is not None:
        counts["golden_difference"] = golden.largest
    step.finish(counts, _facts(verdict, differences))
    for each in differences:
        log_line(each.sentence)
    log_line(f"{verdict}: {len(files)} files and {len(metrics)} metrics differ")


def _facts(verdict: str, differences: list[Difference]) -> dict[str, Any]:
    """The verdict and as many differences as there is room for; `more` counts the rest."""
    facts: dict[str, Any] = {"verdict": verdict, "differs": []}
    for number, each in enumerate(differences[:MAX_DIFFERENCES]):
        longer = facts | {"differs": [*facts["differs"], each.as_json()]}
        if len(canonical_json(longer | {"more": len(differences)}).encode()) >= MAX_FACTS_BYTES:
            return facts | {"more": len(differences) - number}
        facts = longer
    return facts | ({"more": len(differences) - MAX_DIFFERENCES} if len(differences) > MAX_DIFFERENCES else {})

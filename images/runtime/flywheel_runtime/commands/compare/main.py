"""The step `compare`: whether a second run gave what the first one did (images/README.md, "compare")."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from flywheel_runtime.commands.compare import artifacts, golden, metric_differences
from flywheel_runtime.commands.compare.difference import Difference
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.step import FACTS_LIMIT, Step, canonical_json, log_line, run_step

TOLERANCE = 1e-9
SHOWN = 20


def main() -> int:
    """Compare in FLYWHEEL_ROOT; 0 with a verdict in facts.json, whatever it is."""
    return run_step(compare)


def compare(step: Step) -> None:
    """Compare inputs `left` and `right` and their metrics; the verdict is a fact."""
    left, right, tolerance = _parsed(step.params)
    files = artifacts.differences(step.input("left"), step.input("right"))
    answers = golden.difference(step.input("left"), step.input("right")) if files else None
    excused = answers is not None and answers.is_within and artifacts.may_follow(files)
    allowed = max(tolerance, answers.tolerance) if excused and answers else tolerance
    metrics = metric_differences.differences(left, right)
    beyond = metric_differences.differences(left, right, allowed)
    verdict = "Different" if beyond or (files and not excused) else "WithinTolerance" if files or metrics else "Equal"
    found = [*files, *metrics]
    counts: dict[str, float] = {"differing_files": len(files), "differing_metrics": len(metrics)}
    if answers is not None:
        counts["golden_difference"] = answers.largest
    step.finish(counts, _facts(verdict, found))
    for each in found:
        log_line(each.words)
    log_line(f"{verdict}: {len(files)} files and {len(metrics)} metrics differ")


def _parsed(params: Mapping[str, Any]) -> tuple[dict[str, float], dict[str, float], float]:
    try:
        left = {str(name): float(value) for name, value in (params.get("leftMetrics") or {}).items()}
        right = {str(name): float(value) for name, value in (params.get("rightMetrics") or {}).items()}
        given = params.get("tolerance")
        tolerance = float(TOLERANCE if given is None else given)
    except (AttributeError, TypeError, ValueError) as error:
        raise Failure("ParamsInvalid", f"params.json of compare cannot be read: {error!r}.") from error
    if not 0 <= tolerance < 1:
        raise Failure("ParamsInvalid", f"tolerance of compare is {tolerance} and must be from 0 to below 1.")
    return left, right, tolerance


def _facts(verdict: str, found: list[Difference]) -> dict[str, Any]:
    """The verdict and as many differences as there is room for; `more` counts the rest."""
    facts: dict[str, Any] = {"verdict": verdict, "differs": []}
    for number, each in enumerate(found[:SHOWN]):
        longer = facts | {"differs": [*facts["differs"], each.as_json()]}
        if len(canonical_json(longer | {"more": len(found)}).encode()) >= FACTS_LIMIT:
            return facts | {"more": len(found) - number}
        facts = longer
    return facts | ({"more": len(found) - SHOWN} if len(found) > SHOWN else {})


if __name__ == "__main__":
    sys.exit(main())

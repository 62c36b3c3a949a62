"""`python3 -m flywheel_runtime gates`: measures a challenger beside the champion (images/README.md, "gates")."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flywheel_runtime.commands.gates import leakage, scored
from flywheel_runtime.commands.gates.decision import Contest, Finding, judged, objective
from flywheel_runtime.commands.gates.scored import TestRows
from flywheel_runtime.contract.errors import Failure, Unmeasurable
from flywheel_runtime.contract.step import FACTS_LIMIT, Step, canonical_json, log_line, run_step, write_json
from flywheel_runtime.statistics.metrics import Answers

LEAK_GATE = "test-rows"
MESSAGE_LENGTHS = (300, 200, 140, 100, 70, 45, 25, 0)


def main() -> int:
    """Measure in FLYWHEEL_ROOT; 0 with a finding for each gate, whatever it is."""
    return run_step(measure)


def measure(step: Step) -> None:
    """One finding for each gate, and the objective of both models on the same rows."""
    gates, own, rival = _parsed(step.params)
    try:
        contest = _contest(step, own, rival)
    except Unmeasurable as error:
        findings = [Finding(str(gate["name"]), False, f"cannot be measured: {error}", {}) for gate in gates]
        return _finish(step, findings, {})
    findings = [judged(gate, contest) for gate in gates]
    leaked = leakage.finding(step.input("data"), step.input("champion-data"))
    if leaked is not None:
        findings.insert(0, Finding(LEAK_GATE, False, leaked, {}))
    metric = step.params.get("objective")
    return _finish(step, findings, objective(str(metric), contest) if metric else {})


def _parsed(params: Mapping[str, Any]) -> tuple[Sequence[Mapping[str, Any]], str, Mapping[str, str] | None]:
    try:
        gates: Sequence[Mapping[str, Any]] = params["gates"]
        _ = [gate["name"] for gate in gates]
        rival = params["champion"]
        return gates, str(params["digest"]), rival and {"version": rival["version"], "digest": rival["digest"]}
    except (KeyError, TypeError) as error:
        raise Failure("ParamsInvalid", f"params.json of the gates cannot be read: {error!r}.") from error


def _contest(step: Step, own: str, rival: Mapping[str, str] | None) -> Contest:
    rows = TestRows.open(step.input("data"))
    return Contest(
        rows=rows,
        data=step.input("data"),
        own=_answers(step.input("model"), rows),
        champion=_answers(step.input("champion"), rows) if rival else None,
        champion_name=rival["version"] if rival else "",
        seed=Contest.seed_of(own, rival["digest"] if rival else ""),
    )


def _answers(artifact: Path, rows: TestRows) -> Answers | Unmeasurable:
    try:
        return scored.answers(artifact, rows)
    except Unmeasurable as error:
        return error


def _finish(step: Step, findings: Sequence[Finding], metrics: Mapping[str, float]) -> None:
    for each in findings:
        log_line(f"{'passed' if each.passed else 'FAILED'} {each.name}: {each.message}")
    whole = {
        "v": 1,
        "digest": step.params["digest"],
        "champion": step.params["champion"],
        "gates": [
            {"name": each.name, "passed": each.passed, "message": each.message, "numbers": dict(each.numbers)}
            for each in findings
        ],
        "metrics": dict(metrics),
    }
    write_json(step.output("gates") / "gates.json", whole)
    step.finish(metrics, facts(findings))


def facts(findings: Sequence[Finding]) -> dict[str, Any]:
    """`{"gates": [{"name", "passed", "message"}]}` in at most 2,000 bytes: messages are cut as far as needed, gates.json has them whole."""
    told: dict[str, Any] = {}
    for length in MESSAGE_LENGTHS:
        told = {
            "gates": [
                {"name": each.name, "passed": each.passed, "message": _cut(each.message, length)} for each in findings
            ]
        }
        if len(canonical_json(told).encode()) < FACTS_LIMIT:
            break
    return told


def _cut(message: str, length: int) -> str:
    return message if len(message) <= length else f"{message[: max(length - 1, 0)]}…" if length else ""


if __name__ == "__main__":
    sys.exit(main())

"""Whether a version may be champion. A version is compared with the champion alone, on the same test data."""

import json

from flywheel.kinds.model.observe import Version
from flywheel.kinds.model.promotion.gate_evaluation import (
    awaits_default_gate,
    champion_gate_message,
    first_failed_gate,
    is_measured_for,
    needs_measurement,
)
from flywheel.kinds.model.schema.spec import ModelSpec, Objective
from flywheel.kinds.model.schema.status import MAX_MESSAGE_CHARACTERS, Candidate

WINNING_VERDICTS = ("Champion", "Better")


def evaluate_candidate(spec: ModelSpec, version: Version, champion: Version | None) -> Candidate:
    """The version with its verdict: the first finding against it, or the result of its comparison with the champion."""
    if champion is not None and version.name == champion.name and not version.barred:
        return _candidate(version, "Champion", _objective_text(spec, version))
    candidate = (
        _is_ineligible(version)
        or _fails_a_gate(spec, version, champion)
        or _is_passed_over(spec, version, champion)
        or _waits_for_measurement(spec, version, champion)
        or _compared(spec, version, champion)
    )
    candidate = _awaits_default_gate(spec, version, champion, candidate) or candidate
    return _awaits_approval(spec, version, candidate) or candidate


def _is_ineligible(version: Version) -> Candidate | None:
    if version.rejected is not None:
        return _candidate(version, "RolledBack", f"it was rolled back: {version.rejected}")
    if version.archived:
        return _candidate(version, "Archived", "it is archived; set its spec.archived to false to let it compete")
    return None if version.ready else _candidate(version, "NotReady", f"it is not verified ({version.reason})")


def _fails_a_gate(spec: ModelSpec, version: Version, champion: Version | None) -> Candidate | None:
    finding = first_failed_gate(spec, version, champion)
    return _candidate(version, "GateFailed", finding) if finding is not None else None


def _is_passed_over(spec: ModelSpec, version: Version, champion: Version | None) -> Candidate | None:
    """Only what is newer than the champion is measured, so that a new version does not wait for all the old ones."""
    if champion is None or not needs_measurement(spec, champion) or is_measured_for(spec, version, champion):
        return None
    if version.created >= champion.created:
        return None
    finding = f"it is older than champion '{champion.name}' and is not measured against it"
    return _candidate(version, "NotBetter", finding)


def _waits_for_measurement(spec: ModelSpec, version: Version, champion: Version | None) -> Candidate | None:
    if not needs_measurement(spec, champion) or is_measured_for(spec, version, champion):
        return None
    return _measuring(version, f" beside champion '{champion.name}'" if champion else "")


def _awaits_default_gate(
    spec: ModelSpec, version: Version, champion: Version | None, candidate: Candidate
) -> Candidate | None:
    """Only what would become champion is measured, so the operator's own gate costs one Job for each promotion."""
    if candidate.verdict not in WINNING_VERDICTS or not awaits_default_gate(spec, version, champion):
        return None
    return _measuring(version, "")


def _measuring(version: Version, beside: str) -> Candidate:
    failure = f" ({version.measurement_failure.rstrip('.')})" if version.measurement_failure else ""
    return _candidate(version, "Measuring", f"its gates are measured{beside}{failure}")


def _compared(spec: ModelSpec, version: Version, champion: Version | None) -> Candidate:
    """The comparison with the champion: by a champion gate on the objective's own metric, else by the objective."""
    if champion is None:
        return _candidate(version, "Champion", _objective_text(spec, version))
    gate_message = champion_gate_message(spec, version)
    if gate_message is not None:
        return _candidate(version, "Better", gate_message)
    if spec.objective is None:
        return _candidate(version, "NoObjective", "spec.objective is absent, so nothing says which version is better")
    measured = _measured_values(spec, version, champion)
    if measured is not None:
        return _better_or_not(spec.objective, version, champion, *measured, rows=" on the same rows")
    return _compared_by_tests(spec.objective, version, champion)


def _compared_by_tests(objective: Objective, version: Version, champion: Version) -> Candidate:
    """The comparison of the metrics of each version's own test, which needs the same test data."""
    value, champion_value = version.metric(objective.metric), champion.metric(objective.metric)
    if value is None:
        return _candidate(version, "MetricMissing", f"the version reports no {objective.metric}")
    if champion_value is None:
        return _candidate(version, "NotComparable", f"champion '{champion.name}' reports no {objective.metric}")
    if version.test_digest is None or version.test_digest != champion.test_digest:
        finding = f"it was tested on other data ({_short(version.test_digest)}) than champion '{champion.name}' ({_short(champion.test_digest)})"
        return _candidate(version, "NotComparable", finding)
    return _better_or_not(objective, version, champion, value, champion_value)


def _better_or_not(
    objective: Objective, version: Version, champion: Version, value: float, champion_value: float, rows: str = ""
) -> Candidate:
    better = value > champion_value if objective.maximize else value < champion_value
    numbers = f"{objective.metric} {value:.6g} against {champion_value:.6g} of champion '{champion.name}'{rows}"
    return _candidate(version, "Better" if better else "NotBetter", numbers)


def _measured_values(spec: ModelSpec, version: Version, champion: Version) -> tuple[float, float] | None:
    """The objective of both as the gates' Job measured it on the same rows, if it did."""
    result = version.gates
    if result is None or not needs_measurement(spec, champion) or not is_measured_for(spec, version, champion):
        return None
    if result.value is None or result.champion_value is None:
        return None
    return float(result.value), float(result.champion_value)


def _awaits_approval(spec: ModelSpec, version: Version, candidate: Candidate) -> Candidate | None:
    if spec.promotion != "Approval" or candidate.verdict not in WINNING_VERDICTS or version.approved is not None:
        return None
    return _candidate(version, "AwaitingApproval", approval_command(version, candidate.message))


def approval_command(version: Version, numbers: str) -> str:
    """The message with the command by which a user with the verb `approve` approves a version (the chart's ValidatingAdmissionPolicy).

    It says so where there is an approval that is void, since it is of another artifact.
    """
    who = "$(kubectl auth whoami -o jsonpath={.status.userInfo.username})"
    approval = {"by": who, "digest": version.digest, "reason": "REASON"}
    # In double quotes, so that a shell puts the user's own name in.
    patch = json.dumps({"spec": {"approval": approval}}, separators=(",", ":")).replace('"', '\\"')
    void = (
        f"its approval is void, since it is of {version.void[:15]} and the artifact is another; "
        if version.void
        else ""
    )
    command = f'kubectl patch fwver {version.name} -n {version.namespace} --type merge -p "{patch}"'
    # A command that was cut would be worse than numbers that are.
    room = MAX_MESSAGE_CHARACTERS - len(f"{void}it waits for approval (): {command}")
    shown = f" ({numbers[:room]})" if numbers and room > 0 else ""
    return f"{void}it waits for approval{shown}: {command}"


def _objective_text(spec: ModelSpec, version: Version) -> str:
    value = version.metric(spec.objective.metric) if spec.objective else None
    return f"{spec.objective.metric} {value:.6g}" if spec.objective and value is not None else ""


def _short(digest: str | None) -> str:
    return digest[:15] if digest else "unknown"


def _candidate(version: Version, verdict: str, message: str) -> Candidate:
    return Candidate(version=version.name, verdict=verdict, message=message[:MAX_MESSAGE_CHARACTERS])

"""Whether a version may be champion. A version is compared with the champion alone, on the same test data."""

from collections.abc import Iterable
from dataclasses import dataclass

from flywheel.kinds.model.observe import Version
from flywheel.kinds.model.promotion.approval import approval_command
from flywheel.kinds.model.promotion.gate_evaluation import compared_by_gate, first_finding, is_measured_for, needs_rows
from flywheel.kinds.model.schema.spec import ModelSpec
from flywheel.kinds.model.schema.status import Verdict

LONGEST_MESSAGE = 512
WON = ("Champion", "Better")


@dataclass(frozen=True)
class Choice:
    """The champion (None: nobody yet), and the verdict by which it took over (None: it was champion before)."""

    champion: Version | None
    won: Verdict | None = None


def choose(spec: ModelSpec, current: Version | None, versions: Iterable[Version]) -> Choice:
    """Every version, oldest first, challenges whoever is champion by then."""
    choice = Choice(current)
    for version in versions:
        verdict = judge(spec, version, choice.champion)
        if verdict.verdict in WON and version is not choice.champion:
            choice = Choice(version, verdict)
    return choice


def judge(spec: ModelSpec, version: Version, champion: Version | None) -> Verdict:
    """What speaks for or against one version."""
    if champion is not None and version.name == champion.name and not version.barred:
        return _verdict(version, "Champion", _own_number(spec, version))
    verdict = (
        _was_rolled_back(version)
        or _is_archived(version)
        or _is_not_ready(version)
        or _fails_a_gate(spec, version, champion)
        or _is_passed_over(spec, version, champion)
        or _is_measured(spec, version, champion)
        or _is_the_first(spec, version, champion)
        or _won_by_a_gate(spec, version, champion)
        or _cannot_be_compared(spec, version, champion)
        or _compared(spec, version, champion)
    )
    return _awaits_approval(spec, version, verdict) or verdict


def number(metric: str, version: Version) -> float | None:
    """A metric of a version, or None if it does not report it."""
    value = version.metrics.get(metric)
    return float(value) if value is not None else None


def _was_rolled_back(version: Version) -> Verdict | None:
    if version.rejected is None:
        return None
    return _verdict(version, "RolledBack", f"a rollout found it bad: {version.rejected}"[:LONGEST_MESSAGE])


def _is_archived(version: Version) -> Verdict | None:
    if not version.archived:
        return None
    return _verdict(version, "Archived", "it is archived; set its spec.archived to false to let it compete")


def _is_not_ready(version: Version) -> Verdict | None:
    if version.ready:
        return None
    return _verdict(version, "NotReady", f"it is not verified ({version.reason})")


def _fails_a_gate(spec: ModelSpec, version: Version, champion: Version | None) -> Verdict | None:
    finding = first_finding(spec, version, champion)
    return _verdict(version, "GateFailed", finding) if finding is not None else None


def _is_passed_over(spec: ModelSpec, version: Version, champion: Version | None) -> Verdict | None:
    """Only what is newer than the champion is measured, so that nobody waits for the whole past to be."""
    if champion is None or not needs_rows(spec, champion) or is_measured_for(spec, version, champion):
        return None
    if version.created >= champion.created:
        return None
    words = f"it is older than champion '{champion.name}' and is not measured against it"
    return _verdict(version, "NotBetter", words)


def _is_measured(spec: ModelSpec, version: Version, champion: Version | None) -> Verdict | None:
    if not needs_rows(spec, champion) or is_measured_for(spec, version, champion):
        return None
    beside = f" beside champion '{champion.name}'" if champion else ""
    diagnosis = f" ({version.gates_trouble})" if version.gates_trouble else ""
    return _verdict(version, "Measuring", f"its gates are measured{beside}{diagnosis}")


def _is_the_first(spec: ModelSpec, version: Version, champion: Version | None) -> Verdict | None:
    if champion is not None:
        return None
    return _verdict(version, "Champion", _own_number(spec, version))


def _won_by_a_gate(spec: ModelSpec, version: Version, champion: Version | None) -> Verdict | None:
    """A champion gate on the objective's own metric, or where there is no objective, is the comparison."""
    assert champion is not None, "the first version needs no comparison"
    message = compared_by_gate(spec, version)
    return _verdict(version, "Better", message) if message is not None else None


def _cannot_be_compared(spec: ModelSpec, version: Version, champion: Version | None) -> Verdict | None:
    assert champion is not None, "the first version needs no comparison"
    if spec.objective is None:
        return _verdict(version, "NoObjective", "spec.objective is absent, so nothing says which version is better")
    metric = spec.objective.metric
    if _measured_numbers(spec, version, champion) is not None:
        return None
    if number(metric, version) is None:
        return _verdict(version, "MetricMissing", f"the version reports no {metric}")
    if number(metric, champion) is None:
        return _verdict(version, "NotComparable", f"champion '{champion.name}' reports no {metric}")
    if version.test_digest is None or version.test_digest != champion.test_digest:
        return _verdict(
            version,
            "NotComparable",
            f"it was tested on other data ({_short(version.test_digest)}) than champion '{champion.name}' ({_short(champion.test_digest)})",
        )
    return None


def _compared(spec: ModelSpec, version: Version, champion: Version | None) -> Verdict:
    assert champion is not None, "the first version needs no comparison"
    assert spec.objective is not None, "without an objective nothing is compared"
    metric = spec.objective.metric
    measured = _measured_numbers(spec, version, champion)
    mine, theirs = measured or (number(metric, version) or 0.0, number(metric, champion) or 0.0)
    better = mine > theirs if spec.objective.maximize else mine < theirs
    return _verdict(
        version,
        "Better" if better else "NotBetter",
        f"{metric} {mine:.6g} against {theirs:.6g} of champion '{champion.name}'{' on the same rows' if measured else ''}",
    )


def _measured_numbers(spec: ModelSpec, version: Version, champion: Version) -> tuple[float, float] | None:
    """The objective of both as the gates' Job measured it on the same rows, if it did."""
    result = version.gates
    if result is None or not needs_rows(spec, champion) or not is_measured_for(spec, version, champion):
        return None
    if result.value is None or result.champion_value is None:
        return None
    return float(result.value), float(result.champion_value)


def _awaits_approval(spec: ModelSpec, version: Version, verdict: Verdict) -> Verdict | None:
    if spec.promotion != "Approval" or verdict.verdict not in WON or version.approved is not None:
        return None
    return _verdict(version, "AwaitingApproval", approval_command(version, verdict.message)[:LONGEST_MESSAGE])


def _own_number(spec: ModelSpec, version: Version) -> str:
    metric = spec.objective.metric if spec.objective else None
    return f"{metric} {float(version.metrics[metric]):.6g}" if metric in version.metrics and metric else ""


def _short(digest: str | None) -> str:
    return digest[:15] if digest else "unknown"


def _verdict(version: Version, verdict: str, message: str) -> Verdict:
    return Verdict(version=version.name, verdict=verdict, message=message[:LONGEST_MESSAGE])

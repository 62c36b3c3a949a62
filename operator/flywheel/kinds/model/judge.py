"""Whether a version may be champion. A version is compared with the champion alone, by one number, on the same test data."""

from collections.abc import Iterable
from dataclasses import dataclass

from flywheel.kinds.model.observe import Version
from flywheel.kinds.model.schema import Gate, ModelSpec, Verdict

LONGEST_MESSAGE = 512


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
        if verdict.verdict in ("Champion", "Better") and version is not choice.champion:
            choice = Choice(version, verdict)
    return choice


def judge(spec: ModelSpec, version: Version, champion: Version | None) -> Verdict:
    """What speaks for or against one version."""
    if champion is not None and version.name == champion.name and version.rejected is None:
        return _verdict(version, "Champion", _own_number(spec, version))
    return (
        _was_rolled_back(version)
        or _is_not_ready(version)
        or _fails_a_gate(spec, version)
        or _is_the_first(spec, version, champion)
        or _cannot_be_compared(spec, version, champion)
        or _compared(spec, version, champion)
    )


def number(metric: str, version: Version) -> float | None:
    """A metric of a version, or None if it does not report it."""
    value = version.metrics.get(metric)
    return float(value) if value is not None else None


def _was_rolled_back(version: Version) -> Verdict | None:
    if version.rejected is None:
        return None
    return _verdict(version, "RolledBack", f"a rollout found it bad: {version.rejected}"[:LONGEST_MESSAGE])


def _is_not_ready(version: Version) -> Verdict | None:
    if version.ready:
        return None
    return _verdict(version, "NotReady", f"it is not verified ({version.reason})")


def _fails_a_gate(spec: ModelSpec, version: Version) -> Verdict | None:
    for gate in spec.gates:
        finding = _finding(gate, version)
        if finding is not None:
            return _verdict(version, "GateFailed", f"gate '{gate.name}': {finding}")
    return None


def _finding(gate: Gate, version: Version) -> str | None:
    metric, least, most = gate.threshold.metric, gate.threshold.min, gate.threshold.max
    value = number(metric, version)
    if value is None:
        return f"the version reports no {metric}"
    if least is not None and not value >= least.value:
        return f"{metric} {value:.4g} is below {least}"
    if most is not None and not value <= most.value:
        return f"{metric} {value:.4g} is above {most}"
    return None


def _is_the_first(spec: ModelSpec, version: Version, champion: Version | None) -> Verdict | None:
    if champion is not None:
        return None
    return _verdict(version, "Champion", _own_number(spec, version))


def _cannot_be_compared(spec: ModelSpec, version: Version, champion: Version | None) -> Verdict | None:
    assert champion is not None, "the first version needs no comparison"
    if spec.objective is None:
        return _verdict(version, "NoObjective", "spec.objective is absent, so nothing says which version is better")
    metric = spec.objective.metric
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
    mine, theirs = number(metric, version) or 0.0, number(metric, champion) or 0.0
    better = mine > theirs if spec.objective.maximize else mine < theirs
    return _verdict(
        version,
        "Better" if better else "NotBetter",
        f"{metric} {mine:.6g} against {theirs:.6g} of champion '{champion.name}'",
    )


def _own_number(spec: ModelSpec, version: Version) -> str:
    metric = spec.objective.metric if spec.objective else None
    return f"{metric} {float(version.metrics[metric]):.6g}" if metric in version.metrics and metric else ""


def _short(digest: str | None) -> str:
    return digest[:15] if digest else "unknown"


def _verdict(version: Version, verdict: str, message: str) -> Verdict:
    return Verdict(version=version.name, verdict=verdict, message=message)

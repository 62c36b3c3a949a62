"""What a run found, from the facts of its Job to the status. A fact that cannot be read is left out, since the report has it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import ValidationError

from flywheel.core.diagnosis.outcome import Outcome
from flywheel.core.diagnosis.pod_status import to_sentence
from flywheel.core.resource import names
from flywheel.core.resource.values import Digest, number_text
from flywheel.kinds.modelmonitor.schema.status import (
    MAX_FEATURES,
    MAX_FINDINGS,
    MAX_VERSIONS,
    Budget,
    FeatureDrift,
    Finding,
    LabelWindows,
    ModelMonitorStatus,
    MonitoredVersion,
    RefusedLabels,
    Run,
    StoredReport,
    StoredState,
    WindowCounts,
)

REASON = re.compile("[A-Z][A-Za-z0-9]{0,62}")
DEFAULT_REASONS = {True: "WithinThreshold", False: "ThresholdExceeded", None: "NotEnoughData"}
DIGITS = 4  # of numbers in the status


@dataclass(frozen=True)
class SignalResult:
    """What a run says of a signal. `holds`: True, False, or None where nothing can be concluded."""

    name: str
    holds: bool | None
    reason: str
    message: str


def with_result(
    status: ModelMonitorStatus, run: Run, outcome: Outcome, versions: Mapping[str, Digest], label_delay: timedelta
) -> ModelMonitorStatus:
    """The status after a run that succeeded. Labels of a window may come until `label_delay` after its end."""
    facts = outcome.facts
    counts = {
        "from": run.from_,
        "until": run.until,
        "rows": int(facts.get("rows") or 0),
        "requests": int(facts.get("requests") or 0),
        "completeness": _number(facts.get("completeness")),
    }
    changes: dict[str, Any] = {
        "processed_until": run.until,
        "window": WindowCounts.model_validate(counts),
        "versions": tuple(_versions(status, run, facts, versions, label_delay)[:MAX_VERSIONS]),
        "findings": tuple(_distinct(_findings(facts)))[:MAX_FINDINGS],
        "finding_count": _count(facts.get("findingCount")),
        "features": tuple(_features(facts))[:MAX_FEATURES],
        "budget": _budget(facts) or status.budget,
        "report": StoredReport(digest=Digest.parse(outcome.outputs["report"])),
        "state": StoredState(digest=Digest.parse(outcome.outputs["state"])),
        "label_windows": _label_windows(facts),
        "refused_labels": _refused_labels(facts),
        "skipped_windows": ((status.skipped_windows or 0) + (run.skipped or 0)) or None,
    }
    return status.model_copy(update=changes)


def _versions(
    status: ModelMonitorStatus,
    run: Run,
    facts: Mapping[str, Any],
    versions: Mapping[str, Digest],
    label_delay: timedelta,
) -> list[MonitoredVersion]:
    """The versions that the run saw, with the most rows first, and those of earlier runs whose windows are not all frozen."""
    rows = {str(name)[:253]: int(count or 0) for name, count in _mapping(facts.get("versions")).items()}
    known = {each.version: each.digest for each in status.versions} | dict(versions)
    seen = [
        MonitoredVersion(version=name, digest=known.get(name), rows=count, last_seen=run.until)
        for name, count in sorted(rows.items(), key=lambda each: -each[1])
    ]
    earlier = [
        each.model_copy(update={"rows": 0, "last_seen": each.last_seen or status.processed_until or run.from_})
        for each in status.versions
        if each.version not in rows
    ]
    awaited = [each for each in earlier if each.last_seen is not None and run.until < each.last_seen + label_delay]
    return seen + sorted(awaited, key=lambda each: each.last_seen or run.from_, reverse=True)


def signal_results(facts: Mapping[str, Any]) -> Iterator[SignalResult]:
    """The results of the signals that a run reports."""
    for name, result in sorted(_mapping(facts.get("signals")).items()):
        given = _mapping(result)
        holds = {"True": True, "False": False}.get(str(given.get("state")))
        reason = str(given.get("reason") or DEFAULT_REASONS[holds])
        if REASON.fullmatch(reason):
            yield SignalResult(str(name), holds, reason, to_sentence(str(given.get("message") or "")))


def _findings(facts: Mapping[str, Any]) -> Iterator[Finding]:
    for found in facts.get("findings") or ():
        given = _mapping(found)
        parts = [str(given[key]) for key in ("signal", "measure", "version", "subject") if given.get(key)]
        numbers = {key: _number(given.get(key)) for key in ("effect", "threshold", "evidence", "share")}
        texts = {key: given.get(key) for key in ("signal", "subject", "version", "measure", "since", "problem")}
        message = str(given["message"])[:512] if given.get("message") else None
        try:
            name = names.truncate("/".join(parts), 253)
            yield Finding.model_validate({"name": name, **texts, **numbers, "message": message})
        except ValidationError:
            continue


def _distinct(findings: Iterable[Finding]) -> Iterator[Finding]:
    """The findings, with a number where names are equal: the run shortens those of long columns."""
    known: set[str] = set()
    for finding in findings:
        name, number = finding.name, 2
        while name in known:
            name, number = names.truncate(f"{number}/{finding.name}", 253), number + 1
        known.add(name)
        yield finding.model_copy(update={"name": name})


def _features(facts: Mapping[str, Any]) -> Iterator[FeatureDrift]:
    """The features, each name once: a gauge has one value for each."""
    known: set[str] = set()
    for pair in facts.get("features") or ():
        value = _number(pair[1]) if isinstance(pair, list) and len(pair) == 2 else None
        if value is not None and str(pair[0]) not in known:
            known.add(str(pair[0]))
            yield FeatureDrift(name=str(pair[0])[:253], psi=value)


def _budget(facts: Mapping[str, Any]) -> Budget | None:
    given = _mapping(facts.get("budget"))
    document = {"alarms": given.get("alarms"), "since": given.get("since"), "left": _number(given.get("left"))}
    try:
        return Budget.model_validate(document)
    except ValidationError:
        return None


def _label_windows(facts: Mapping[str, Any]) -> LabelWindows | None:
    given = _mapping(facts.get("labels"))
    counts = {name: _count(given.get(name)) or 0 for name in ("waiting", "untested")}
    return LabelWindows.model_validate(counts) if any(counts.values()) else None


def _refused_labels(facts: Mapping[str, Any]) -> RefusedLabels | None:
    """The rows whose labels do not count, by reason, and the sources that the run names."""
    given = _mapping(facts.get("labels"))
    refused = _mapping(given.get("refused"))
    reasons = [
        {"reason": f"{name[:1].upper()}{name[1:]}", "rows": _count(rows)} for name, rows in sorted(refused.items())
    ]
    sources = [
        {"source": str(pair[0])[:253], "rows": _count(pair[1])}
        for pair in given.get("sources") or ()
        if isinstance(pair, list) and len(pair) == 2
    ]
    document = {"admitted": _count(given.get("admitted")) or 0, "reasons": reasons[:8], "sources": sources[:3]}
    try:
        return RefusedLabels.model_validate(document) if reasons else None
    except ValidationError:
        return None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: Any) -> str | None:
    """A number as text, with the digits that a reader wants."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return number_text(float(f"{value:.{DIGITS}g}"))

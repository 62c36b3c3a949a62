"""What the operator gets of a run: the state of each signal and the largest findings, in at most 2,000 bytes."""

from collections.abc import Mapping, Sequence
from typing import Any

from flywheel_runtime.contract.step import is_room_for, null_non_finite

MAX_FINDINGS, MAX_FEATURES, MAX_VERSIONS = 5, 10, 4
# Messages, findings and features are cut in these steps until the facts have room; the report has all of them.
LIMITS = (
    (400, 5, 10),
    (250, 5, 10),
    (160, 5, 8),
    (120, 5, 5),
    (80, 4, 3),
    (60, 2, 0),
    (40, 1, 0),
    (40, 0, 0),
    (10, 0, 0),
)
MAX_NAME_CHARACTERS = 60
MAX_SOURCES, MAX_SOURCE_CHARACTERS = 3, 150
# The largest finding of each signal comes first, in this order: pipelines and Models act on them. Nothing acts on drift of features.
FIRST_SIGNALS = ("performance", "service", "estimatedPerformance", "dataQuality", "predictionDrift")
FINDING_FIELDS = ("signal", "subject", "version", "measure", "effect", "threshold", "since", "evidence", "share")


def shorten_report(report: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of a report, in which a number that is not finite is null."""
    facts: dict[str, Any] = {}
    for characters, findings, features in LIMITS:
        facts = null_non_finite(_facts(report, characters, findings, features))
        if is_room_for(facts):
            break
    return facts


def _facts(report: Mapping[str, Any], characters: int, findings: int, features: int) -> dict[str, Any]:
    ranked = _rank(report["findings"])
    psi: dict[str, float] = {}
    for column in report["columns"]:
        if column.get("psi") is not None and not column["isPrediction"]:
            psi[column["name"]] = max(column["psi"], psi.get(column["name"], 0.0))
    largest = sorted(psi.items(), key=lambda each: (-each[1], each[0]))[:features]
    labels = _labels(report.get("labels") or {}, min(findings, MAX_SOURCES))
    signals = {
        name: {
            "state": signal["state"],
            **({"reason": signal["reason"]} if signal.get("reason") else {}),
            "message": _cut(signal["message"], characters),
        }
        for name, signal in report["signals"].items()
    }
    return {
        "v": 1,
        "until": report["until"],
        "rows": report["rows"],
        "requests": report["requests"],
        "completeness": report["completeness"],
        "skipped": report["skipped"],
        "versions": dict(list(report["versions"].items())[:MAX_VERSIONS]),
        "signals": signals,
        "findings": [_finding(each) for each in ranked[:findings]],
        "findingCount": len(ranked),
        "budget": report["budget"],
        **({"labels": labels} if any(labels.values()) else {}),
        "features": [[_cut(name, MAX_NAME_CHARACTERS), round(value, 4)] for name, value in largest],
    }


def _labels(labels: Mapping[str, Any], sources: int) -> dict[str, Any]:
    """The counts above 0: windows that wait or were never tested, and rows whose labels do not count, with the sources of the most of these."""
    refused = {reason: rows for reason, rows in (labels.get("refused") or {}).items() if rows}
    found = {name: labels.get(name, 0) for name in ("waiting", "untested")}
    if not refused:
        return found
    blamed = [each for each in labels["sources"] if each["refused"] and not each["trusted"]]
    blamed.sort(key=lambda each: -sum(each["refused"].values()))
    named = [[_cut(each["source"], MAX_SOURCE_CHARACTERS), sum(each["refused"].values())] for each in blamed[:sources]]
    return found | {"admitted": labels["admitted"], "refused": refused, "sources": named}


def _rank(findings: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The largest effect for its threshold first, but before all others that of each problem, signal and version."""
    ranked = sorted(findings, key=lambda each: -each["effect"] / each["threshold"])
    places = {signal: place for place, signal in enumerate(FIRST_SIGNALS)}
    seen: set[tuple[str, str, str]] = set()
    firsts: list[Mapping[str, Any]] = []
    others: list[Mapping[str, Any]] = []
    for each in ranked:
        key = (each["signal"], each["version"], each.get("problem") or "")
        (others if key in seen else firsts).append(each)
        seen.add(key)
    firsts.sort(key=lambda each: (not each.get("problem"), places.get(each["signal"], len(places))))
    return [*firsts, *others]


def _finding(finding: Mapping[str, Any]) -> dict[str, Any]:
    short = {name: finding[name] for name in FINDING_FIELDS}
    short |= {"problem": finding["problem"]} if finding.get("problem") else {}
    short["subject"] = _cut(short["subject"], MAX_NAME_CHARACTERS)
    return short | {name: float(f"{short[name]:.4g}") for name in ("effect", "evidence", "share")}


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"

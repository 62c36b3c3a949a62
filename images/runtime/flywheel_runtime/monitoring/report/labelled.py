"""Labelled performance in report.json and in the message of its condition, and which labels counted."""

from collections.abc import Mapping, Sequence
from typing import Any

from flywheel_runtime.monitoring.labels.admission import Admitted
from flywheel_runtime.monitoring.labels.drawn_labels import DrawnEstimate, estimate_versions
from flywheel_runtime.monitoring.labels.join import JoinedWindows
from flywheel_runtime.monitoring.labels.labelled_windows import LabelledAnalysis, LabelledResult
from flywheel_runtime.monitoring.labels.performance import Performance
from flywheel_runtime.monitoring.labels.source_shares import Flood
from flywheel_runtime.monitoring.report.sentences import format_share, format_time, summarize_findings

REASONS = {
    "TooFewRows": "has too few labelled rows",
    "DependenceUnknown": "has labelled rows whose dependence cannot be estimated yet",
    "NoRoomAboveNull": "has no room above the threshold: maxDrop is as large as the metric",
    "NotFinite": "has labels or weights whose mean is no finite number",
}

FLOOD_SIGNAL, FLOOD_MEASURE = "labels", "overShare"
UNKNOWN_CALLER = "(not authenticated)"  # the source of labels in files of earlier releases, and of callers whom no service authenticated
MIN_THRESHOLD = 1e-4  # of a finding, whose effect is divided by it
REFUSALS = {
    "ambiguous": "have an id that other rows have too",
    "conflicts": "have labels that differ",
    "outliers": "have a number outside the range of the version's test rows",
    "overShare": "have a label of one source alone, beyond its share",
    "untrustedDraw": "have the probability of a draw from a source that is not trusted",
}


def describe_performance(analysis: LabelledAnalysis, joined: JoinedWindows, source: str) -> dict[str, Any]:
    """What report.json says: the windows, oldest first, and the labels that were read. `source` says where they come from."""
    windows = [_describe_window(each) for each in analysis.results]
    return {
        "metric": analysis.target.metric,
        "maxDrop": analysis.target.max_drop,
        "source": source,
        "labels": joined.labels,
        "unknown": joined.unknown,
        **({"problem": joined.problem} if joined.problem else {}),
        "windows": windows,
        "estimates": [each.to_json() | {"message": describe_estimate(each)} for each in _estimates(analysis)],
    }


def _estimates(analysis: LabelledAnalysis) -> list[DrawnEstimate]:
    return estimate_versions([each.window for each in analysis.results], analysis.target.metric)


def describe_estimate(estimate: DrawnEstimate) -> str:
    """One sentence: what the drawn labels of a version say of all its logged rows."""
    interval, others = estimate.interval, estimate.labelled - estimate.drawn
    labels = f"{estimate.drawn:,} drawn labels" + (f" and {others:,} others" if others else "")
    return (
        f"From {labels}, by their weights, {estimate.metric} of version {estimate.version} is {interval.value:.4g} "
        f"({interval.low:.4g} to {interval.high:.4g}) on {estimate.rows:,} logged rows."
    )


def _describe_window(result: LabelledResult) -> dict[str, Any]:
    return result.to_json() | {"start": format_time(result.window.start)}


def performance_state(
    analysis: LabelledAnalysis, findings: Sequence[Mapping[str, Any]], problem: str = ""
) -> dict[str, str]:
    """State and message of the signal: False with an open finding, True if the newest frozen window was tested, else Unknown.

    `problem` is why no labels could be read; empty if they were.
    """
    if findings:
        return {"state": "False", "message": summarize_findings(findings)}
    if problem:
        return {"state": "Unknown", "message": problem}
    frozen = [each for each in analysis.results if each.is_frozen]
    newest = [each for each in frozen if each.window.start == frozen[-1].window.start]
    problem = next((found for each in newest if (found := _problem(each))), "")
    if newest and not problem:
        said = "; ".join(_value(each.performance) for each in newest if each.performance is not None)
        return {"state": "True", "message": f"{said}. It is not worse by more than {analysis.target.max_drop:g}."}
    estimates = (describe_estimate(each) for each in _estimates(analysis))
    return {"state": "Unknown", "message": " ".join([problem or _waiting(analysis), *estimates])}


def _problem(result: LabelledResult) -> str:
    """Why a frozen window says nothing; empty if it was tested."""
    labels = f"{result.window.counts.labelled:,} of {result.window.counts.rows:,} logged rows have a label"
    where = f"The window from {format_time(result.window.start)} of version {result.window.version}"
    if result.problem:
        return f"{where} cannot be tested: {result.problem} ({labels})."
    if result.outcome is None or result.outcome.status != "Unknown":
        return ""
    return f"{where} {REASONS[result.outcome.reason]} ({labels})."


def _waiting(analysis: LabelledAnalysis) -> str:
    """What is known where no window with logged rows was frozen."""
    results = analysis.results
    measured = [each.performance for each in results if each.performance is not None]
    if not results:
        return "No window whose labels are expected has logged rows."
    if not measured:
        rows = sum(each.window.counts.rows for each in results)
        return f"None of {rows:,} logged rows has a label yet."
    if analysis.frozen_windows:
        return f"The windows that were frozen in this run have no logged row; so far {_value(measured[-1])}."
    return f"Labels may still arrive; so far {_value(measured[-1])}."


def _value(performance: Performance) -> str:
    interval, counts = performance.interval, performance.window.counts
    return (
        f"{performance.target.metric} of version {performance.window.version} is {interval.value:.4g} "
        f"({interval.low:.4g} to {interval.high:.4g}) from labels of {format_share(counts.coverage)} of {counts.rows:,} logged rows, "
        f"and was {performance.reference.value:.4g} on its test rows"
    )


def add_waiting(report: dict[str, Any]) -> None:
    """Says in the messages of the signals with labels how many windows are frozen and not tested yet."""
    waiting = (report.get("labels") or {}).get("waiting", 0)
    for name in ("performance", "fairness"):
        if waiting and name in report["signals"]:
            windows = "1 window that is frozen waits" if waiting == 1 else f"{waiting:,} windows that are frozen wait"
            message = report["signals"][name]["message"]
            report["signals"][name]["message"] = f"{message} {windows} for labels that can be read, for at most a day."


def describe_admitted(admitted: Admitted) -> dict[str, Any]:
    """What report.json says."""
    return {
        "admitted": admitted.labels,
        "refused": dict(admitted.refused),
        "overruled": admitted.overruled,
        "sources": [each.to_json() | {"source": each.source or UNKNOWN_CALLER} for each in admitted.sources],
        "message": describe_refused(admitted),
    }


def describe_refused(admitted: Admitted) -> str:
    """One sentence for each reason, and what follows of them; empty where all labels count."""
    said = [f"{rows:,} rows {REFUSALS[reason]}" for reason, rows in admitted.refused.items() if rows]
    if not said:
        return ""
    named = _name_floods(admitted.floods)
    return (
        f"Labels that do not count, so that neither a run nor a rollback follows from them: {'; '.join(said)}{named}."
    )


def _name_floods(floods: Sequence[Flood]) -> str:
    largest = sorted(floods, key=lambda each: (-each.share, each.source))[:1]
    return "".join(
        f" ('{each.source or UNKNOWN_CALLER}' decided {format_share(each.share)} of a window alone)" for each in largest
    )


def describe_floods(admitted: Admitted, max_share: float, until: int) -> list[dict[str, Any]]:
    """The sources that brought more than their share, as findings. They are counted, so that no evidence is gathered and no budget spent."""
    return [
        {
            "signal": FLOOD_SIGNAL,
            "subject": each.source or UNKNOWN_CALLER,
            "version": each.version,
            "measure": FLOOD_MEASURE,
            "effect": each.share,
            "threshold": max(max_share, MIN_THRESHOLD),
            "since": format_time(each.start),
            "until": format_time(until),
            "evidence": 0.0,
            "share": 1.0,
            "is_skew": False,
            "problem": None,
            "message": (
                f"Source '{each.source or UNKNOWN_CALLER}' decided {format_share(each.share)} of the labelled rows of version {each.version} "
                f"in a window alone, above {format_share(max_share)}: {each.refused:,} of its rows do not count, since {format_time(each.start)}. "
                "If it may decide alone, name it in spec.groundTruth.guards.trustedSources; else withdraw its verb 'label'."
            ),
        }
        for each in admitted.floods
    ]


def add_admitted(report: dict[str, Any], admitted: Admitted, max_share: float, until: int) -> None:
    """Adds which labels counted: the counts, floods as findings of data quality, and a sentence to the signals that read labels."""
    report["labels"] |= describe_admitted(admitted)
    floods = describe_floods(admitted, max_share, until)
    report["findings"] += floods
    if floods:
        quality = report["signals"]["dataQuality"]
        found = [quality["message"]] if quality["state"] == "False" else []
        report["signals"]["dataQuality"] = {
            "state": "False",
            "message": " ".join([*found, *(each["message"] for each in floods[:1])]),
        }
    refused = report["labels"]["message"]
    for name in ("performance", "fairness"):
        if refused and name in report["signals"]:
            signal = report["signals"][name]
            signal["message"] = f"{signal['message']} {refused}"

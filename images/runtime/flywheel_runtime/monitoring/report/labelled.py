"""Labelled performance in report.json, and in the message of its condition."""

from collections.abc import Mapping, Sequence
from typing import Any

from flywheel_runtime.monitoring.labels.drawn_labels import DrawnEstimate, estimate_versions
from flywheel_runtime.monitoring.labels.join import JoinedWindows
from flywheel_runtime.monitoring.labels.labelled_windows import LabelledAnalysis, LabelledResult
from flywheel_runtime.monitoring.labels.performance import Performance
from flywheel_runtime.monitoring.report.sentences import format_share, format_time, summarize_findings

REASONS = {
    "TooFewRows": "has too few labelled rows",
    "DependenceUnknown": "has labelled rows whose dependence cannot be estimated yet",
    "NoRoomAboveNull": "has no room above the threshold: maxDrop is as large as the metric",
    "NotFinite": "has labels or weights whose mean is no finite number",
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

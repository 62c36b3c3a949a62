"""Errors and latencies of the service in report.json and report.html, and in the message of its condition."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from flywheel_runtime.monitoring.report.charts import Charts
from flywheel_runtime.monitoring.report.html import Number, render_section, render_table
from flywheel_runtime.monitoring.report.sentences import format_share, format_time, summarize_findings
from flywheel_runtime.monitoring.rollup import Rollup
from flywheel_runtime.monitoring.service.service_windows import (
    ServiceAnalysis,
    ServiceResult,
    ServiceTarget,
    format_duration,
)

QUANTILES = (0.5, 0.95, 0.99)
REASONS = {
    "TooFewRows": "has too few requests",
    "DependenceUnknown": "has requests whose dependence cannot be estimated yet",
    "NoRoomAboveNull": "has no room above the threshold",
    "NotFinite": "has numbers that are not finite",
}
NOT_COUNTED = (
    "The servers counted no errors and latencies in these windows: they are of an earlier release, or no request reached them; "
    "servers count them once they are restarted."
)


STORED_ROWS = "The server is not Flywheel's, and counts no errors and latencies; see its own metrics."


def describe_service(analysis: ServiceAnalysis) -> dict[str, Any]:
    """What report.json says: what is asked for, and each window, oldest first."""
    return {
        "target": _describe_target(analysis.target),
        "windows": [_describe_window(each) for each in analysis.results],
    }


def _describe_target(target: ServiceTarget) -> dict[str, Any]:
    latency = target.latency
    described = {} if latency is None else {"quantile": latency.quantile, "maxSeconds": latency.max_seconds}
    return {"maxErrorShare": target.max_error_share, "latency": described or None}


def _describe_window(result: ServiceResult) -> dict[str, Any]:
    counts = result.counts
    return {
        "start": format_time(result.start),
        "version": result.series.version,
        "successes": int(counts.successes),
        "errors": counts.errors(),
        "errorShare": _error_share(result),
        "latencySeconds": {f"{quantile:g}": counts.latency_quantile(quantile) for quantile in QUANTILES},
    }


def _error_share(result: ServiceResult) -> float | None:
    """The share of requests that the service failed, of those that were valid."""
    failures, successes = int(result.counts.failures), int(result.counts.successes)
    return round(failures / (failures + successes), 6) if failures + successes else None


def describe_service_trend(rollups: Sequence[Rollup]) -> list[dict[str, Any]]:
    """The share of failed requests in each retained window of a version, oldest first."""
    points = []
    for rollup in rollups:
        counts = rollup.layout.service(rollup.counts)
        failures, total = int(counts.failures), int(counts.failures + counts.successes)
        if total:
            share = round(failures / total, 6)
            points.append({"time": rollup.start, "version": rollup.series.version, "errorShare": share})
    return points


def service_state(
    analysis: ServiceAnalysis, findings: Sequence[Mapping[str, Any]], not_counted: str = NOT_COUNTED
) -> dict[str, str]:
    """State and message of the signal: False with an open finding, True if every test of the last window was done, else Unknown.

    `not_counted` is said where there are no counts.
    """
    if findings:
        return {"state": "False", "message": summarize_findings(findings)}
    last = [*{each.series: each for each in analysis.results}.values()]
    if not last:
        return {"state": "Unknown", "message": not_counted}
    if problem := next((found for each in last if (found := _find_problem(each))), ""):
        return {"state": "Unknown", "message": problem}
    return {"state": "True", "message": " ".join(_describe_health(each, analysis.target) for each in last)}


def _find_problem(result: ServiceResult) -> str:
    """Why the window of a version says nothing; empty if it was tested."""
    unknown = next((each for each in result.outcomes.values() if each.status == "Unknown"), None)
    if unknown is None:
        return ""
    where = f"The window from {format_time(result.start)} of version {result.series.version}"
    return f"{where} {REASONS[unknown.reason]} ({unknown.rows:,})."


def _describe_health(result: ServiceResult, target: ServiceTarget) -> str:
    said = []
    if target.max_error_share is not None:
        share, limit = format_share(_error_share(result) or 0.0), format_share(target.max_error_share)
        said.append(
            f"{share} of {int(result.counts.failures + result.counts.successes):,} requests failed (at most {limit})"
        )
    if target.latency is not None:
        quantile, limit = target.latency.quantile, format_duration(target.latency.max_seconds)
        said.append(
            f"{format_share(quantile)} of responses took {_latency(result.counts.latency_quantile(quantile))} (at most {limit})"
        )
    return f"Version {result.series.version}: {', and '.join(said)}."


def _latency(bound: float | None) -> str:
    return "longer than the last bucket" if bound is None else f"at most {format_duration(bound)}"


def _render_trend(found: Mapping[str, Any], charts: Charts) -> str:
    """A chart for each version with several retained windows."""
    drawn = []
    limit, points = found["target"]["maxErrorShare"], found.get("trend", ())
    for version in dict.fromkeys(each["version"] for each in points):
        times = [each["time"] for each in points if each["version"] == version]
        shares = [each["errorShare"] for each in points if each["version"] == version]
        if len(times) > 1:
            chart = charts.trend(times, {"errors": shares}, limit, "share of requests that failed")
            drawn.append(f"<h3>{escape(version)}</h3>{chart}")
    return "".join(drawn)


def render_service(report: Mapping[str, Any], charts: Charts) -> str:
    """The section of the page, newest window first; empty if the servers counted neither errors nor latencies."""
    found = report.get("serviceHealth")
    if not found or not found["windows"]:
        return ""
    rows = [
        (
            each["start"], each["version"], Number(f"{each['successes']:,}"),
            *(Number(f"{count:,}") for count in each["errors"].values()),
            Number("" if each["errorShare"] is None else format_share(each["errorShare"])),
            *(Number("" if bound is None else f"≤ {format_duration(bound)}") for bound in each["latencySeconds"].values()),
        )
        for each in reversed(found["windows"])
    ]  # fmt: skip
    quantiles = (f"p{100 * quantile:g}" for quantile in QUANTILES)
    header = (
        "Window",
        "Version",
        "Responses",
        "Invalid",
        "Overloaded",
        "Timed out",
        "Failed",
        "Error share",
        *quantiles,
    )
    note = "Invalid requests, and those with a timeout that was too short, are the clients' errors, and not in the error share. A latency is the bound of the bucket that the quantile is in."
    table = f'{render_table(header, rows)}<p class="note">{note}</p>'
    return render_section("Service", table + _render_trend(found, charts))

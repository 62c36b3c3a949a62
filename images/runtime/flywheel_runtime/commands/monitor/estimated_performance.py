"""Estimated performance in a run of the monitor: its target, and what the condition and the report say of it."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from flywheel_runtime.commands.monitor.config import MonitorConfig
from flywheel_runtime.commands.monitor.row_scores import count_row_scores
from flywheel_runtime.commands.monitor.stored_rows import RowReader
from flywheel_runtime.contract.step import Step
from flywheel_runtime.monitoring.analysis import Analysis, WindowResult
from flywheel_runtime.monitoring.estimates.estimate_target import EstimateTarget
from flywheel_runtime.monitoring.estimates.looks import SIGNAL, EstimatedPerformance
from flywheel_runtime.monitoring.report.sentences import format_time, summarize_findings

REASONS = {
    "TooFewRows": "too few rows",
    "DependenceUnknown": "rows whose dependence cannot be estimated yet",
    "NoRoomAboveNull": "no room above the threshold: its reference has too few rows, or no scores would let so much worse a metric be expected",
    "NotFinite": "numbers that are not finite",
}


def estimate_performance(step: Step, config: MonitorConfig, read: RowReader) -> EstimatedPerformance | None:
    """What finds the looks at estimated performance; None if it is not asked for."""
    asked = config.signals.estimated_performance
    if asked is None:
        return None
    target = EstimateTarget(asked.metric, asked.max_drop)
    return EstimatedPerformance(target, count_row_scores(step, config, target, read))


def add_estimates(report: dict[str, Any], analysis: Analysis, served: Collection[str]) -> None:
    """Adds the windows, and the state of the signal, to report.json; nothing where it is not asked for."""
    estimates = analysis.estimates
    if estimates is None:
        return
    target = estimates.target
    report["estimatedPerformance"] = {
        "metric": target.metric,
        "maxDrop": target.max_drop,
        "problems": {name: each.message for name, each in sorted(estimates.problems.items())},
        "windows": [_describe_window(each) for each in analysis.results if each.estimate],
    }
    findings = [each for each in report["findings"] if each["signal"] == SIGNAL]
    report["signals"][SIGNAL] = _describe_state(analysis, estimates, findings, served)


def _describe_window(result: WindowResult) -> dict[str, Any]:
    rollup = result.window.rollup
    return {
        "start": format_time(rollup.start),
        "version": rollup.series.version,
        "value": round(result.estimate["value"], 6),
        "reference": round(result.estimate["reference"], 6),
    }


def _describe_state(
    analysis: Analysis,
    estimates: EstimatedPerformance,
    findings: Sequence[Mapping[str, Any]],
    served: Collection[str],
) -> dict[str, str]:
    """False with an open finding, True if the last window of every version was tested, else Unknown."""
    if findings:
        return {"state": "False", "message": summarize_findings(findings)}
    unmet = {name: each for name, each in estimates.problems.items() if name in served}
    if unmet:
        name = min(unmet)
        message = f"The performance of version {name} is not estimated: {unmet[name].message}."
        return {"state": "Unknown", "reason": unmet[name].reason, "message": message}
    last = {each.window.rollup.series: each for each in analysis.results}
    if not last:
        return {"state": "Unknown", "message": "There was no traffic that is counted."}
    said = []
    for result in last.values():
        look = next((each for each in result.looks if each.signal == SIGNAL), None)
        outcome = result.outcomes[look.stream] if look is not None else None
        version = result.window.rollup.series.version
        if look is None or outcome is None:
            return {"state": "Unknown", "message": f"Version {version} was not compared: {result.note}."}
        if outcome.status == "Unknown":
            return {
                "state": "Unknown",
                "message": f"The last window of version {version} has {REASONS[outcome.reason]} ({outcome.rows:,} rows).",
            }
        said.append(
            f"{estimates.target.metric} of version {version} is estimated at {look.details['value']:.4g} without labels, "
            f"and at {look.details['reference']:.4g} on the reference's rows, from {outcome.rows:,} rows"
        )
    return {
        "state": "True",
        "message": f"{'; '.join(said)}. It is not worse by more than {estimates.target.max_drop:g}.",
    }

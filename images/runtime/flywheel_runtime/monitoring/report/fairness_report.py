"""Fairness in report.json, and in the message of its condition. The report names groups; messages name columns alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from flywheel_runtime.monitoring.fairness.fairness_analysis import FairnessAnalysis, FairnessResult
from flywheel_runtime.monitoring.report.sentences import format_time, summarize_findings

DIGITS = 6
Finding = Mapping[str, Any]


def describe_fairness(analysis: FairnessAnalysis) -> dict[str, Any]:
    """What report.json says: each column of each window, oldest first, with the rates of all its groups."""
    target = analysis.target
    return {
        "measure": target.measure,
        "maxGap": target.max_gap,
        "positive": target.positive or None,
        "by": list(analysis.columns),
        "minRows": analysis.min_rows,
        "windows": [_describe_result(each) for each in analysis.results],
    }


def _describe_result(result: FairnessResult) -> dict[str, Any]:
    outcome = result.outcome
    return {
        "start": format_time(result.rows.start),
        "version": result.rows.version,
        "column": result.column,
        "frozen": result.is_complete,
        "gap": _round(result.gap),
        "effect": _round(outcome.effect) if outcome is not None else None,
        "groups": [
            {
                "group": each.group,
                "rate": each.rate,
                "value": _round(each.value),
                "rows": each.rows,
                "compared": each.is_compared,
            }
            for each in result.rates
        ],
        **({"problem": result.problem} if result.problem else {}),
    }


def fairness_state(analysis: FairnessAnalysis, findings: Sequence[Finding], problem: str = "") -> dict[str, str]:
    """State and message of the signal: False with an open finding, True if every column of the newest complete window was tested, else Unknown.

    `problem` is why no rows could be read; empty if they were.
    """
    if findings:
        return {"state": "False", "message": summarize_findings(findings)}
    if problem:
        return {"state": "Unknown", "message": problem}
    complete = [each for each in analysis.results if each.is_complete]
    newest = [each for each in complete if each.rows.start == complete[-1].rows.start]
    said = [(found, each.reason) for each in newest if (found := _problem(each, analysis))]
    if said and said[0][1]:
        return {"state": "Unknown", "reason": said[0][1], "message": said[0][0]}
    problem = said[0][0] if said else ""
    if newest and not problem:
        return {
            "state": "True",
            "message": f"There is no evidence that two groups are further apart than {_limit(analysis)}; the newest window has {_gaps(newest)}.",
        }
    return {"state": "Unknown", "message": problem or _waiting(analysis)}


def _problem(result: FairnessResult, analysis: FairnessAnalysis) -> str:
    """Why a complete window says nothing of a column; empty if its groups were tested."""
    where = f"The window from {format_time(result.rows.start)} of version {result.rows.version}"
    if result.problem:
        return f"{where} cannot be tested by '{result.column}': {result.problem}."
    if result.outcome is None or result.outcome.status == "Unknown":
        return f"{where} has fewer than two groups of '{result.column}' with {analysis.min_rows:,} rows that count for {analysis.target.measure}."
    if result.untested_groups:
        groups = "group has" if result.untested_groups == 1 else "groups have"
        return (
            f"{where}: {result.untested_groups} {groups} by '{result.column}' fewer than {analysis.min_rows:,} rows, or are beyond the ten largest, "
            f"and were not compared; those that were are apart by {_number(result.gap)}."
        )
    return ""


def _waiting(analysis: FairnessAnalysis) -> str:
    measured = [each for each in analysis.results if each.gap is not None]
    if not analysis.results:
        return "No window has logged rows that can be compared."
    if not measured:
        return f"No window has two groups with {analysis.min_rows:,} rows yet."
    newest = [each for each in measured if each.rows.start == measured[-1].rows.start]
    return f"Labels may still arrive; so far {_gaps(newest)}."


def _gaps(results: Sequence[FairnessResult]) -> str:
    return "; ".join(
        f"{_number(each.gap)} by '{each.column}' of version {each.rows.version} ({_count_groups(each)})"
        for each in results
    )


def _count_groups(result: FairnessResult) -> str:
    compared = len({each.group for each in result.rates if each.is_compared})
    others = len({each.group for each in result.rates} - {each.group for each in result.rates if each.is_compared})
    return f"{compared} groups{f', {others} with too few rows' if others else ''}"


def _limit(analysis: FairnessAnalysis) -> str:
    return f"{analysis.target.max_gap:g} in {analysis.target.measure}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)

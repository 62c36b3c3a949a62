"""The document report.json: everything that a run found, from which the page and the facts are made."""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from flywheel_runtime.contract.errors import Undefined
from flywheel_runtime.monitoring.analysis import Analysis, WindowResult
from flywheel_runtime.monitoring.documents import DocumentProblems
from flywheel_runtime.monitoring.findings import Finding
from flywheel_runtime.monitoring.layout import Column, Counts
from flywheel_runtime.monitoring.reference import ColumnFacts, Reference
from flywheel_runtime.monitoring.report.sentences import describe_finding, format_time
from flywheel_runtime.monitoring.seasonal.hour_of_week import WEEKS
from flywheel_runtime.monitoring.signals import DRIFT_MEASURE, PREDICTION
from flywheel_runtime.monitoring.statistics.effects import exact_shares
from flywheel_runtime.monitoring.statistics.estimation import calibrate_bins, estimate_roc_auc


def describe_windows(results: Iterable[WindowResult]) -> list[dict[str, Any]]:
    """One entry for each window and version, in the order of time."""
    return [_describe_window(each) for each in results]


def _describe_window(result: WindowResult) -> dict[str, Any]:
    rollup, reference = result.window.rollup, result.reference
    compared = None
    if reference is not None:
        window = None if reference.window is None else format_time(reference.window)
        compared = {"rows": reference.rows, "window": window}
    if result.drift_reference is not None and result.drift_reference.season:
        drift = result.drift_reference
        compared = {"rows": drift.rows, "window": None, "season": drift.season, "weeks": WEEKS}
    return {
        "start": format_time(rollup.start),
        "end": format_time(rollup.end),
        "version": rollup.series.version,
        "digest": rollup.series.digest,
        "rows": rollup.rows,
        "requests": rollup.requests,
        "share": result.share,
        "completeness": result.coverage.completeness,
        "lostRows": result.coverage.lost,
        "reference": compared,
        "estimatedRocAuc": None if reference is None else _estimate_roc_auc(result, reference),
        "note": result.note,
    }


def _estimate_roc_auc(result: WindowResult, reference: Reference) -> dict[str, float] | None:
    """The ROC area that the calibrated scores of the window let expect, beside the same of the reference; None without a calibration."""
    column = next((each for each in result.window.rollup.layout.columns if each.is_prediction), None)
    edges = reference.column_facts(column).edges if column is not None else ()
    if column is None or reference.positives is None or len(edges) != len(reference.positives) + 1:
        return None
    expected, now = (column.distribution(counts) for counts in (reference.counts, result.window.rollup.counts))
    calibration = calibrate_bins(reference.positives, expected, (np.array(edges[1:]) + np.array(edges[:-1])) / 2)
    try:
        areas = [round(estimate_roc_auc(calibration, each), 4) for each in (now, expected)]
    except Undefined:
        return None
    return dict(zip(("value", "reference"), areas, strict=True))


def describe_findings(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Findings with their times as text and a sentence, the largest effect for its threshold first."""
    ranked = sorted(findings, key=lambda each: (-each.effect / each.threshold, each.subject, each.version))
    described = []
    for finding in ranked:
        document = finding.to_json() | {"since": format_time(finding.since), "until": format_time(finding.until)}
        described.append(document | {"message": describe_finding(document)})
    return described


def describe_columns(results: Sequence[WindowResult]) -> list[dict[str, Any]]:
    """Each column in the last window of each version that was compared: reference and now, the largest PSI first."""
    last = {each.window.rollup.series: each for each in results if each.reference is not None}
    columns = [
        _describe_column(column, result, result.drift_reference or result.reference)
        for result in last.values()
        for column in result.window.rollup.layout.columns
        if result.reference is not None
    ]
    return sorted(columns, key=lambda each: (-(each["psi"] or 0.0), each["name"], each["version"]))


def _describe_column(column: Column, result: WindowResult, reference: Reference) -> dict[str, Any]:
    name = PREDICTION if column.is_prediction else column.name
    facts, current = reference.column_facts(column), result.window.rollup.counts
    looks = [each for each in result.looks if each.subject == name and each.column == column]
    drift = next((each for each in looks if each.measure == DRIFT_MEASURE), None)
    quality = {each.measure: dict(each.details) for each in looks if each.signal == "dataQuality"}
    now = column.distribution(current)
    described = {
        "name": name,
        "version": result.window.rollup.series.version,
        "isPrediction": column.is_prediction,
        "rows": int(now.sum()),
        "untested": facts.untested,
        "labels": column_labels(column, facts),
        "innerEdges": list(facts.edges[1:-1]) if len(facts.edges) == column.bins + 1 else [],
        "reference": _shares(column.distribution(reference.counts)),
        "current": _shares(now),
        "psi": _round(result.outcomes[drift.stream].effect) if drift is not None else None,
        "quality": quality,
    }
    return described | ({name: round(value, 6) for name, value in drift.details.items()} if drift else {})


def column_labels(column: Column, facts: ColumnFacts) -> list[str]:
    """A label for each bin, of which the first and the last are open, or for each category and `other`."""
    if column.kind == "Category":
        names = facts.categories or tuple(f"category {number + 1}" for number in range(column.bins))
        return [*names, "other"]
    if len(facts.edges) != column.bins + 1:
        return [f"bin {number + 1}" for number in range(max(column.bins, 2 if not column.bins else 0))]
    labels = [f"{low:.4g} to {high:.4g}" for low, high in itertools.pairwise(facts.edges)]
    if len(labels) > 1:
        labels[0], labels[-1] = f"< {facts.edges[1]:.4g}", f"≥ {facts.edges[-2]:.4g}"
    return labels


def _round(effect: float | None) -> float | None:
    return None if effect is None else round(effect, 6)


def _shares(counts: Counts) -> list[float]:
    return [round(float(each), 6) for each in exact_shares(counts)]


def describe_trend(analysis: Analysis) -> list[dict[str, Any]]:
    """The retained points of all versions, with their times."""
    return [
        {"time": point["start"], **{name: point[name] for name in ("version", "rows", "completeness", "psi")}}
        for point in analysis.state.trend
    ]


def describe_documents(read: int, late: int, late_rows: int, problems: DocumentProblems) -> dict[str, Any]:
    """How many documents were read, and which were not counted and why."""
    found = {
        reason: {"count": count, "examples": problems.examples[reason]}
        for reason, count in sorted(problems.counts.items())
    }
    return {"read": read, "late": late, "lateRows": late_rows, "problems": found}


def total_traffic(results: Iterable[WindowResult]) -> Mapping[str, Any]:
    """Rows, requests, rows of each version, and completeness of all windows together."""
    versions: Counter[str] = Counter()
    rows = requests = served = counted = 0
    for result in results:
        rollup = result.window.rollup
        versions[rollup.series.version] += rollup.rows
        rows, requests = rows + rollup.rows, requests + rollup.requests
        if result.coverage.served:
            served, counted = served + result.coverage.served, counted + result.coverage.counted
    completeness = round(counted / max(served, counted), 6) if counted else None
    return {"rows": rows, "requests": requests, "versions": dict(versions), "completeness": completeness}

"""The state of each signal after a run: False with an open finding, True if every test of the last window was done, else Unknown."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from flywheel_runtime.monitoring.analysis import Outcome, WindowResult
from flywheel_runtime.monitoring.reference import Reference
from flywheel_runtime.monitoring.report.sentences import format_share, summarize_findings
from flywheel_runtime.monitoring.signals import Look

# The signals of conditions, with the tests that they stand for.
GROUPS = {"dataQuality": ("dataQuality",), "drift": ("featureDrift", "predictionDrift")}
REASONS = {
    "TooFewRows": "have too few rows in the window",
    "DependenceUnknown": "have rows whose dependence cannot be estimated yet",
    "NoRoomAboveNull": "have no room above the threshold",
    "NotFinite": "have numbers that are not finite",
}
UNCOUNTED = (
    "The model of version {name} has no baseline.json, so that only its logged rows are counted, and there are none: "
    "set spec.logging.sample of the InferenceService above 0%."
)
GOOD = {
    "dataQuality": "No share of missing, infinite, out-of-range or unseen values is above the reference's by more than {threshold}",
    "drift": "No distribution is further from the reference than a PSI of {threshold}",
}


def describe_signals(
    asked: Mapping[str, float],
    results: Sequence[WindowResult],
    findings: Sequence[Mapping[str, Any]],
    uncounted: Collection[str] = (),
) -> dict[str, dict[str, str]]:
    """The state and message of each signal that is asked for; `asked` has its threshold.

    `uncounted` are versions without a baseline, of which there are no rows either.
    """
    last = {each.window.rollup.series: each for each in results}
    described = {}
    for name, threshold in asked.items():
        found = [each for each in findings if each["signal"] in GROUPS[name]]
        if found:
            described[name] = {"state": "False", "message": summarize_findings(found)}
            continue
        tested = [each for result in last.values() for each in _outcomes(result, GROUPS[name])]
        skipped = [each for each in last.values() if _compared_with(each, name) is None]
        problem = _find_problem(list(last.values()), skipped, [outcome for _, outcome in tested])
        if uncounted:
            problem = f"{problem} {UNCOUNTED.format(name=min(uncounted))}".strip()
        state = "Unknown" if problem else "True"
        message = (
            problem
            or GOOD[name].format(threshold=format_share(threshold) if name == "dataQuality" else f"{threshold:g}")
            + f", in {_count(tested)}."
        )
        described[name] = {"state": state, "message": message}
    return described


def _outcomes(result: WindowResult, signals: Sequence[str]) -> Iterator[tuple[Look, Outcome]]:
    return ((look, result.outcomes[look.stream]) for look in result.looks if look.signal in signals)


def _compared_with(result: WindowResult, name: str) -> Reference | None:
    return result.drift_reference if name == "drift" else result.reference


def _find_problem(last: Sequence[WindowResult], skipped: Sequence[WindowResult], outcomes: Sequence[Outcome]) -> str:
    """Why the last windows do not tell that all is well; empty if they do."""
    if not last:
        return "There was no traffic that is counted."
    if not outcomes:
        notes = [each.note for each in last if each.note]
        return f"Nothing could be compared: {notes[0]}." if notes else "No column is tested."
    if skipped:
        return f"Version {skipped[0].window.rollup.series.version} was not compared: {skipped[0].note}."
    reasons = Counter(each.reason for each in outcomes if each.status == "Unknown")
    if not reasons:
        return ""
    reason, number = reasons.most_common(1)[0]
    rows = min(each.rows for each in outcomes if each.reason == reason)
    return f"{number} of {len(outcomes)} tests {REASONS[reason]} ({rows:,} at least)."


def _count(tested: Sequence[tuple[Look, Outcome]]) -> str:
    columns = len({(look.subject, look.version) for look, _ in tested})
    rows = max(outcome.rows for _, outcome in tested)
    return f"{columns} {'column' if columns == 1 else 'columns'} of {rows:,} rows"

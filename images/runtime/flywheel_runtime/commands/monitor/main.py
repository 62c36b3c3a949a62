"""`python3 -m flywheel_runtime monitor`: merges the windows' count documents, tests them and reports (images/README.md, "monitor")."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from flywheel_runtime.commands.monitor.compared_groups import analyse_fairness
from flywheel_runtime.commands.monitor.config import FalseAlarms, MonitorConfig
from flywheel_runtime.commands.monitor.estimated_performance import add_estimates, estimate_performance
from flywheel_runtime.commands.monitor.ground_truth import (
    LoggedWindows,
    analyse_performance,
    describe_labelled_rows,
    describe_labels,
    describe_source,
    read_windows,
)
from flywheel_runtime.commands.monitor.service_levels import add_service, analyse_service
from flywheel_runtime.commands.monitor.signal_states import describe_signals
from flywheel_runtime.commands.monitor.stored_rows import StoredRows
from flywheel_runtime.commands.monitor.uncounted_versions import count_uncounted, list_uncounted, list_unmeasured
from flywheel_runtime.contract.step import Step, log_line, step_command, write_finite_json
from flywheel_runtime.monitoring.analysis import Analysis, ReferenceReader
from flywheel_runtime.monitoring.documents import DocumentProblems, DocumentReader, Series
from flywheel_runtime.monitoring.fairness.fairness_analysis import FairnessAnalysis
from flywheel_runtime.monitoring.labels.join import JoinedWindows
from flywheel_runtime.monitoring.labels.labelled_windows import LabelledAnalysis
from flywheel_runtime.monitoring.layout import Layout
from flywheel_runtime.monitoring.methods.look_observer import AlarmBudget
from flywheel_runtime.monitoring.reference import Reference, read_reference
from flywheel_runtime.monitoring.report import document as documents_of_report
from flywheel_runtime.monitoring.report.charts import Charts
from flywheel_runtime.monitoring.report.facts import shorten_report
from flywheel_runtime.monitoring.report.fairness_report import describe_fairness, fairness_state
from flywheel_runtime.monitoring.report.importance import ImportanceOfColumns, rank_columns, read_importance
from flywheel_runtime.monitoring.report.labelled import (
    add_admitted,
    add_waiting,
    describe_performance,
    performance_state,
)
from flywheel_runtime.monitoring.report.page import render_page
from flywheel_runtime.monitoring.report.sentences import format_time
from flywheel_runtime.monitoring.signals import Thresholds
from flywheel_runtime.monitoring.state import MonitorState, read_state
from flywheel_runtime.monitoring.statistics.false_alarm_budget import alarms_left, split_allowance
from flywheel_runtime.monitoring.windows import DocumentSorter, Schedule, SortedDocuments

STARTED_AGAIN = ", so that all tests and the budget started again."


@step_command
def main(step: Step) -> None:
    """Decides all windows of the configuration; exits with 0, whatever is found."""
    config = MonitorConfig.parse(step.params)
    state, note = _read_state(step.input("state"), config)
    schedule = Schedule(config.starts, config.window_seconds, state.monitored_since)
    problems = DocumentProblems()
    sorter = DocumentSorter(schedule, state.rollups, problems)
    sorter.add(DocumentReader(config.namespace, config.service, problems).read(_inputs(step, "counts")))
    rows = StoredRows(step, config, schedule)
    sorter.add(rows.count(problems, schedule.oldest_counted))
    uncounted = list_uncounted(step, config, sorter.versions)
    sorter.add(count_uncounted(step, config, state, uncounted, rows.read, problems, schedule.oldest_counted))
    found = sorter.finish()
    budget, allowances = _split_budget(config)
    analysis = _make_analysis(step, config, state, budget, rows)
    analysis.run(found)
    service = analyse_service(config, state, found, allowances.get("service", 0.0))
    windows = read_windows(step, config, state, problems)
    labelled = analyse_performance(step, config, state, windows, allowances.get("performance", 0.0))
    fairness = analyse_fairness(step, config, state, windows, allowances.get("fairness", 0.0))
    state.until = schedule.until
    unmeasured = list_unmeasured(step, uncounted & config.served_versions, found.versions)
    report = _describe(config, analysis, found, problems, unmeasured)
    add_estimates(report, analysis, config.served_versions)
    report["columns"] = rank_columns(report["columns"], _read_importances(step, config))
    if windows is not None:
        _add_logged_windows(report, step, config, state, windows, labelled, fairness)
    add_service(report, config, service, found.rollups)
    for each in (service, labelled, fairness):
        analysis.restarted += each.restarted if each is not None else []
    report["note"] = f"{_note_restarts(note, analysis.restarted)} {rows.describe()}".strip()
    for signal in report["signals"].values():
        signal["message"] = f"{signal['message']} {report['note']}".strip()
    _write(step, report, state)


def _make_analysis(
    step: Step,
    config: MonitorConfig,
    state: MonitorState,
    budget: AlarmBudget,
    rows: StoredRows,
) -> Analysis:
    return Analysis(
        state,
        config.served_versions,
        _thresholds(config),
        budget,
        _reference_reader(step, rows.references),
        estimate_performance(step, config, rows.read),
        config.method,
        is_seasonal=config.reference is not None,
    )


def _read_state(folder: Path, config: MonitorConfig) -> tuple[MonitorState, str]:
    """The state of the previous run, else a new one, and what a reader should know of it."""
    start = config.starts[0]
    try:
        state = read_state(folder)
    except ValueError as error:
        log_line(f"the state of the previous run cannot be used, so that monitoring starts again: {error}")
        return MonitorState(start, start), f"The state of the previous run could not be used{STARTED_AGAIN}"
    if state is None and config.state_expected:
        return MonitorState(start, start), f"The state of the previous run is not in the store any more{STARTED_AGAIN}"
    return state or MonitorState(start, start), ""


def _note_restarts(note: str, restarted: Collection[str]) -> str:
    """The note, and how many tests started again."""
    if not restarted:
        return note
    return (
        f"{note} {len(restarted)} of the tests started again: their states of the previous run do not fit them.".strip()
    )


def _inputs(step: Step, prefix: str) -> Iterator[Path]:
    """The folders of the inputs whose names begin with `prefix`: one for each hour."""
    folder = step.root / "inputs"
    return (each for each in sorted(folder.iterdir()) if each.name.startswith(prefix)) if folder.is_dir() else iter(())


def _reference_reader(step: Step, references: Mapping[Series, Reference]) -> ReferenceReader:
    known: dict[Series, Reference | None] = {**references}

    def read(series: Series, layout: Layout) -> Reference | None:
        if series not in known:
            path = step.input(f"version-{series.version}") / "baseline.json"
            known[series] = read_reference(path, series, layout)
        return known[series]

    return read


def _read_importances(step: Step, config: MonitorConfig) -> dict[str, ImportanceOfColumns]:
    """The importances of columns by version, of those versions that have them."""
    found = {each.name: read_importance(step.input(f"version-{each.name}")) for each in config.versions}
    return {name: importance for name, importance in found.items() if importance is not None}


def _split_budget(config: MonitorConfig) -> tuple[AlarmBudget, dict[str, float]]:
    """The budget of what is counted, and the false alarms that each other signal may cost in one window in expectation."""
    count, per_seconds, signals = config.false_alarms.count, config.false_alarms.per_seconds, config.signals
    optional = {
        "featureDrift": signals.feature_drift,
        "predictionDrift": signals.prediction_drift,
        "estimatedPerformance": signals.estimated_performance,
    }
    counted = ["dataQuality", *(name for name, signal in optional.items() if signal)]
    others = {
        "performance": config.ground_truth and signals.performance,
        "fairness": signals.fairness,
        "service": signals.service,
    }
    asked = [name for name, signal in others.items() if signal]
    allowances, rest = split_allowance(counted, asked, count, per_seconds, config.window_seconds)
    return AlarmBudget(rest, per_seconds), allowances


def _thresholds(config: MonitorConfig) -> Thresholds:
    signals = config.signals
    return Thresholds(
        signals.data_quality.max_share,
        signals.feature_drift.psi if signals.feature_drift else None,
        signals.prediction_drift.psi if signals.prediction_drift else None,
        config.min_rows,
    )


def _describe(
    config: MonitorConfig,
    analysis: Analysis,
    found: SortedDocuments,
    problems: DocumentProblems,
    uncounted: Collection[str],
) -> dict[str, Any]:
    """The whole report.json."""
    state, thresholds = analysis.state, analysis.thresholds
    findings = documents_of_report.describe_findings(state.findings.values())
    drift = thresholds.feature_drift or thresholds.prediction_drift
    asked = {"dataQuality": thresholds.data_quality, **({"drift": drift} if drift else {})}
    return {
        "v": 1,
        "service": config.service,
        "namespace": config.namespace,
        "from": format_time(config.starts[0]),
        "until": format_time(state.until),
        "monitoredSince": format_time(state.monitored_since),
        "windowSeconds": config.window_seconds,
        "minRows": config.min_rows,
        "skipped": config.skipped,
        "method": config.method,
        "thresholds": {
            "dataQuality": thresholds.data_quality,
            "featureDrift": thresholds.feature_drift,
            "predictionDrift": thresholds.prediction_drift,
        },
        **documents_of_report.total_traffic(analysis.results),
        "signals": describe_signals(asked, analysis.results, findings, uncounted),
        "findings": findings,
        "closed": documents_of_report.describe_findings(state.closed),
        "budget": _describe_budget(state, config.false_alarms),
        "windows": documents_of_report.describe_windows(analysis.results),
        "columns": documents_of_report.describe_columns(analysis.results),
        "trend": documents_of_report.describe_trend(analysis),
        "documents": documents_of_report.describe_documents(found.read, found.late, found.late_rows, problems),
    }


def _add_logged_windows(
    report: dict[str, Any],
    step: Step,
    config: MonitorConfig,
    state: MonitorState,
    windows: LoggedWindows,
    labelled: LabelledAnalysis | None,
    fairness: FairnessAnalysis | None,
) -> None:
    """Adds what the logged rows say, and which of their windows could not be tested."""
    report["labels"] = describe_labels(config, state, windows)
    report["labelledRows"] = describe_labelled_rows(step, config, windows)
    if labelled is not None:
        _add_performance(report, labelled, windows.joined, describe_source(config.ground_truth))
    if fairness is not None:
        findings = [each for each in report["findings"] if each["signal"] == "fairness"]
        report["fairness"] = describe_fairness(fairness)
        report["signals"]["fairness"] = fairness_state(fairness, findings, windows.joined.problem)
    max_share = config.ground_truth.max_source_share if config.ground_truth is not None else 1.0
    add_admitted(report, windows.joined.admitted, max_share, state.until)
    add_waiting(report)


def _add_performance(report: dict[str, Any], analysis: LabelledAnalysis, joined: JoinedWindows, source: str) -> None:
    findings = [each for each in report["findings"] if each["signal"] == "performance"]
    report["performance"] = describe_performance(analysis, joined, source)
    report["signals"]["performance"] = performance_state(analysis, findings, joined.problem)


def _describe_budget(state: MonitorState, budget: FalseAlarms) -> dict[str, Any]:
    """The budget, its alarms in the last `perSeconds`, and how many are left if all of them were false."""
    times = [each.time for each in state.alarms]
    return {
        "count": budget.count,
        "perSeconds": budget.per_seconds,
        "alarms": sum(state.until - budget.per_seconds < time <= state.until for time in times),
        "since": format_time(max(state.monitored_since, int(state.until - budget.per_seconds))),
        "left": alarms_left(budget.count, budget.per_seconds, times, state.until),
    }


def _write(step: Step, report: dict[str, Any], state: MonitorState) -> None:
    for name, signal in report["signals"].items():
        log_line(f"{name} {signal['state']}: {signal['message']}")
    folder = step.output("report")
    write_finite_json(folder / "report.json", report)
    (folder / "report.html").write_text(render_page(report, Charts()), encoding="utf-8")
    state.write(step.output("state"))
    metrics = {"rows": report["rows"], "requests": report["requests"], "findings": len(report["findings"])}
    step.finish({**metrics, "alarms": len(state.alarms)}, shorten_report(report))

"""The logged rows of a run of the monitor, joined with labels where a signal needs them, and labelled performance."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from flywheel_runtime.commands.monitor.config import GroundTruth, MonitorConfig
from flywheel_runtime.commands.monitor.label_policy import label_policy
from flywheel_runtime.commands.monitor.version_files import read_json
from flywheel_runtime.contract.errors import Failure, Undefined
from flywheel_runtime.contract.step import Step
from flywheel_runtime.datasets.sql import (
    connect,
    describe_error,
    scratch_folder,
    translate_resource_errors,
)
from flywheel_runtime.models.output_names import LABEL, PREDICTION, PROBABILITIES, find_output
from flywheel_runtime.monitoring.documents import DocumentProblems
from flywheel_runtime.monitoring.fairness.quartiles import find_quartiles
from flywheel_runtime.monitoring.labels.join import JoinedWindows, join_labels
from flywheel_runtime.monitoring.labels.label_matching import Delay
from flywheel_runtime.monitoring.labels.labelled_curves import describe_curves, describe_slices, read_test_roc
from flywheel_runtime.monitoring.labels.labelled_windows import (
    SIGNAL,
    LabelledAnalysis,
    LabelSchedule,
    TestMetricReader,
    first_frozen_start,
    label_schedule,
    retire_streams,
)
from flywheel_runtime.monitoring.labels.performance import PerformanceTarget, TestMetric, read_test_metric
from flywheel_runtime.monitoring.labels.sources import (
    DatasetLabels,
    OutputNames,
    UnreadableFile,
    read_dataset_labels,
    read_logged_rows,
    read_posted_labels,
)
from flywheel_runtime.monitoring.labels.window_rows import AnsweredRows, LoggedVersion, read_answered_rows
from flywheel_runtime.monitoring.state import MonitorState

ROWS, LABELS, DATASET = "rows", "labels", "dataset"  # prefixes of inputs
EXHAUSTED_REASONS = ("OutOfMemory", "DiskFull")  # of a database that has neither room in memory nor on disk
MEMORY_FRACTION = 0.25  # of the container's memory, for the database: a million rows then need 295 MiB in a pod of 512, and 236 in one of 256


@dataclass(frozen=True)
class LoggedWindows:
    """What the logged rows of a run say: those with labels, and for fairness without labels all rows that have an answer."""

    schedule: LabelSchedule
    joined: JoinedWindows
    answered: Sequence[AnsweredRows] = ()


def read_windows(
    step: Step, config: MonitorConfig, state: MonitorState, problems: DocumentProblems
) -> LoggedWindows | None:
    """The logged windows of this run, None if no signal needs them. A file of the log that cannot be read is counted.

    The windows that are frozen now are so for good, unless their labels cannot be read: then later runs read them again, as long as their
    inputs have them.
    """
    if not config.needs_rows:
        state.labelled_until = 0
        return None
    schedule = _schedule(config, state)
    joined, answered = _read_rows(step, config, schedule, problems)
    if joined.problem and config.signals.fairness is not None and not config.signals.fairness.target.needs_labels:
        state.untested_windows += len(config.starts)
    if schedule.frozen_starts and not joined.problem:
        state.labelled_until = max(schedule.frozen_starts) + schedule.window_seconds
    return LoggedWindows(schedule, joined, answered)


def describe_labels(config: MonitorConfig, state: MonitorState, windows: LoggedWindows) -> dict[str, Any]:
    """What became of the windows: how many are frozen and wait for labels that can be read, and how many were never tested for that."""
    truth, until = config.ground_truth, config.starts[-1] + config.window_seconds
    waiting = 0
    if truth is not None:
        delay = Delay(truth.min_delay_seconds, truth.max_delay_seconds)
        first_open = first_frozen_start(until, config.window_seconds, delay)
        waiting = max(0, first_open - state.labelled_until) // config.window_seconds
    problem = {"problem": windows.joined.problem} if windows.joined.problem else {}
    return {"waiting": waiting, "untested": state.untested_windows, **problem}


def _schedule(config: MonitorConfig, state: MonitorState) -> LabelSchedule:
    """The windows whose labels are read. The state notes from which window on labels are awaited, and how many windows were never tested."""
    truth, window_seconds = config.ground_truth, config.window_seconds
    if truth is None:
        state.labelled_until = 0
        return LabelSchedule((), (), window_seconds)
    delay = Delay(truth.min_delay_seconds, truth.max_delay_seconds)
    run_from, until = config.starts[0], config.starts[-1] + window_seconds
    first = first_frozen_start(run_from, window_seconds, delay)
    if not state.labelled_until:
        state.labelled_until = max(first, state.monitored_since)
    oldest = first_frozen_start(run_from - truth.retry_seconds, window_seconds, delay)
    lost = max(0, oldest - state.labelled_until) // window_seconds
    state.untested_windows += lost
    state.labelled_until = max(state.labelled_until, state.labelled_until + lost * window_seconds)
    return label_schedule(until, window_seconds, delay, state.labelled_until)


def analyse_performance(
    step: Step, config: MonitorConfig, state: MonitorState, windows: LoggedWindows | None, allowance: float
) -> LabelledAnalysis | None:
    """Labelled performance of the windows, None if it is not asked for."""
    target = config.signals.performance
    if windows is None or config.ground_truth is None or target is None:
        retire_streams(state, SIGNAL, ())
        return None
    analysis = LabelledAnalysis(
        state,
        {each.name: each.digest for each in config.versions},
        PerformanceTarget(target.metric, target.max_drop),
        allowance,
        config.min_rows,
        _test_metric_reader(step, target.metric),
    )
    analysis.run(windows.joined, windows.schedule)
    return analysis


def describe_labelled_rows(step: Step, config: MonitorConfig, windows: LoggedWindows) -> dict[str, Any]:
    """Curves of each version with labels, and the metric of each group of the columns of fairness; empty without labelled rows."""
    labelled = [each for each in windows.joined.windows if len(each.scored)]
    if not labelled:
        return {}
    performance, fairness = config.signals.performance, config.signals.fairness
    default = "accuracy" if labelled[0].scored.is_classification else "mae"
    metric = performance.metric if performance is not None else default
    curves = describe_curves(labelled)
    for each in curves:
        each["testRoc"] = read_test_roc(read_json(step, each["version"], "evaluation.json"))
    slices = describe_slices(labelled, metric, fairness.by if fairness is not None else (), config.min_rows)
    return {"metric": metric, "curves": curves, "slices": slices}


def describe_source(truth: GroundTruth | None) -> str:
    """Where labels come from, as the report says it."""
    return f"of column '{truth.column}' by key '{truth.key}'" if truth and truth.column else "were posted"


def _read_rows(
    step: Step, config: MonitorConfig, schedule: LabelSchedule, problems: DocumentProblems
) -> tuple[JoinedWindows, Sequence[AnsweredRows]]:
    """The rows, without any where they or the labels cannot be read: that keeps no other signal away, a lack of memory or disk included."""
    try:
        with translate_resource_errors():
            return _query_rows(step, config, schedule, problems)
    except Undefined as error:
        return JoinedWindows((), 0, 0, str(error)), ()
    except Failure as error:
        if error.reason not in EXHAUSTED_REASONS:
            raise
        advice = "raise spec.resources of the monitor, or lower spec.logging.sample of the InferenceService"
        return JoinedWindows((), 0, 0, f"The logged rows do not fit: {error.message} Or {advice}."), ()
    except duckdb.Error as error:
        return JoinedWindows((), 0, 0, f"The logged rows or labels cannot be read: {describe_error(error)}."), ()


def _query_rows(
    step: Step, config: MonitorConfig, schedule: LabelSchedule, problems: DocumentProblems
) -> tuple[JoinedWindows, Sequence[AnsweredRows]]:
    signatures = {each.name: read_json(step, each.name, "signature.json") for each in config.versions}
    fairness = config.signals.fairness
    columns = fairness.by if fairness is not None else ()
    versions = {
        name: LoggedVersion(tuple(map(str, each.get("classes") or ())), _quartiles(step, name, columns))
        for name, each in signatures.items()
    }
    rows = sorted(_files(step, ROWS))
    if not versions or not rows:
        return JoinedWindows((), 0, 0), ()

    def unreadable(file: Path, error: duckdb.Error) -> None:
        problems.add("unreadable", f"{file.name}: {type(error).__name__}: {' '.join(str(error).split())}")

    names = _output_names(signatures.values())
    digests = {each.name: each.digest for each in config.versions}
    with scratch_folder() as folder, connect(folder, memory_fraction=MEMORY_FRACTION) as connection:
        read_logged_rows(connection, rows, names, columns, unreadable=unreadable, digests=digests)
        joined = _join(step, connection, config, schedule, versions, unreadable)
        answered: Sequence[AnsweredRows] = ()
        if fairness is not None and not fairness.target.needs_labels:
            served = {name: version for name, version in versions.items() if name in config.served_versions}
            answered = read_answered_rows(connection, served, config.starts, config.window_seconds, columns)
        return joined, answered


def _join(
    step: Step,
    connection: duckdb.DuckDBPyConnection,
    config: MonitorConfig,
    schedule: LabelSchedule,
    versions: Mapping[str, LoggedVersion],
    unreadable: UnreadableFile,
) -> JoinedWindows:
    truth, fairness = config.ground_truth, config.signals.fairness
    if truth is None:
        return JoinedWindows((), 0, 0)
    if truth.column and truth.key:
        files = sorted(step.input(DATASET).glob("*.parquet"))
        if not files:
            raise Undefined("The Dataset of spec.groundTruth has no data in the store; see its condition Ready.")
        read_dataset_labels(connection, DatasetLabels(files, truth.key, truth.column, truth.probability))
    else:
        read_posted_labels(connection, sorted(_files(step, LABELS)), unreadable)
    policy = label_policy(step, config, truth)
    columns = fairness.by if fairness is not None else ()
    return join_labels(connection, versions, schedule.starts, schedule.window_seconds, policy, columns)


def _quartiles(step: Step, version: str, columns: Sequence[str]) -> dict[str, tuple[float, ...]]:
    baseline = read_json(step, version, "baseline.json") if columns else {}
    return {column: find_quartiles(baseline, column) for column in columns}


def _files(step: Step, prefix: str) -> Iterable[Path]:
    return step.input(prefix).rglob("*.parquet") if step.input(prefix).is_dir() else ()


def _output_names(signatures: Iterable[Mapping[str, Any]]) -> OutputNames:
    """The outputs' names of all versions: a feature that has the name of a role moves it. A version without a signature has the roles' own."""
    names = [[str(output["name"]) for output in each.get("outputs") or ()] for each in signatures]
    found = {
        role: [*(name for each in names if (name := find_output(each, role))), role]
        for role in (LABEL, PROBABILITIES, PREDICTION)
    }
    return OutputNames(tuple(found[LABEL]), tuple(found[PROBABILITIES]), tuple(found[PREDICTION]))


def _test_metric_reader(step: Step, metric: str) -> TestMetricReader:
    def read(version: str) -> TestMetric:
        evaluation = read_json(step, version, "evaluation.json")
        if not evaluation:
            raise Undefined("the version has no evaluation of its training, which a model that was brought has not")
        return read_test_metric(metric, evaluation)

    return read

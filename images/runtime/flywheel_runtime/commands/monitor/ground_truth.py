"""Labelled performance in a run of the monitor: reads the log's rows and the labels, joins them and tests the frozen windows."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import duckdb

from flywheel_runtime.commands.monitor.config import GroundTruth, MonitorConfig
from flywheel_runtime.contract.errors import Undefined
from flywheel_runtime.contract.step import Step
from flywheel_runtime.datasets.sql import (
    connect,
    describe_error,
    scratch_folder,
    translate_resource_errors,
)
from flywheel_runtime.models.output_names import LABEL, PREDICTION, PROBABILITIES, find_output
from flywheel_runtime.monitoring.documents import DocumentProblems
from flywheel_runtime.monitoring.labels.join import Delay, JoinedWindows, join_labels
from flywheel_runtime.monitoring.labels.labelled_windows import (
    LabelledAnalysis,
    LabelSchedule,
    TestMetricReader,
    label_schedule,
    retire_streams,
)
from flywheel_runtime.monitoring.labels.performance import PerformanceTarget, TestMetric, read_test_metric
from flywheel_runtime.monitoring.labels.sources import (
    DatasetLabels,
    OutputNames,
    read_dataset_labels,
    read_logged_rows,
    read_posted_labels,
)
from flywheel_runtime.monitoring.state import MonitorState

ROWS, LABELS, DATASET = "rows", "labels", "dataset"  # prefixes of inputs
MEMORY_FRACTION = 0.25  # of the container's memory, for the database: a million rows then need 295 MiB in a pod of 512, and 236 in one of 256


def analyse_labels(
    step: Step, config: MonitorConfig, state: MonitorState, allowance: float, problems: DocumentProblems
) -> tuple[LabelledAnalysis, JoinedWindows] | None:
    """The labelled windows of this run, None if they are not asked for. A file of the log that cannot be read is counted."""
    truth, target = config.ground_truth, config.signals.performance
    if truth is None or target is None:
        retire_streams(state, ())
        return None
    delay = Delay(truth.min_delay_seconds, truth.max_delay_seconds)
    until = config.starts[-1] + config.window_seconds
    since = max(state.monitored_since, state.labelled_until)
    schedule = label_schedule(config.starts[0], until, config.window_seconds, delay, since)
    analysis = LabelledAnalysis(
        state,
        {each.name: each.digest for each in config.versions},
        PerformanceTarget(target.metric, target.max_drop),
        allowance,
        config.min_rows,
        _test_metric_reader(step, target.metric),
    )
    joined = _read_labels(step, config, truth, schedule, problems)
    analysis.run(joined, schedule)
    return analysis, joined


def describe_source(truth: GroundTruth | None) -> str:
    """Where labels come from, as the report says it."""
    return f"of column '{truth.column}' by key '{truth.key}'" if truth and truth.column else "were posted"


def _read_labels(
    step: Step, config: MonitorConfig, truth: GroundTruth, schedule: LabelSchedule, problems: DocumentProblems
) -> JoinedWindows:
    """The joined windows, without any where the labels cannot be read: that keeps no other signal away."""
    try:
        with translate_resource_errors():
            return _join(step, config, truth, schedule, problems)
    except Undefined as error:
        return JoinedWindows((), 0, 0, str(error))
    except duckdb.Error as error:
        return JoinedWindows((), 0, 0, f"The logged rows or labels cannot be read: {describe_error(error)}.")


def _join(
    step: Step, config: MonitorConfig, truth: GroundTruth, schedule: LabelSchedule, problems: DocumentProblems
) -> JoinedWindows:
    signatures = {
        each.name: _read_json(step.input(f"version-{each.name}") / "signature.json") for each in config.versions
    }
    classes = {name: tuple(map(str, each.get("classes") or ())) for name, each in signatures.items()}
    rows = sorted(_files(step, ROWS))
    if not classes or not rows:
        return JoinedWindows((), 0, 0)

    def unreadable(file: Path, error: duckdb.Error) -> None:
        problems.add("unreadable", f"{file.name}: {type(error).__name__}: {' '.join(str(error).split())}")

    delay = Delay(truth.min_delay_seconds, truth.max_delay_seconds)
    with scratch_folder() as folder, connect(folder, memory_fraction=MEMORY_FRACTION) as connection:
        read_logged_rows(connection, rows, _output_names(signatures.values()), unreadable=unreadable)
        if truth.column and truth.key:
            files = sorted(step.input(DATASET).glob("*.parquet"))
            read_dataset_labels(connection, DatasetLabels(files, truth.key, truth.column, truth.probability))
        else:
            read_posted_labels(connection, sorted(_files(step, LABELS)), unreadable)
        return join_labels(connection, classes, schedule.starts, schedule.window_seconds, delay)


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
        evaluation = _read_json(step.input(f"version-{version}") / "evaluation.json")
        if not evaluation:
            raise Undefined("the version has no evaluation of its training, which a model that was brought has not")
        return read_test_metric(metric, evaluation)

    return read


def _read_json(path: Path) -> Mapping[str, Any]:
    """The object in the file; empty if there is none that can be read."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}

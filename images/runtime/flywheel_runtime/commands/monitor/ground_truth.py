"""Labelled performance in a run of the monitor: reads the log's rows and the labels, joins them and tests the frozen windows."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from flywheel_runtime.commands.monitor.config import GroundTruth, MonitorConfig
from flywheel_runtime.contract.errors import Failure, Undefined
from flywheel_runtime.contract.step import Step
from flywheel_runtime.datasets.sql import (
    PARQUET_ERRORS,
    connect,
    scratch_folder,
    translate_errors,
    translate_resource_errors,
)
from flywheel_runtime.models.output_names import LABEL, PREDICTION, PROBABILITIES, find_output
from flywheel_runtime.monitoring.labels.join import Delay, JoinedWindows, join_labels
from flywheel_runtime.monitoring.labels.labelled_windows import (
    LabelledAnalysis,
    LabelSchedule,
    TestMetricReader,
    label_schedule,
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
MEMORY_FRACTION = 0.4  # of the container's memory, for the database


def analyse_labels(
    step: Step, config: MonitorConfig, state: MonitorState, allowance: float
) -> tuple[LabelledAnalysis, JoinedWindows] | None:
    """The labelled windows of this run, None if they are not asked for. Raises Failure if the log cannot be read."""
    truth, target = config.ground_truth, config.signals.performance
    if truth is None or target is None:
        return None
    delay = Delay(truth.min_delay_seconds, truth.max_delay_seconds)
    until = config.starts[-1] + config.window_seconds
    schedule = label_schedule(config.starts[0], until, config.window_seconds, delay, state.monitored_since)
    analysis = LabelledAnalysis(
        state,
        PerformanceTarget(target.metric, target.max_drop),
        allowance,
        config.min_rows,
        _test_metric_reader(step, target.metric),
    )
    joined = _join(step, config, truth, schedule, delay)
    analysis.run(joined, schedule)
    return analysis, joined


def describe_source(truth: GroundTruth | None) -> str:
    """Where labels come from, as the report says it."""
    return f"of column '{truth.column}' by key '{truth.key}'" if truth and truth.column else "were posted"


def _join(
    step: Step, config: MonitorConfig, truth: GroundTruth, schedule: LabelSchedule, delay: Delay
) -> JoinedWindows:
    signatures = {
        each.name: _read_json(step.input(f"version-{each.name}") / "signature.json") for each in config.versions
    }
    classes = {name: tuple(map(str, each.get("classes") or ())) for name, each in signatures.items()}
    rows = sorted(_files(step, ROWS))
    if not classes or not rows:
        return JoinedWindows((), 0, 0)
    with (
        scratch_folder() as folder,
        connect(folder, memory_fraction=MEMORY_FRACTION) as connection,
        translate_resource_errors(),
        translate_errors(_unreadable, *PARQUET_ERRORS),
    ):
        read_logged_rows(connection, rows, _output_names(signatures.values()))
        if truth.column and truth.key:
            files = sorted(step.input(DATASET).glob("*.parquet"))
            read_dataset_labels(connection, DatasetLabels(files, truth.key, truth.column))
        else:
            read_posted_labels(connection, sorted(_files(step, LABELS)))
        return join_labels(connection, classes, schedule.starts, schedule.window_seconds, delay)


def _unreadable(finding: str) -> Failure:
    return Failure(
        "LogUnreadable", f"the logged rows or labels cannot be read ({finding}); remove the file from the store"
    )


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

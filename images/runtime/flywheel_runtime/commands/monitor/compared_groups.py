"""Fairness in a run of the monitor: which rows are compared between groups, and on what scale."""

from collections.abc import Iterator

from flywheel_runtime.commands.monitor.config import MonitorConfig
from flywheel_runtime.commands.monitor.ground_truth import LoggedWindows
from flywheel_runtime.commands.monitor.version_files import read_json
from flywheel_runtime.contract.errors import Undefined
from flywheel_runtime.contract.step import Step
from flywheel_runtime.monitoring.fairness.fairness_analysis import SIGNAL, FairnessAnalysis
from flywheel_runtime.monitoring.fairness.measures import FairnessTarget, GroupedRows, Scale, find_scale
from flywheel_runtime.monitoring.labels.labelled_windows import retire_streams
from flywheel_runtime.monitoring.labels.performance import read_test_value
from flywheel_runtime.monitoring.state import MonitorState


def analyse_fairness(
    step: Step, config: MonitorConfig, state: MonitorState, windows: LoggedWindows | None, allowance: float
) -> FairnessAnalysis | None:
    """Fairness of the windows, None if it is not asked for. Windows without labels are complete at once."""
    fairness = config.signals.fairness
    if windows is None or fairness is None:
        retire_streams(state, SIGNAL, ())
        return None
    target = fairness.target
    analysis = FairnessAnalysis(
        state,
        {each.name: each.digest for each in config.versions},
        target,
        fairness.by,
        allowance,
        config.min_rows,
        lambda version: _read_scale(step, version, target),
    )
    complete = windows.schedule.frozen_starts if target.needs_labels else config.starts
    analysis.run(list(_group_rows(windows, target)), set(complete), config.window_seconds)
    return analysis


def _group_rows(windows: LoggedWindows, target: FairnessTarget) -> Iterator[GroupedRows]:
    if target.needs_labels:
        for each in windows.joined.windows:
            # A row that was drawn to be labelled is no fair sample of its group.
            chosen = slice(None) if each.sample.is_uniform is None else each.sample.is_uniform
            groups = {column: (names, numbers[chosen]) for column, (names, numbers) in each.groups.items()}
            predicted, y_true = each.scored.predicted[chosen], each.scored.y_true[chosen]
            yield GroupedRows(each.start, each.version, each.counts.rows, predicted, y_true, groups)
    for rows in windows.answered:
        yield GroupedRows(rows.start, rows.version, rows.logged, rows.predicted, None, rows.groups)


def _read_scale(step: Step, version: str, target: FairnessTarget) -> Scale:
    classes = tuple(map(str, read_json(step, version, "signature.json").get("classes") or ()))
    try:
        test_mae = read_test_value("mae", read_json(step, version, "evaluation.json"))
    except Undefined:
        test_mae = None
    return find_scale(target, classes, test_mae)

"""Scores of logged rows, for what the servers do not count: the confidence of several classes, and the modelled loss of a regression."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from flywheel_runtime.commands.monitor.config import MonitorConfig
from flywheel_runtime.commands.monitor.stored_rows import RowReader, find_row_files
from flywheel_runtime.commands.monitor.version_files import read_json
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.step import Step
from flywheel_runtime.models.golden_rows import dtype_of, load_session, run_session
from flywheel_runtime.models.output_names import PREDICTION, get_output
from flywheel_runtime.monitoring.documents import DocumentProblems
from flywheel_runtime.monitoring.estimates.estimate_target import (
    EstimateProblem,
    EstimateTarget,
    RowScores,
    calibrated_confidence,
    modelled_losses,
)
from flywheel_runtime.monitoring.estimates.looks import RowCounts
from flywheel_runtime.monitoring.layout import Counts
from flywheel_runtime.monitoring.logged_rows import Array, RowTable
from flywheel_runtime.monitoring.windows import MAX_PARTS

ROWS_NOT_LOGGED = EstimateProblem(
    "RowsNotLogged",
    "its estimate needs logged rows, and none were logged in these windows; with a larger spec.logging.sample quiet windows have some, and 0% logs none",
)
NO_PROBABILITIES = EstimateProblem(
    "ColumnNotLogged", "the rows do not have the probabilities of its classes, which the estimate needs"
)
LOSS_MODEL = "loss_model.onnx"
FLAGS = {"true": 1.0, "false": 0.0}


def count_row_scores(
    step: Step, config: MonitorConfig, target: EstimateTarget, read: RowReader
) -> dict[str, RowCounts | EstimateProblem]:
    """The counts of the versions whose scores are computed of logged rows, by name, or why there are none."""
    found: dict[str, RowCounts | EstimateProblem] = {}
    tests = {name: _find_test(step, name, target) for name in sorted(config.served_versions)}
    has_rows = config.stored_rows is not None or next(find_row_files(step), None) is not None
    for name, test in tests.items():
        if isinstance(test, EstimateProblem):
            found[name] = test
        elif test is not None and not has_rows:
            found[name] = ROWS_NOT_LOGGED
        elif test is not None:
            found[name] = _count_version(step.input(f"version-{name}"), name, test, read, config)
    return found


def _find_test(step: Step, version: str, target: EstimateTarget) -> RowScores | EstimateProblem | None:
    """What the version's files let estimate; None for a model of two classes, and one that was brought."""
    signature = read_json(step, version, "signature.json")
    if not signature:
        return None
    try:
        classes = signature.get("classes") or ()
        if len(classes) > 2:
            return calibrated_confidence(target, read_json(step, version, "baseline.json"))
        if signature.get("task") == "Regression":
            return modelled_losses(target, read_json(step, version, "loss_model.json"))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return EstimateProblem("LossModelMissing", f"its files cannot be read ({type(error).__name__}: {error})")
    return None


def _count_version(
    folder: Path,
    name: str,
    test: RowScores,
    read: RowReader,
    config: MonitorConfig,
) -> RowCounts | EstimateProblem:
    parts = max(1, min(MAX_PARTS, config.window_seconds // 60))
    windows: dict[int, Counts] = defaultdict(lambda: np.zeros((parts, len(test.stream.rates)), np.int64))
    session, problem = None, None
    try:
        if test.stream.metric != "accuracy":
            session = load_session((folder / LOSS_MODEL).read_bytes(), threads=1)
        for table in read(
            frozenset({name}), DocumentProblems()
        ):  # what cannot be read is counted where rows are counted or joined
            inside = table.select(config.starts[0], config.until.timestamp())
            if not len(inside.times):
                continue
            scores = _find_confidence(inside) if session is None else _expect_losses(session, inside)
            if isinstance(scores, EstimateProblem):
                problem = scores  # the columns of the log may change between two files
                continue
            _add(windows, inside.times, scores, test, config, parts)
    except (OSError, Failure) as error:
        return EstimateProblem("LossModelMissing", f"its {LOSS_MODEL} cannot be run: {error}")
    return RowCounts(test.stream, windows) if windows or problem is None else problem


def _add(
    windows: dict[int, Counts], times: Array, scores: Array, test: RowScores, config: MonitorConfig, parts: int
) -> None:
    """Adds the finite scores (rows,) to the parts of their windows."""
    finite = np.isfinite(scores)
    seconds = times[finite] - config.starts[0]
    places = (seconds // config.window_seconds).astype(np.int64)
    of_window = (seconds % config.window_seconds * parts // config.window_seconds).astype(np.int64)
    for place in np.unique(places).tolist():
        chosen = places == place
        windows[config.starts[place]] += test.count(scores[finite][chosen], of_window[chosen], parts)


def _find_confidence(table: RowTable) -> Array | EstimateProblem:
    return NO_PROBABILITIES if table.confidence is None else table.confidence


def _expect_losses(session: Any, table: RowTable) -> Array | EstimateProblem:
    """The modelled losses (rows,) of the rows, whose features are as the log has them."""
    inputs: dict[str, Array] = {}
    for declared in session.get_inputs():
        column = declared.name
        if column not in table.numbers and column not in table.texts:
            message = (
                f"the rows do not have the column '{column}', which its estimate needs; see spec.logging.columns of the "
                "InferenceService, or spec.output.include of the BatchInference"
            )
            return EstimateProblem("ColumnNotLogged", message)
        inputs[column] = _as_declared(table, column, dtype_of(declared.type))
    losses: Array = get_output(run_session(session, inputs), PREDICTION).reshape(-1)
    return losses


def _as_declared(table: RowTable, column: str, dtype: Any) -> Array:
    """A column (rows, 1) as the model takes it. A Boolean of the log is 0 or 1; a number for a text is that text."""
    if column in table.numbers:
        values = table.numbers[column]
        return (values.astype(str) if dtype.kind == "O" else values).astype(dtype)[:, None]
    texts = table.texts[column]
    if dtype.kind == "O":
        return texts.astype(object)[:, None]
    return np.array([FLAGS.get(str(each).lower(), np.nan) for each in texts], dtype)[:, None]

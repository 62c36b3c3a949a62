"""The loss model of a regression: what errors the features of a row let expect, by which a monitor estimates mae and rmse without labels."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flywheel_runtime.commands.train.folds import Plan
from flywheel_runtime.commands.train.pipeline import build_pipeline
from flywheel_runtime.commands.train.validation import Validation
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.step import log_line, write_json
from flywheel_runtime.datasets.features import Data
from flywheel_runtime.models import estimators, onnx_export
from flywheel_runtime.statistics.metrics import Array, ScoredRows

ESTIMATOR = "HistGradientBoostingRegressor"
# Errors are mostly noise: larger trees fit it, and the calibration then takes back what they know (measured: 10 % of the error under shift).
PARAMETERS = {"max_iter": "60", "max_leaf_nodes": "4", "min_samples_leaf": "50"}
MAX_FITTED_ROWS, MAX_CALIBRATED_ROWS = 10_000, 100_000  # more would cost the time of a fit
MIN_ROWS = 50  # to fit it to, and to calibrate it
MAX_BINS, ROWS_OF_BIN = 20, 25


@dataclass(frozen=True)
class _Errors:
    """Rows `x` (rows, features) with the absolute errors of predictions for them (rows,)."""

    x: Array
    absolute: Array

    def take(self, start: int, step: int) -> "_Errors":
        return _Errors(self.x[start::step], self.absolute[start::step])

    def sample(self, most: int) -> "_Errors":
        return self.take(0, -(-len(self.absolute) // most) or 1)


def write_loss_model(
    folder: Path, data: Data, plan: Plan, validation: Validation, test_x: Array, test: ScoredRows, seed: int
) -> None:
    """Write loss_model.onnx and loss_model.json; nothing for classes, with too few rows, or if the model cannot be exported.

    It is fitted to the errors on validation rows and calibrated on test rows, or where there are too few on every other validation row:
    loss_model.json has the bins of its predictions, and in each the rows, and the sums of their absolute and squared errors.
    """
    if data.classes:
        return
    fitted = _errors(plan.rows.x[plan.folds[-1][1]], validation.scored)
    calibrated = _errors(test_x, test)
    if len(calibrated.absolute) < MIN_ROWS:
        fitted, calibrated = fitted.take(0, 2), fitted.take(1, 2)
    if min(len(fitted.absolute), len(calibrated.absolute)) < MIN_ROWS:
        log_line("no loss model: there are too few validation and test rows to estimate errors without labels")
        return
    try:
        exported, pipeline = _fit(data, fitted.sample(MAX_FITTED_ROWS), seed)
    except Failure as failure:
        log_line(f"no loss model, so that a monitor cannot estimate errors without labels: {failure}")
        return
    (folder / "loss_model.onnx").write_bytes(exported.content)
    write_json(folder / "loss_model.json", _calibrate(pipeline, calibrated.sample(MAX_CALIBRATED_ROWS)))


def _errors(x: Array, scored: ScoredRows) -> _Errors:
    if not len(scored):
        return _Errors(x[:0], np.zeros(0))
    return _Errors(x, np.abs(scored.predicted - scored.y_true).astype(np.float64))


def _fit(data: Data, errors: _Errors, seed: int) -> tuple[onnx_export.ExportedModel, Any]:
    estimator = estimators.find_estimator(ESTIMATOR, "Regression")
    model = estimators.build_estimator(ESTIMATOR, estimator, PARAMETERS, seed, 1, classes=0)
    x = errors.x.copy()
    x[:, np.isnan(x).all(axis=0)] = 0  # boosting cannot divide a column without a value
    pipeline = build_pipeline(data, estimator, model, seed).fit(x, errors.absolute)
    return onnx_export.export_pipeline(pipeline, data), pipeline


def _calibrate(pipeline: Any, errors: _Errors) -> dict[str, Any]:
    expected = pipeline.predict(errors.x).astype(np.float32)
    bins = max(1, min(MAX_BINS, len(expected) // ROWS_OF_BIN))
    inner = np.unique(np.quantile(expected, np.linspace(0, 1, bins + 1)[1:-1], method="inverted_cdf"))
    place = np.searchsorted(inner, expected, side="right")
    sums = [np.bincount(place, weights, len(inner) + 1) for weights in (errors.absolute, errors.absolute**2)]
    return {
        "v": 1,
        "innerEdges": [float(each) for each in inner],
        "rows": np.bincount(place, minlength=len(inner) + 1).tolist(),
        "absoluteErrors": sums[0].tolist(),
        "squaredErrors": sums[1].tolist(),
    }

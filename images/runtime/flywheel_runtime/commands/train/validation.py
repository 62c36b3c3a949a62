"""A trial's metrics: on validation rows, on the rows that the model was fitted to, and those of a constant prediction."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from flywheel_runtime import run
from flywheel_runtime.commands.train import folds, staged
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.step import log_line
from flywheel_runtime.datasets.split import Rows
from flywheel_runtime.statistics.dummy import Dummy, fit_dummy
from flywheel_runtime.statistics.metrics import LESS_IS_BETTER, Array, ScoredRows, metric_values

MAX_TRAIN_ROWS = 100_000  # on which the train metrics are measured: more would cost as much time as a fit


@dataclass(frozen=True)
class Validation:
    """What the folds gave, as means over those folds that have a value, and the last fold's model, rows and dummy.

    `metrics` are of validation rows with their standard deviations `deviations` over folds, `train_metrics` of the rows that a model
    was fitted to, and `baseline` is the objective of a constant prediction on the validation rows, None where it has no value.
    """

    metrics: Mapping[str, float]
    deviations: Mapping[str, float]
    train_metrics: Mapping[str, float]
    baseline: float | None
    dummy: Dummy
    fitted: Any
    scored: ScoredRows

    def gap(self, metric: str) -> float | None:
        """How much better the metric is on train rows than on validation rows, in its unit; None where either has no value."""
        if metric not in self.metrics or metric not in self.train_metrics:
            return None
        difference = self.train_metrics[metric] - self.metrics[metric]
        return -difference if metric in LESS_IS_BETTER else difference


def validate(unfitted: Any, plan: folds.Plan, classes: int, metrics: list[str], *, with_curve: bool) -> Validation:
    """Fit a copy of `unfitted` to each fold's train rows and measure `metrics`, the objective first; `classes` 0 is regression.

    Raises:
        Failure: ParameterRefused, or MetricUndefined where the objective has a value in no fold.
    """
    objective, rows = metrics[0], plan.rows
    on_validation, on_train, of_dummy = [], [], []
    logs_curve = with_curve and plan.is_holdout and staged.is_staged(unfitted[-1])
    for number, (train_rows, validation_rows) in enumerate(plan.folds):
        curve = _Curve(objective, validation_rows, classes) if logs_curve else None
        fitted = fit_pipeline(unfitted, rows, train_rows, curve)
        scored = score_rows(fitted, rows.x[validation_rows], rows.y[validation_rows], classes)
        on_validation.append(metric_values(metrics, scored))
        sample = train_rows[:: len(train_rows) // MAX_TRAIN_ROWS + 1]
        on_train.append(metric_values(metrics, score_rows(fitted, rows.x[sample], rows.y[sample], classes)))
        dummy = fit_dummy(objective, rows.y[train_rows], classes)
        of_dummy.append(metric_values([objective], dummy.score(rows.y[validation_rows])))
        if not logs_curve:
            run.append_points(number, on_validation[-1])
        shown = on_validation[-1].get(objective)
        value = f"{objective} {shown:.6f}" if shown is not None else f"{objective} has no value on {len(scored):,} rows"
        log_line(f"fold {number + 1} of {len(plan.folds)}: {value}")
    if not any(objective in fold for fold in on_validation):
        raise _undefined(objective, len(scored), is_holdout=plan.is_holdout)
    values = {name: [fold[name] for fold in on_validation if name in fold] for name in metrics}
    deviations = {f"{name}_std": float(np.std(each)) for name, each in values.items() if each and not plan.is_holdout}
    means, baseline = _means(metrics, on_validation), _means([objective], of_dummy).get(objective)
    return Validation(means, deviations, _means(metrics, on_train), baseline, dummy, fitted, scored)


def _means(metrics: list[str], of_folds: list[dict[str, float]]) -> dict[str, float]:
    """The mean of each metric over the folds in which it has a value."""
    values = {name: [fold[name] for fold in of_folds if name in fold] for name in metrics}
    return {name: float(np.mean(each)) for name, each in values.items() if each}


def _undefined(objective: str, rows: int, *, is_holdout: bool) -> Failure:
    cure = "use another metric" if is_holdout else "use another metric or fewer folds"
    message = f"Metric {objective} has no value on the {rows:,} validation rows (only one class occurs there?); {cure}."
    return Failure("MetricUndefined", message)


def score_rows(pipeline: Any, x: Array, y_true: Array, classes: int) -> ScoredRows:
    """The rows `x` (rows, features) with predictions; probabilities are of all `classes`, also those that the fit did not see."""
    predicted = pipeline.predict(x)
    probabilities = np.zeros((len(x), classes))
    if classes:
        probabilities[:, pipeline.classes_.astype(int)] = pipeline.predict_proba(x)
    return ScoredRows(y_true, predicted, probabilities)


@dataclass(frozen=True)
class _Curve:
    """Logs the objective on the validation rows while an estimator learns, so that a hopeless trial can be pruned."""

    objective: str
    validation_rows: folds.Indices
    classes: int

    def fit(self, fitted: Any, train_x: Array, train_y: Array, rows: Rows) -> None:
        columns, model = fitted[:-1], fitted[-1]
        x = columns.fit_transform(train_x, train_y)
        validation_x, y_true = columns.transform(rows.x[self.validation_rows]), rows.y[self.validation_rows]

        def log_round(rounds: int, partly_fitted: Any) -> None:
            scored = score_rows(partly_fitted, validation_x, y_true, self.classes)
            run.append_points(rounds, metric_values([self.objective], scored))

        staged.fit_in_rounds(model, x, train_y, log_round)


def _learnable(x: Array) -> Array:
    """`x` (rows, features), where a column without any value is 0: boosting cannot divide it into bins, and learns nothing from one value."""
    x[:, np.isnan(x).all(axis=0)] = 0
    return x


def fit_pipeline(unfitted: Any, rows: Rows, train_rows: folds.Indices, curve: _Curve | None = None) -> Any:
    """A copy of `unfitted`, fitted to some of the rows. Raises Failure ParameterRefused with the estimator's message."""
    from sklearn.base import clone
    from sklearn.exceptions import ConvergenceWarning

    fitted, x, y = clone(unfitted), _learnable(rows.x[train_rows]), rows.y[train_rows]
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            if curve is None:
                fitted.fit(x, y)
            else:
                curve.fit(fitted, x, y, rows)
    except (ValueError, TypeError) as error:
        name = type(fitted[-1]).__name__
        message = f"{name} could not be fitted with these parameters: {' '.join(str(error).split())}"
        raise Failure("ParameterRefused", message, retry=True) from error
    # The network of an average is one of three, and few epochs keep it general.
    is_average = hasattr(fitted[-1], "named_estimators_")
    if not is_average and any(issubclass(warning.category, ConvergenceWarning) for warning in caught):
        log_line("warning: the fit stopped before it converged; raise max_iter")
    return fitted

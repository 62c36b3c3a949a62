"""One trial: fit an allowed estimator to a Dataset, measure it, and export it as ONNX (images/README.md)."""

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from flywheel_runtime import run
from flywheel_runtime.commands.train import artifact, folds, pipeline, staged
from flywheel_runtime.commands.train.config import TrainConfig
from flywheel_runtime.contract import cgroup
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.step import Step, log_line
from flywheel_runtime.datasets import features
from flywheel_runtime.datasets.features import Data, Rows
from flywheel_runtime.models import estimators, onnx_export
from flywheel_runtime.statistics.metrics import Array, ScoredRows, metric_values, order_metrics


@dataclass(frozen=True)
class Validation:
    """Metrics on validation (mean over folds), their standard deviation over folds, and the last fold's model and rows."""

    metrics: Mapping[str, float]
    deviations: Mapping[str, float]
    fitted: Any
    scored: ScoredRows


def train(step: Step) -> None:
    """Fit, measure and export the estimator of the parameters on input `data`; write output `model`."""
    started = time.time()
    config = TrainConfig.parse(step.params)
    data = features.open_data(step.input("data"), config.features)
    task = _task(config, data)
    metrics = order_metrics(task, config.objective["metric"])
    estimator = estimators.find_estimator(config.estimator, task)
    cores = cgroup.cpu_limit(without_limit=1)
    model = estimators.build_estimator(config.estimator, estimator, config.parameters, config.seed, cores)
    unfitted = pipeline.build_pipeline(data.features, estimator, model)
    plan = folds.plan_folds(data, config.validation, config.seed)
    validation = _validate(unfitted, plan, data, metrics, with_curve=config.curve)
    final = validation.fitted if plan.is_holdout else _fit(unfitted, plan.rows, plan.final)
    log_line(f"fitted to {len(plan.final):,} rows; exporting")
    exported = onnx_export.export_pipeline(final, data)
    described = artifact.describe_run(config, data, exported, started)
    _write(step, data, final, exported, validation, metrics, described)
    data.connection.close()


def _task(config: TrainConfig, data: Data) -> estimators.Task:
    task: estimators.Task = data.schema["task"]
    if config.task not in (None, task):
        message = (
            f"Task {config.task} does not fit target '{data.target}', which is for {task}; leave the task out, or change the "
            "target's type in the Dataset."
        )
        raise Failure("TaskMismatch", message)
    return task


def score_rows(pipeline: Any, x: Array, truth: Array, classes: int) -> ScoredRows:
    """The rows `x` (rows, features) with predictions; probabilities are of all `classes`, also those that the fit did not see."""
    predicted = pipeline.predict(x)
    probabilities = np.zeros((len(x), classes))
    if classes:
        probabilities[:, pipeline.classes_.astype(int)] = pipeline.predict_proba(x)
    return ScoredRows(truth, predicted, probabilities)


def _validate(unfitted: Any, plan: folds.Plan, data: Data, metrics: list[str], *, with_curve: bool) -> Validation:
    objective, classes = metrics[0], len(data.classes)
    scores: list[dict[str, float]] = []
    logs_curve = with_curve and plan.is_holdout and staged.is_staged(unfitted[-1])
    for number, (train_rows, validation_rows) in enumerate(plan.folds):
        curve = _Curve(objective, validation_rows, classes) if logs_curve else None
        fitted = _fit(unfitted, plan.rows, train_rows, curve)
        scored = score_rows(fitted, plan.rows.x[validation_rows], plan.rows.y[validation_rows], classes)
        scores.append(metric_values(metrics, scored))
        if objective not in scores[-1]:
            message = (
                f"Metric {objective} has no value on the {len(scored):,} validation rows (only one class occurs there?); "
                "use another metric or fewer folds."
            )
            raise Failure("MetricUndefined", message)
        if not logs_curve:
            run.append_points(number, scores[-1])
        log_line(f"fold {number + 1} of {len(plan.folds)}: {objective} {scores[-1][objective]:.6f}")
    values = {name: [fold[name] for fold in scores] for name in metrics if all(name in fold for fold in scores)}
    deviations = {} if plan.is_holdout else {f"{name}_std": float(np.std(each)) for name, each in values.items()}
    return Validation({name: float(np.mean(each)) for name, each in values.items()}, deviations, fitted, scored)


@dataclass(frozen=True)
class _Curve:
    """Logs the objective on the validation rows while an estimator learns, so that a hopeless trial can be pruned."""

    objective: str
    validation_rows: folds.Indices
    classes: int

    def fit(self, fitted: Any, rows: Rows, train_rows: folds.Indices) -> None:
        columns, model = fitted[:-1], fitted[-1]
        x = columns.fit_transform(rows.x[train_rows], rows.y[train_rows])
        validation_x, truth = columns.transform(rows.x[self.validation_rows]), rows.y[self.validation_rows]

        def log_round(rounds: int, partly_fitted: Any) -> None:
            scored = score_rows(partly_fitted, validation_x, truth, self.classes)
            run.append_points(rounds, metric_values([self.objective], scored))

        staged.fit_in_rounds(model, x, rows.y[train_rows], log_round)


def _fit(unfitted: Any, rows: Rows, train_rows: folds.Indices, curve: _Curve | None = None) -> Any:
    from sklearn.base import clone
    from sklearn.exceptions import ConvergenceWarning

    fitted = clone(unfitted)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            if curve is None:
                fitted.fit(rows.x[train_rows], rows.y[train_rows])
            else:
                curve.fit(fitted, rows, train_rows)
    except (ValueError, TypeError) as error:
        name = type(fitted[-1]).__name__
        message = f"{name} could not be fitted with these parameters: {' '.join(str(error).split())}"
        raise Failure("ParameterRefused", message, retry=True) from error
    if any(issubclass(warning.category, ConvergenceWarning) for warning in caught):
        log_line("warning: the fit stopped before it converged; raise max_iter")
    return fitted


def _write(
    step: Step,
    data: Data,
    final: Any,
    exported: onnx_export.ExportedModel,
    validation: Validation,
    metrics: list[str],
    described_run: Mapping[str, Any],
) -> None:
    rows = data.read("test")
    test = ScoredRows(rows.y, np.empty(0), np.empty((0, len(data.classes))))
    if len(rows):
        test = score_rows(final, rows.x, rows.y, len(data.classes))
    test_metrics = metric_values(metrics, test)
    seen = [data.classes[int(number)] for number in final.classes_] if test.is_classification else []
    documents = {
        "signature": artifact.describe_signature(data, seen),
        "golden": artifact.choose_golden_rows(exported, data),
        "baseline": artifact.count_baseline(data, {"validation": validation.scored, "test": test}),
        "evaluation": artifact.describe_evaluation(data, validation.metrics, test_metrics, test),
        "run": described_run,
    }
    artifact.write_artifact(step.output("model"), exported, documents)
    tested = {f"test_{name}": value for name, value in test_metrics.items()}
    step.finish({**validation.metrics, **validation.deviations, **tested}, {"testDigest": data.schema["testDigest"]})
    objective = metrics[0]
    log_line(f"{objective} {validation.metrics[objective]:.6f} on validation; parity {exported.difference:.1e}")

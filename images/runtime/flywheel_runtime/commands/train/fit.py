"""One trial: fit an allowed estimator to a Dataset, measure it, and export it as ONNX (images/README.md)."""

import hashlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from flywheel_runtime.commands.train import artifact, folds, pipeline
from flywheel_runtime.commands.train.config import TrainConfig
from flywheel_runtime.commands.train.loss_model import write_loss_model
from flywheel_runtime.commands.train.validation import Validation, fit_pipeline, score_rows, validate
from flywheel_runtime.contract import cgroup
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.step import Step, log_line, write_json
from flywheel_runtime.datasets import features, sql
from flywheel_runtime.datasets.features import Data
from flywheel_runtime.features.feature_sets.joined_sets import JoinedSets
from flywheel_runtime.models import estimators, onnx_export
from flywheel_runtime.models.explanation.explanation_document import describe_explanation
from flywheel_runtime.models.inspection.model_inspection import inspect_model
from flywheel_runtime.models.onnx_model import OnnxModel
from flywheel_runtime.models.rowwise.calendar_features import find_calendar_features
from flywheel_runtime.models.rowwise.training_data import open_rowwise_data
from flywheel_runtime.models.test_set import SAMPLE_ROWS, TestSet
from flywheel_runtime.statistics.metrics import ScoredRows, metric_values, order_metrics


def train(step: Step) -> None:
    """Fit, measure and export the estimator of the parameters on input `data`; write output `model`."""
    started = time.time()
    config = TrainConfig.parse(step.params)
    with sql.scratch_folder() as scratch:
        data, rowwise = _open_data(step, config, scratch)
        _train(step, config, data, started, {"features": rowwise} if rowwise else {})
        data.connection.close()


def _open_data(step: Step, config: TrainConfig, scratch: Path) -> tuple[Data, Mapping[str, Any] | None]:
    """The data, and the document features.json where some of its features are made by expressions or looked up."""
    folder, joined = step.input("data"), JoinedSets.read(step.input("data"))
    rowwise = joined.merge_rowwise(config.rowwise, config.chosen_names)
    # Who chooses features, or makes some, makes those of the calendar, too.
    rowwise = rowwise or ({} if config.features else find_calendar_features(folder))
    if rowwise:
        found = open_rowwise_data(folder, config.features, rowwise, scratch)
        data, document = found.data, dict(found.document)
    else:
        data, document = features.open_data(folder, config.features), {"v": 1}
    if joined.feature_sets:
        document["featureSets"] = joined.describe({each.name for each in data.sent.features})
    return data, document if len(document) > 1 else None


def _train(step: Step, config: TrainConfig, data: Data, started: float, rowwise: Mapping[str, Any]) -> None:
    task = _task(config, data)
    metrics = order_metrics(task, config.objective["metric"])
    estimator = estimators.find_estimator(config.estimator, task)
    cores = cgroup.cpu_limit(without_limit=1)
    model = estimators.build_estimator(
        config.estimator, estimator, config.parameters, config.seed, cores, classes=len(data.classes)
    )
    unfitted = pipeline.build_pipeline(data, estimator, model, config.seed)
    plan = folds.plan_folds(data, config.validation, config.seed)
    validation = validate(unfitted, plan, len(data.classes), metrics, with_curve=config.curve)
    final = validation.fitted if plan.is_holdout else fit_pipeline(unfitted, plan.rows, plan.final)
    log_line(f"fitted to {len(plan.final):,} rows; exporting")
    exported = onnx_export.export_pipeline(final, data)
    described = {"run": artifact.describe_run(config, data, exported, started), **rowwise}
    _write(step, data, plan, final, exported, validation, metrics, described)


def _task(config: TrainConfig, data: Data) -> estimators.Task:
    task: estimators.Task = data.schema["task"]
    if config.task not in (None, task):
        message = (
            f"Task {config.task} does not fit target '{data.target}', which is for {task}; leave the task out, or change the "
            "target's type in the Dataset."
        )
        raise Failure("TaskMismatch", message)
    return task


def _write(
    step: Step,
    data: Data,
    plan: folds.Plan,
    final: Any,
    exported: onnx_export.ExportedModel,
    validation: Validation,
    metrics: list[str],
    described: Mapping[str, Any],
) -> None:
    rows = data.read("test")
    test = ScoredRows(rows.y, np.empty(0), np.empty((0, len(data.classes))))
    if len(rows):
        test = score_rows(final, rows.x, rows.y, len(data.classes))
    test_metrics = metric_values(metrics, test)
    seen = [data.classes[int(number)] for number in final.classes_] if test.is_classification else []
    documents = {
        "signature": artifact.describe_signature(data.sent, seen),
        "golden": artifact.choose_golden_rows(exported, data.sent),
        "baseline": artifact.count_baseline(data.sent, {"validation": validation.scored, "test": test}),
        "evaluation": artifact.describe_evaluation(data, metrics[0], validation, test_metrics, test),
        **described,
    }
    documents |= _describe_explanation(final, data, exported)
    folder = step.output("model")
    artifact.write_artifact(folder, exported, documents)
    if len(rows):
        model = OnnxModel.load(exported.content, documents["signature"])
        for name, document in inspect_model(model, TestSet(data.sent, SAMPLE_ROWS), metrics[0]).items():
            write_json(folder / name, document)
    write_loss_model(folder, data, plan, validation, rows.x, test, described["run"]["seed"])
    tested = {f"test_{name}": value for name, value in test_metrics.items()}
    reported = {**validation.metrics, **validation.deviations, **tested, **_beside(metrics[0], validation)}
    step.finish(reported, _facts(data, metrics[0], validation))
    objective = metrics[0]
    log_line(f"{objective} {validation.metrics[objective]:.6f} on validation; parity {exported.difference:.1e}")


def _describe_explanation(final: Any, data: Data, exported: onnx_export.ExportedModel) -> dict[str, Any]:
    document = describe_explanation(final, data, exported, hashlib.sha256(exported.content).hexdigest())
    return {} if document is None else {"explanation": document}


def _beside(objective: str, validation: Validation) -> dict[str, float]:
    """What tells a good objective from a lucky one: the constant prediction's value, the gap, and the metrics on train rows."""
    values = {f"baseline_{objective}": validation.baseline, f"gap_{objective}": validation.gap(objective)}
    found = {name: value for name, value in values.items() if value is not None}
    return found | {f"train_{name}": value for name, value in validation.train_metrics.items()}


def _facts(data: Data, objective: str, validation: Validation) -> dict[str, Any]:
    facts: dict[str, Any] = {"testDigest": data.schema["testDigest"], "train": dict(validation.train_metrics)}
    if validation.baseline is not None:
        facts["baseline"] = artifact.describe_dummy(objective, validation)
    return facts

"""One trial: fit an allowed estimator to a Dataset, judge it, and export it as ONNX (images/README.md)."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flywheel_runtime.commands.train import artifact, folds, pipeline, staged
from flywheel_runtime.contract import cgroup
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.step import Step, log_line
from flywheel_runtime.datasets import features
from flywheel_runtime.datasets.features import Data, Rows
from flywheel_runtime.models import estimators, onnx_export
from flywheel_runtime.statistics import scoring

Array = NDArray[Any]


@dataclass(frozen=True)
class Judged:
    """Metrics on validation (mean of folds), their spread over folds, and the last fold's predictions."""

    metrics: Mapping[str, float]
    spread: Mapping[str, float]
    fitted: Any
    predictions: tuple[Array, Array]


def train(step: Step) -> None:
    """Fit, judge and export the estimator of the parameters on input `data`; write output `model`."""
    started = time.time()
    params = step.params
    data = features.open_data(step.input("data"), params.get("features"))
    task = _task(params, data)
    names = scoring.order(task, params["objective"]["metric"])
    seed = int(params.get("seed") or 0)
    kind = estimators.lookup(params["estimator"], task)
    made = estimators.build(
        params["estimator"], kind, params.get("parameters") or {}, seed, cgroup.cpu_limit(without_limit=1)
    )
    unfitted = pipeline.build(data.features, kind, made)
    plan = folds.plan(data, params["validation"], seed)
    judged = _judge(step, unfitted, plan, data, names, task)
    final = judged.fitted if plan.is_holdout else _fit(unfitted, plan.rows, plan.final)
    log_line(f"fitted to {len(plan.final):,} rows; exporting")
    exported = onnx_export.export(final, data)
    _write(step, data, final, exported, judged, names, started)
    data.connection.close()


def _task(params: Mapping[str, Any], data: Data) -> estimators.Task:
    found: estimators.Task = data.schema["task"]
    asked = params.get("task") or found
    if asked != found:
        message = (
            f"Task {asked} does not fit target '{data.target}', which is for {found}; leave the task out, or change the "
            "target's type in the Dataset."
        )
        raise Failure("TaskMismatch", message)
    return found


def _judge(step: Step, unfitted: Any, plan: folds.Plan, data: Data, names: list[str], task: str) -> Judged:
    scores: list[dict[str, float]] = []
    fitted, predictions = None, (np.empty(0), np.empty((0, 0)))
    curve = plan.is_holdout and bool(step.params.get("curve")) and staged.is_staged(unfitted[-1])
    for number, (fit, judge) in enumerate(plan.folds):
        fitted = _fit(unfitted, plan.rows, fit, _Watched(step, names[0], task, judge, data) if curve else None)
        predictions = scoring.predict(fitted, plan.rows.x[judge], len(data.classes))
        scores.append(scoring.score(names, task, plan.rows.y[judge], *predictions))
        if names[0] not in scores[-1]:
            message = (
                f"Metric {names[0]} has no value on the {len(judge):,} validation rows (only one class occurs there?); "
                "use another metric or fewer folds."
            )
            raise Failure("MetricUndefined", message)
        if not curve:
            _log(step, number, scores[-1])
        log_line(f"fold {number + 1} of {len(plan.folds)}: {names[0]} {scores[-1][names[0]]:.6f}")
    in_all = [name for name in names if all(name in score for score in scores)]
    values = {name: [score[name] for score in scores] for name in in_all}
    spread = {} if plan.is_holdout else {f"{name}_std": float(np.std(values[name])) for name in in_all}
    return Judged({name: float(np.mean(values[name])) for name in in_all}, spread, fitted, predictions)


@dataclass(frozen=True)
class _Watched:
    """A fit whose objective is logged while it goes on, so that a trial that is not worth it can be ended."""

    step: Step
    metric: str
    task: str
    judge: folds.Indices
    data: Data

    def fit(self, fitted: Any, rows: Rows, chosen: folds.Indices) -> None:
        columns, model = fitted[:-1], fitted[-1]
        x = columns.fit_transform(rows.x[chosen], rows.y[chosen])
        judged = columns.transform(rows.x[self.judge])

        def look(rounds: int, now: Any) -> None:
            predictions = scoring.predict(now, judged, len(self.data.classes))
            _log(self.step, rounds, scoring.score([self.metric], self.task, rows.y[self.judge], *predictions))

        staged.fit(model, x, rows.y[chosen], look)


def _fit(unfitted: Any, rows: Rows, chosen: folds.Indices, watched: _Watched | None = None) -> Any:
    from sklearn.base import clone
    from sklearn.exceptions import ConvergenceWarning

    fitted = clone(unfitted)
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", ConvergenceWarning)
            if watched is None:
                fitted.fit(rows.x[chosen], rows.y[chosen])
            else:
                watched.fit(fitted, rows, chosen)
    except (ValueError, TypeError) as error:
        name = type(fitted[-1]).__name__
        message = f"{name} could not be fitted with these parameters: {' '.join(str(error).split())}"
        raise Failure("ParameterRefused", message, retry=True) from error
    if any(issubclass(warning.category, ConvergenceWarning) for warning in told):
        log_line("warning: the fit stopped before it converged; raise max_iter")
    return fitted


def _log(step: Step, number: int, scores: Mapping[str, float]) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    with (step.root / "outputs" / "metrics.jsonl").open("a") as lines:
        for name, value in scores.items():
            lines.write(json.dumps({"step": number, "name": name, "value": value, "time": now}) + "\n")


def _write(
    step: Step,
    data: Data,
    final: Any,
    exported: onnx_export.Exported,
    judged: Judged,
    names: list[str],
    started: float,
) -> None:
    task = data.schema["task"]
    test = data.read("test")
    label, proba = np.empty(0), np.empty((0, len(data.classes)))
    tested: dict[str, float] = {}
    if len(test):
        label, proba = scoring.predict(final, test.x, len(data.classes))
        tested = scoring.score(names, task, test.y, label, proba)
    seen = [data.classes[int(number)] for number in final.classes_] if task == "Classification" else []
    documents = {
        "signature": artifact.signature(data, seen),
        "golden": artifact.golden(exported, data),
        "baseline": artifact.baseline(data, {"validation": judged.predictions, "test": (label, proba)}),
        "evaluation": artifact.evaluation(data, judged.metrics, tested, test, label, proba),
        "run": artifact.run_record(step.params, data, exported, started),
    }
    artifact.write(step.output("model"), exported, documents)
    metrics = dict(judged.metrics) | dict(judged.spread) | {f"test_{name}": value for name, value in tested.items()}
    step.finish(metrics, {"testDigest": data.schema["testDigest"]})
    log_line(f"{names[0]} {judged.metrics[names[0]]:.6f} on validation; parity {exported.difference:.1e}")

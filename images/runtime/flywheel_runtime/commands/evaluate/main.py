"""The step `evaluate`: a model on the test split, whole and by slices (images/README.md, "evaluate")."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from flywheel_runtime.commands.evaluate import report, slices
from flywheel_runtime.commands.evaluate.report import MIN_SLICE_ROWS
from flywheel_runtime.contract.errors import Failure, Undefined
from flywheel_runtime.contract.step import Step, is_room_for, log_line, step_command, write_json
from flywheel_runtime.models.inspection import permutation_importance
from flywheel_runtime.models.inspection.model_inspection import inspect_model
from flywheel_runtime.models.onnx_model import OnnxModel
from flywheel_runtime.models.test_set import SAMPLE_ROWS, TestSet, find_mismatch, open_test_set
from flywheel_runtime.params import Params
from flywheel_runtime.statistics.failed_rows import find_answered
from flywheel_runtime.statistics.intervals import CONFIDENCE, metric_interval
from flywheel_runtime.statistics.metrics import (
    DEFAULT_METRIC,
    LESS_IS_BETTER,
    Array,
    ScoredRows,
    metric_values,
    order_metrics,
)

MAX_VALUE_CHARACTERS = 80  # of a slice's value in facts.json


class EvaluateConfig(Params):
    """The configuration in params.json: the metric, the columns to slice by, and the model's file in its artifact."""

    metric: str | None = None
    by: tuple[str, ...] = ()
    path: str = "model.onnx"


@step_command
def main(step: Step) -> None:
    """Score input `model` on the test rows of input `data`, and write output `evaluation`; exits with 0 with a report, 2 where this model cannot be evaluated on this data."""
    config = EvaluateConfig.parse(step.params)
    with open_test_set(step.input("data")) as test:
        metrics, columns = order_metrics(test.task, config.metric or DEFAULT_METRIC[test.task]), _columns(config, test)
        metric = metrics[0]
        model = OnnxModel.read(step.input("model"), config.path)
        if finding := find_mismatch(test.data.schema, model.signature):
            message = f"This model does not fit this data: {finding}; give the step the data that it was trained on."
            raise Failure("DataMismatch", message)
        every = model.score(test)
        answered = find_answered(every)
        scored = every.take(np.flatnonzero(answered))
        log_line(f"{len(scored):,} test rows scored")
        _check_answers(len(scored), len(every))
        whole = _measure(scored, metrics, min_rows=2)
        if metric not in whole["metrics"]:
            message = f"Metric {metric} has no value on the {len(scored):,} test rows (only one class occurs there?); use another."
            raise Failure("MetricUndefined", message)
        by_column = {name: _measure_slices(test, name, every, answered, metrics) for name in columns}
        document = report.describe_model(test, model, scored, metric)
        inspected = inspect_model(model, replace(test, max_rows=SAMPLE_ROWS), metric)
    worst = {name: found for name, each in by_column.items() if (found := _find_worst(each, metric))}
    document |= {"whole": whole, "slices": by_column, "worst": worst, "failedRows": int((~answered).sum())}
    if test.shows_values:
        document |= {"showsValues": True}
    folder = step.output("evaluation")
    for name, each in inspected.items():
        write_json(folder / name, each)
    if permutation_importance.FILE in inspected:
        document |= {"importance": inspected[permutation_importance.FILE]}
    write_json(folder / "report.json", document)
    (folder / "report.md").write_text(report.render_page(document), encoding="utf-8")
    _finish(step, document, show_values=test.shows_values)


def _check_answers(answered: int, rows: int) -> None:
    """A row without a finite answer has failed: it is counted, and no metric is computed from it."""
    if not answered:
        message = f"The model gives no finite answer to any of the {rows:,} test rows; correct how it was trained or exported."
        raise Failure("AnswersNotFinite", message)
    if answered < rows:
        log_line(f"warning: {rows - answered:,} of {rows:,} test rows have no finite answer; metrics are of the rest")


def _columns(config: EvaluateConfig, test: TestSet) -> list[str]:
    for name in config.by:
        if name not in test.types:
            message = f"Column '{name}' of evaluate.by is not in the data; it has {', '.join(test.types)}."
            raise Failure("ColumnMissing", message)
    return list(dict.fromkeys(config.by))


def _measure(scored: ScoredRows, metrics: list[str], min_rows: int = MIN_SLICE_ROWS) -> dict[str, Any]:
    """Rows, metrics that have a value, and with at least `min_rows` the interval of the first."""
    values = {name: _round(value) for name, value in metric_values(metrics, scored).items()}
    interval = None
    if metrics[0] in values and len(scored) >= min_rows:
        try:
            found = metric_interval(metrics[0], scored)
            ends = {"low": _round(found.low), "high": _round(found.high)}
            interval = {**ends, "level": CONFIDENCE, "method": found.method}
        except Undefined:
            pass  # the report then has the metric alone
    return {"rows": len(scored), "metrics": values, "interval": interval}


def _measure_slices(
    test: TestSet, name: str, scored: ScoredRows, answered: Array, metrics: list[str]
) -> dict[str, Any]:
    """Each value's measurements on its rows that are `answered` (rows,)."""
    column = slices.read_column(test.data.connection, test.data.folder / "test.parquet", name, test.types[name])
    measured: list[dict[str, Any]] = []
    others = {"values": 0, "rows": 0}
    for value, every in column.slices():
        rows = every[answered[every]]
        if len(measured) < slices.MAX_SLICES:
            failed = {"failedRows": len(every) - len(rows)} if len(rows) < len(every) else {}
            measured.append({"value": value} | _measure(scored.take(rows), metrics) | failed)
        else:
            others = {"values": others["values"] + 1, "rows": others["rows"] + len(rows)}
    return {"kind": column.kind, "values": measured, "others": others}


def _find_worst(column: Mapping[str, Any], metric: str) -> dict[str, Any] | None:
    """The slice of at least 30 rows with the worst value; None where no slice of that many rows has one."""
    measured = [each for each in column["values"] if each["rows"] >= MIN_SLICE_ROWS and metric in each["metrics"]]
    if not measured:
        return None
    choose = max if metric in LESS_IS_BETTER else min
    worst = choose(measured, key=lambda each: each["metrics"][metric])
    return {"value": worst["value"], "metric": worst["metrics"][metric], "rows": worst["rows"]}


def _finish(step: Step, document: Mapping[str, Any], *, show_values: bool) -> None:
    """The status and the log get the metric of the worst slices, and their values only if the Dataset lets it; the report names them."""
    metric, whole = document["metric"], document["whole"]["metrics"]
    metrics = {metric: whole[metric]}
    metrics |= {f"worst_{name}_{metric}": worst["metric"] for name, worst in document["worst"].items()}
    metrics |= whole
    if document["failedRows"]:
        metrics["failed_rows"] = document["failedRows"]
    facts: dict[str, Any] = {"testDigest": document["testDigest"], "worst": {}}
    for name, worst in document["worst"].items():
        value = worst["value"]
        numbers = {key: worst[key] for key in ("metric", "rows")}
        short = {"value": value if value is None else value[:MAX_VALUE_CHARACTERS]} if show_values else {}
        longer = facts | {"worst": facts["worst"] | {name: short | numbers}}
        if is_room_for(longer):
            facts = longer
    step.finish(metrics, facts)
    for name in document["slices"]:
        worst = document["worst"].get(name)
        none = f"no value of {name} has {MIN_SLICE_ROWS} rows and a {metric}"
        value = f" {worst['value']}" if worst and show_values else ""
        log_line(f"worst {name}:{value} {worst['metric']:.6g} ({worst['rows']:,} rows)" if worst else none)
    log_line(f"{metric} {whole[metric]:.6g} on {document['whole']['rows']:,} test rows")


def _round(value: float) -> float:
    """Nine digits: the rest depends on the order of additions."""
    return float(f"{value:.9g}")

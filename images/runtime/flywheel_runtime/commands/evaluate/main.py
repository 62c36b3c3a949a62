"""The step `evaluate`: a model on the test split, whole and in parts (images/README.md, "evaluate")."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flywheel_runtime.commands.evaluate import intervals, model, report, slices
from flywheel_runtime.commands.evaluate.intervals import Judged
from flywheel_runtime.commands.evaluate.report import LEAST_ROWS
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.step import FACTS_LIMIT, Step, canonical_json, log_line, run_step, write_json
from flywheel_runtime.models import test_set
from flywheel_runtime.models.test_set import TestSet
from flywheel_runtime.statistics import scoring
from flywheel_runtime.statistics.metric_names import LESS_IS_BETTER

DEFAULT_METRIC = {"Classification": "roc_auc", "Regression": "rmse"}
LONGEST_VALUE = 80  # characters of a slice's value in facts.json


def main() -> int:
    """Evaluate in FLYWHEEL_ROOT; 0 with a report, 2 where this model cannot be judged by this data."""
    return run_step(evaluate)


@dataclass(frozen=True)
class Question:
    """What is asked: the metric, first among those that are told, and the columns to slice by."""

    task: str
    metrics: list[str]
    by: list[str]

    @property
    def metric(self) -> str:
        return self.metrics[0]


def evaluate(step: Step) -> None:
    """Score input `model` on the test rows of input `data`, and write output `evaluation`."""
    schema = _schema(step)
    question = _question(step.params, schema)
    loaded = model.load(step.input("model"), str(step.params.get("path") or "model.onnx"), schema)
    if finding := test_set.mismatch(schema, loaded.signature):
        message = f"This model cannot be judged by this data: {finding}; give the step the data that it was trained on."
        raise Failure("DataMismatch", message)
    with test_set.opened(step.input("data"), schema, loaded.signature) as test:
        judged = model.judge(loaded, test)
        log_line(f"{len(judged):,} test rows answered")
        whole = _measured(judged, question, least=2)
        if question.metric not in whole["metrics"]:
            message = f"Metric {question.metric} has no value on the {len(judged):,} test rows (only one class occurs there?); use another."
            raise Failure("MetricUndefined", message)
        parts = {name: _parts(test, name, judged, question) for name in question.by}
        classes = test.classes
    worst = {name: found for name, part in parts.items() if (found := _worst(part, question.metric))}
    document = report.document(question.task, question.metric, loaded.sha256, schema["testDigest"], judged, classes)
    document |= {"whole": whole, "slices": parts, "worst": worst}
    folder = step.output("evaluation")
    write_json(folder / "report.json", document)
    (folder / "report.md").write_text(report.page(document), encoding="utf-8")
    _finish(step, question, document)


def _schema(step: Step) -> dict[str, Any]:
    try:
        schema: dict[str, Any] = json.loads((step.input("data") / "schema.json").read_text())
    except (OSError, ValueError) as error:
        message = "Input 'data' is no data set: its schema.json cannot be read; give a Dataset or what prepare wrote."
        raise Failure("InputInvalid", message) from error
    if schema["target"] is None:
        raise Failure("TargetMissing", "The data has no target to judge by; keep the target's column in prepare.")
    return schema


def _question(params: Mapping[str, Any], schema: Mapping[str, Any]) -> Question:
    task = str(schema["task"])
    names = scoring.order(task, str(params.get("metric") or DEFAULT_METRIC[task]))
    by = [str(name) for name in params.get("by") or ()]
    present = [column["name"] for column in schema["columns"]]
    for name in by:
        if name not in present:
            message = f"Column '{name}' of evaluate.by is not in the data; it has {', '.join(present)}."
            raise Failure("ColumnMissing", message)
    return Question(task, names, list(dict.fromkeys(by)))


def _measured(judged: Judged, question: Question, least: int = LEAST_ROWS) -> dict[str, Any]:
    """Rows, metrics that have a value, and with at least so many rows the interval of the metric that was asked for."""
    scores = judged.score(question.metrics, question.task)
    found = {"rows": len(judged), "metrics": {name: _nine(value) for name, value in scores.items()}}
    sure = None
    if question.metric in scores and len(judged) >= least:
        sure = intervals.of(question.metric, question.task, judged, scores[question.metric])
    interval = sure and {"low": _nine(sure.low), "high": _nine(sure.high), "level": 0.95, "method": sure.method}
    return found | {"interval": interval}


def _parts(test: TestSet, name: str, judged: Judged, question: Question) -> dict[str, Any]:
    kind = next(column["type"] for column in test.data.schema["columns"] if column["name"] == name)
    column = slices.read(test.data.connection, test.data.folder / "test.parquet", name, kind)
    found: list[dict[str, Any]] = []
    others = {"values": 0, "rows": 0}
    for value, chosen in column.slices():
        if len(found) < slices.MOST_VALUES:
            found.append({"value": value} | _measured(judged.part(chosen), question))
        else:
            others = {"values": others["values"] + 1, "rows": others["rows"] + len(chosen)}
    return {"kind": column.kind, "values": found, "others": others}


def _worst(part: Mapping[str, Any], metric: str) -> dict[str, Any] | None:
    """The slice of at least 30 rows with the worst value; None where no slice of that many rows has one."""
    told = [each for each in part["values"] if each["rows"] >= LEAST_ROWS and metric in each["metrics"]]
    if not told:
        return None
    pick = max if metric in LESS_IS_BETTER else min
    found = pick(told, key=lambda each: each["metrics"][metric])
    return {"value": found["value"], "metric": found["metrics"][metric], "rows": found["rows"]}


def _finish(step: Step, question: Question, document: Mapping[str, Any]) -> None:
    metric, whole = question.metric, document["whole"]["metrics"]
    metrics = {metric: whole[metric]}
    metrics |= {f"worst_{name}_{metric}": found["metric"] for name, found in document["worst"].items()}
    metrics |= whole
    facts: dict[str, Any] = {"testDigest": document["testDigest"], "worst": {}}
    for name, found in document["worst"].items():
        value = found["value"]
        short = found | {"value": value if value is None else value[:LONGEST_VALUE]}
        longer = facts | {"worst": facts["worst"] | {name: short}}
        if len(canonical_json(longer).encode()) < FACTS_LIMIT:
            facts = longer
    step.finish(metrics, facts)
    for name in question.by:
        found = document["worst"].get(name)
        least = f"no value of {name} has {LEAST_ROWS} rows and a {metric}"
        log_line(f"worst {name}: {found['value']} {found['metric']:.6g} ({found['rows']:,} rows)" if found else least)
    log_line(f"{metric} {whole[metric]:.6g} on {document['whole']['rows']:,} test rows")


def _nine(value: float) -> float:
    """Nine digits: the rest depends on the order of additions."""
    return float(f"{value:.9g}")


if __name__ == "__main__":
    sys.exit(main())

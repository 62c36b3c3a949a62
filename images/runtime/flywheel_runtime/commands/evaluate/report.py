"""The report: one document for programs, one page for people."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from flywheel_runtime.models.onnx_model import OnnxModel
from flywheel_runtime.models.test_set import TestSet
from flywheel_runtime.statistics.calibration import CALIBRATION_BINS, reliability
from flywheel_runtime.statistics.curves import precision_recall_points, roc_points
from flywheel_runtime.statistics.metrics import LESS_IS_BETTER, Array, ScoredRows, describe_confusion

MAX_SHOWN_SLICES = 20
MAX_SHOWN_FEATURES = 20
VALUE_BINS = 10
MAX_CLASSES = 10
MIN_SLICE_ROWS = 30  # of fewer rows the worst slice is chance


def describe_model(test: TestSet, model: OnnxModel, scored: ScoredRows, metric: str) -> dict[str, Any]:
    """What the report has of all rows at once: curves, and for classes the confusion matrix."""
    document: dict[str, Any] = {
        "v": 1,
        "task": test.task,
        "metric": metric,
        "model": f"sha256:{model.sha256}",
        "testDigest": test.data.schema["testDigest"],
    }
    if not scored.is_classification:
        return document | {"curves": _value_curves(scored)}
    matrix = describe_confusion(scored, model.all_classes(test))
    return document | {"curves": _class_curves(scored, test.classes), "confusionMatrix": matrix}


def _class_curves(scored: ScoredRows, classes: list[str]) -> dict[str, Any]:
    """The curves of each class (of two classes the second alone), at most 10; none of a class that all rows or no row has."""
    numbers = [1] if scored.is_binary else range(min(len(classes), MAX_CLASSES))
    curves = {}
    for number in numbers:
        is_class, probability = (scored.y_true == number).astype(int), scored.probabilities[:, number]
        if 0 < is_class.sum() < len(is_class):
            curves[classes[number]] = {
                "roc": roc_points(is_class, probability),
                "precisionRecall": precision_recall_points(is_class, probability),
                "reliability": _reliability(is_class, probability),
            }
    return curves


def _reliability(is_class: Array, probability: Array) -> dict[str, Any]:
    found = reliability(is_class, probability)
    return {
        "bins": CALIBRATION_BINS,
        "said": [round(float(value), 6) for value in found.mean_probability],
        "true": [round(float(value), 6) for value in found.observed_rate],
        "rows": found.rows.tolist(),
        "expectedCalibrationError": round(found.error, 6),
    }


def _value_curves(scored: ScoredRows) -> dict[str, Any]:
    """Mean predicted and true value in ten bins of equal rows, and quantiles of the error, predicted - true; in the target's unit."""
    order = np.argsort(scored.predicted, kind="stable")
    bins = [rows for rows in np.array_split(order, VALUE_BINS) if len(rows)]
    points = np.linspace(0, 1, 11)
    errors = np.quantile(scored.predicted - scored.y_true, points)
    return {
        "reliability": {
            "said": [float(f"{scored.predicted[rows].mean():.9g}") for rows in bins],
            "true": [float(f"{scored.y_true[rows].mean():.9g}") for rows in bins],
            "rows": [len(rows) for rows in bins],
        },
        "errors": {"quantiles": points.round(2).tolist(), "values": [float(f"{value:.9g}") for value in errors]},
    }


def render_page(document: Mapping[str, Any]) -> str:
    """The report as Markdown: the whole, then the worst slices of each column."""
    metric, whole = document["metric"], document["whole"]
    lines = [f"# {metric} {_with_interval(whole, metric)}", ""]
    lines += [f"{whole['rows']:,} test rows `{document['testDigest']}`, model `{document['model']}`", ""]
    if document["failedRows"]:
        lines += [
            f"{document['failedRows']:,} more rows have no finite answer: they have failed, and count in no metric.",
            "",
        ]
    lines += [*_table(("metric", "value"), [(n, f"{v:.6g}") for n, v in whole["metrics"].items()]), ""]
    for name, column in document["slices"].items():
        lines += [f"## By {_cell(name)}", "", *_slices(column, metric, document["worst"].get(name)), ""]
    if "confusionMatrix" in document:
        matrix = document["confusionMatrix"]
        rows = [(f"is {n}", *row) for n, row in zip(matrix["classes"], matrix["counts"], strict=True)]
        lines += ["## Confusion matrix", "", *_table(("", *(f"predicted {n}" for n in matrix["classes"])), rows), ""]
    if "importance" in document:
        lines += _importance(document["importance"])
    lines += [f"Intervals are at 95 % by {_method(whole)}. Curves are in report.json.", ""]
    return "\n".join(lines)


def _importance(importance: Mapping[str, Any]) -> list[str]:
    """Columns by permutation importance, the most important first."""
    rows = [
        (each["name"], f"{each['importance']:.4g} ± {each['deviation']:.2g}")
        for each in importance["features"][:MAX_SHOWN_FEATURES]
    ]
    how = f"How much worse {importance['metric']} is on {importance['rows']:,} test rows with the column shuffled, {importance['repeats']} times."
    return ["## Importance of columns", "", how, "", *_table(("column", importance["metric"]), rows), ""]


def _slices(column: Mapping[str, Any], metric: str, worst: Mapping[str, Any] | None) -> list[str]:
    sign = -1 if metric in LESS_IS_BETTER else 1
    measured = [each for each in column["values"] if each["rows"] >= MIN_SLICE_ROWS and metric in each["metrics"]]
    shown = sorted(measured, key=lambda each: sign * each["metrics"][metric])[:MAX_SHOWN_SLICES]
    rows = [(_name(each["value"]), f"{each['rows']:,}", _with_interval(each, metric)) for each in shown]
    least = f"{MIN_SLICE_ROWS} rows"
    head = f"Worst with at least {least}: {_name(worst['value'])}." if worst else f"No slice has {least} and a value."
    left = len(column["values"]) - len(shown) + column["others"]["values"]
    tail = ["", f"{left:,} more slices are better, or have fewer rows or no value."] if left else []
    return [head, *(["", *_table(("value", "rows", metric), rows)] if rows else []), *tail]


def _with_interval(measured: Mapping[str, Any], metric: str) -> str:
    value, interval = measured["metrics"][metric], measured["interval"]
    return f"{value:.4g}" + (f" ({interval['low']:.4g} to {interval['high']:.4g})" if interval else "")


def _method(whole: Mapping[str, Any]) -> str:
    return str(whole["interval"]["method"]) if whole["interval"] else "no method: there are too few rows"


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> list[str]:
    lines = [head, tuple("---" for _ in head), *rows]
    return ["| " + " | ".join(_cell(str(cell)) for cell in line) + " |" for line in lines]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|") if text.strip() else " "


def _name(value: str | None) -> str:
    return "(missing)" if value is None else value or "(empty)"

"""The report: one document for programs, one page for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from flywheel_runtime.commands.evaluate import curves
from flywheel_runtime.commands.evaluate.intervals import Judged
from flywheel_runtime.statistics.metric_names import LESS_IS_BETTER

SHOWN_SLICES = 20
LEAST_ROWS = 30  # of fewer rows the worst slice is chance


def document(
    task: str, metric: str, model_sha256: str, test_digest: str, judged: Judged, classes: list[str]
) -> dict[str, Any]:
    """What is told of all rows at once: curves, and for classes who was taken for whom."""
    found: dict[str, Any] = {
        "v": 1,
        "task": task,
        "metric": metric,
        "model": f"sha256:{model_sha256}",
        "testDigest": test_digest,
    }
    if task == "Regression":
        return found | {"curves": curves.of_numbers(judged)}
    size = len(classes)
    counts = np.bincount(judged.y.astype(int) * size + judged.label.astype(int), minlength=size * size)
    matrix = {"classes": classes, "rowsAre": "actual", "counts": counts.reshape(size, size).tolist()}
    return found | {"curves": curves.of_classes(judged, classes), "confusionMatrix": matrix}


def page(told: Mapping[str, Any]) -> str:
    """The report as Markdown: the whole, then the worst slices of each column."""
    metric, whole = told["metric"], told["whole"]
    lines = [f"# {metric} {_sure(whole, metric)}", ""]
    lines += [f"{whole['rows']:,} test rows `{told['testDigest']}`, model `{told['model']}`", ""]
    lines += [*_table(("metric", "value"), [(n, f"{v:.6g}") for n, v in whole["metrics"].items()]), ""]
    for name, part in told["slices"].items():
        lines += [f"## By {_cell(name)}", "", *_slices(part, metric, told["worst"].get(name)), ""]
    if "confusionMatrix" in told:
        matrix = told["confusionMatrix"]
        rows = [(f"is {n}", *row) for n, row in zip(matrix["classes"], matrix["counts"], strict=True)]
        lines += ["## Who is taken for whom", "", *_table(("", *(f"said {n}" for n in matrix["classes"])), rows), ""]
    lines += [f"Intervals are at 95 % by {_method(whole)}. Curves are in report.json.", ""]
    return "\n".join(lines)


def _slices(part: Mapping[str, Any], metric: str, worst: Mapping[str, Any] | None) -> list[str]:
    sign = -1 if metric in LESS_IS_BETTER else 1
    measured = [each for each in part["values"] if each["rows"] >= LEAST_ROWS and metric in each["metrics"]]
    shown = sorted(measured, key=lambda each: sign * each["metrics"][metric])[:SHOWN_SLICES]
    rows = [(_name(each["value"]), f"{each['rows']:,}", _sure(each, metric)) for each in shown]
    least = f"{LEAST_ROWS} rows"
    head = f"Worst with at least {least}: {_name(worst['value'])}." if worst else f"No slice has {least} and a value."
    left = len(part["values"]) - len(shown) + part["others"]["values"]
    tail = ["", f"{left:,} more slices are better, or have fewer rows or no value."] if left else []
    return [head, *(["", *_table(("value", "rows", metric), rows)] if rows else []), *tail]


def _sure(told: Mapping[str, Any], metric: str) -> str:
    value, interval = told["metrics"][metric], told["interval"]
    return f"{value:.4g}" + (f" ({interval['low']:.4g} to {interval['high']:.4g})" if interval else "")


def _method(whole: Mapping[str, Any]) -> str:
    return str(whole["interval"]["method"]) if whole["interval"] else "no method: there are too few rows"


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> list[str]:
    lines = [head, tuple("---" for _ in head), *rows]
    return ["| " + " | ".join(_cell(str(cell)) for cell in line) + " |" for line in lines]


def _cell(words: str) -> str:
    return " ".join(words.split()).replace("|", "\\|") if words.strip() else " "


def _name(value: str | None) -> str:
    return "(missing)" if value is None else value or "(empty)"

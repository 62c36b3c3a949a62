"""Labelled rows in the page: calibration, ROC and precision over recall of each version as charts, and its metric by group."""

from collections.abc import Mapping
from html import escape
from typing import Any

from flywheel_runtime.monitoring.report.charts import Charts
from flywheel_runtime.monitoring.report.html import Number, format_number, render_section, render_table

MAX_VERSIONS = 4  # with charts


def render_labelled_rows(report: Mapping[str, Any], charts: Charts) -> str:
    """The sections of the page; empty without labels."""
    found = report.get("labelledRows") or {}
    curves, slices = found.get("curves") or (), found.get("slices") or ()
    drawn = "".join(_render_version(each, charts) for each in curves[:MAX_VERSIONS])
    calibration = render_section("Calibration and curves of labelled rows", drawn) if drawn else ""
    return calibration + (_render_slices(found) if slices else "")


def _render_version(found: Mapping[str, Any], charts: Charts) -> str:
    bins = found["reliability"]
    said = f"{found['version']}: {found['rows']:,} labelled rows of all windows above; expected calibration error {found['calibrationError']:.3g}"
    lines = {"now": (bins["meanProbability"], bins["observedRate"])}
    drawn = charts.curve(lines, "mean predicted probability", "observed rate", diagonal=True)
    if "roc" in found:
        roc, recall = found["roc"], found["precisionRecall"]
        said += f"; ROC AUC {roc['area']:.4g}; average precision {recall['averagePrecision']:.4g}"
        lines = {"now": (roc["fpr"], roc["tpr"])}
        if found.get("testRoc"):
            lines["test rows"] = (found["testRoc"]["fpr"], found["testRoc"]["tpr"])
        drawn += charts.curve(lines, "false positive rate", "true positive rate", diagonal=True)
        drawn += charts.curve({"now": (recall["recall"], recall["precision"])}, "recall", "precision", diagonal=False)
    return f"<section><h3>{escape(said)}</h3>{drawn}</section>"


def _render_slices(found: Mapping[str, Any]) -> str:
    rows = [
        (
            each["version"], each["column"], each["group"], Number(f"{each['rows']:,}"), Number(format_number(each.get("value"))),
            Number(f"{each['low']:.4g} to {each['high']:.4g}" if "low" in each else "too few rows"),
        )
        for each in found["slices"]
    ]  # fmt: skip
    header = ("Version", "Column", "Group", "Labelled rows", found["metric"], "95 % interval")
    return render_section("Slices", render_table(header, rows))

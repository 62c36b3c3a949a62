"""Fairness in the page: for each column of the newest window the rates of its groups, as a chart and a table, and the gaps of all windows."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from flywheel_runtime.monitoring.report.charts import Charts
from flywheel_runtime.monitoring.report.html import Number, format_number, render_section, render_table
from flywheel_runtime.monitoring.report.sentences import STANDARD_ERRORS

MAX_TABLES = 8  # of columns and versions in the newest window
MAX_WINDOWS = 50  # of the table of gaps


def render_fairness(report: Mapping[str, Any], charts: Charts) -> str:
    """The section of the page; empty where fairness is not asked for."""
    found = report.get("fairness")
    if found is None:
        return ""
    windows = found["windows"]
    newest = [each for each in windows if each["start"] == windows[-1]["start"]] if windows else []
    said = f"{found['measure']} by {', '.join(found['by'])}; at most {found['maxGap']:g} is allowed. Groups with fewer than {found['minRows']:,} rows are not compared."
    groups = "".join(_render_groups(each, charts) for each in newest[:MAX_TABLES] if each["groups"])
    return render_section(
        "Fairness", f'<p class="note">{escape(said)}</p>{groups}<h3>All windows</h3>{_render_gaps(windows)}'
    )


def _render_groups(window: Mapping[str, Any], charts: Charts) -> str:
    """The groups of one column: a chart of each rate, and a table."""
    rates: dict[str, list[Mapping[str, Any]]] = {}
    for each in window["groups"]:
        rates.setdefault(each["rate"], []).append(each)
    rows = [
        (each["group"], rate, Number(format_number(each["value"])), Number(f"{each['rows']:,}"), "" if each["compared"] else "not compared")
        for rate, groups in rates.items()
        for each in groups
    ]  # fmt: skip
    drawn = "".join(_draw(rate, groups, charts) for rate, groups in rates.items())
    state = "complete" if window["frozen"] else "labels may still arrive"
    title = f"{window['column']}, {window['version']}, {window['start']} ({state})"
    return f"<section><h3>{escape(title)}</h3>{drawn}{render_table(('Group', 'Rate', 'Value', 'Rows', ''), rows)}</section>"


def _draw(rate: str, groups: Sequence[Mapping[str, Any]], charts: Charts) -> str:
    compared = [each for each in groups if each["compared"]]
    if not compared:
        return ""
    values = [each["value"] for each in compared]
    is_share = rate != "mean absolute error"
    errors = [
        STANDARD_ERRORS * (each["value"] * (1 - each["value"]) / each["rows"]) ** 0.5 if is_share else 0.0 for each in compared
    ]  # fmt: skip
    return charts.bars([each["group"] for each in compared], values, errors, rate)


def _render_gaps(windows: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (
            each["start"], each["version"], each["column"], Number(format_number(each["gap"])), Number(format_number(each["effect"])),
            each.get("problem") or ("tested" if each["effect"] is not None else "not tested" if each["frozen"] else "open"),
        )
        for each in reversed(windows[-MAX_WINDOWS:])
    ]  # fmt: skip
    return render_table(("Window", "Version", "Column", "Gap", "Without its bias", "State"), rows)

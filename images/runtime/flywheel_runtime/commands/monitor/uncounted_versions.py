"""Versions whose models have no baseline.json, so that their servers count nothing: their logged rows are counted here."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from flywheel_runtime.commands.monitor.config import MonitorConfig
from flywheel_runtime.contract.step import Step
from flywheel_runtime.monitoring.documents import CountDocument, DocumentProblems, Series
from flywheel_runtime.monitoring.logged_rows import RowBins, RowTable, count_table, freeze_bins, read_rows
from flywheel_runtime.monitoring.state import MonitorState


def count_uncounted(
    step: Step,
    config: MonitorConfig,
    state: MonitorState,
    counted: Iterable[CountDocument],
    problems: DocumentProblems,
    oldest: int,
) -> list[CountDocument]:
    """Documents of the logged rows of versions without a baseline and without documents of their own; the state has their bins.

    Rows before `oldest` (seconds since 1970) are of windows that no longer change.
    """
    versions = list_uncounted(step, config, counted)
    inputs = step.root / "inputs"
    files = [file for folder in sorted(inputs.glob("rows*")) for file in folder.rglob("*.parquet")] if versions else []
    by_series: dict[Series, list[RowTable]] = {}
    for table in read_rows(files, frozenset(versions), problems):
        by_series.setdefault(table.series, []).append(table)
    documents: list[CountDocument] = []
    for series, tables in sorted(by_series.items()):
        if series not in state.row_bins:
            bins = _find_bins(tables, config, _timestamps(_folder(step, series.version)))
            if bins is None:
                continue
            state.row_bins[series] = bins
        bins, end = state.row_bins[series], config.until.timestamp()
        documents += [each for table in tables for each in count_table(table.select(oldest, end), bins)]
    return documents


def list_uncounted(step: Step, config: MonitorConfig, counted: Iterable[CountDocument]) -> set[str]:
    """The versions that have neither a baseline nor one of these documents."""
    names = {each.name for each in config.versions if not (_folder(step, each.name) / "baseline.json").is_file()}
    return names - {each.series.version for each in counted}


def _folder(step: Step, version: str) -> Path:
    return step.input(f"version-{version}")


def _find_bins(tables: Sequence[RowTable], config: MonitorConfig, timestamps: frozenset[str]) -> RowBins | None:
    """The bins of the first window that has enough rows."""
    for start in config.starts:
        of_window = [table.select(start, start + config.window_seconds) for table in tables]
        if sum(len(each.times) for each in of_window) >= config.min_rows:
            return freeze_bins(of_window, timestamps)
    return None


def _timestamps(folder: Path) -> frozenset[str]:
    """The inputs that are timestamps, by signature.json."""
    try:
        inputs = json.loads((folder / "signature.json").read_bytes())["inputs"]
        return frozenset(str(each["name"]) for each in inputs if each.get("content") == "Timestamp")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return frozenset()

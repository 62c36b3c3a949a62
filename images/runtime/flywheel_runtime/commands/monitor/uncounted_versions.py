"""Versions whose models have no baseline.json, so that their servers count nothing: their logged rows are counted here."""

import json
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

from flywheel_runtime.commands.monitor.config import MonitorConfig
from flywheel_runtime.commands.monitor.stored_rows import RowReader, find_row_files
from flywheel_runtime.contract.step import Step
from flywheel_runtime.monitoring.documents import CountDocument, DocumentProblems, Series
from flywheel_runtime.monitoring.logged_rows import count_table, freeze_bins
from flywheel_runtime.monitoring.state import MonitorState


def count_uncounted(
    step: Step,
    config: MonitorConfig,
    state: MonitorState,
    versions: Collection[str],
    read: RowReader,
    problems: DocumentProblems,
    oldest: int,
) -> Iterator[CountDocument]:
    """Documents of the logged rows of these versions, which are not counted otherwise; the state has their bins.

    Rows before `oldest` (seconds since 1970) are of windows that no longer change. One file at a time is in memory, and one window where
    bins are to be found.
    """
    if not versions:
        return
    end = config.until.timestamp()
    names = frozenset(versions)
    known = {(each.version, each.digest) for each in state.row_bins}
    new = names - {each.name for each in config.versions if (each.name, each.digest) in known}
    for series, start in _find_first_windows(read, new, config).items():
        if series not in state.row_bins:
            selected = (
                each.select(start, start + config.window_seconds)
                for each in read(frozenset({series.version}), DocumentProblems())
                if each.series == series
            )
            state.row_bins[series] = freeze_bins(list(selected), _timestamps(_folder(step, series.version)))
    for table in read(names, problems):
        if table.series in state.row_bins:
            yield from count_table(table.select(oldest, end), state.row_bins[table.series])


def list_uncounted(step: Step, config: MonitorConfig, counted: Collection[str]) -> set[str]:
    """The versions without a baseline that are not among those that are `counted`; of stored rows all that are not."""
    names = set(config.served_versions)
    if config.stored_rows is None:
        names = {name for name in names if not (_folder(step, name) / "baseline.json").is_file()}
    return names - set(counted)


def list_unmeasured(step: Step, uncounted: set[str], found: Collection[str]) -> set[str]:
    """The versions that are not among those that were `found`, where no rows are logged. Where rows are, these had no traffic."""
    if step.params.get("storedRows"):
        return set()
    return uncounted - set(found) if next(find_row_files(step), None) is None else set()


def _folder(step: Step, version: str) -> Path:
    return step.input(f"version-{version}")


def _find_first_windows(read: RowReader, versions: frozenset[str], config: MonitorConfig) -> dict[Series, int]:
    """The start of the first window of each series that has enough rows for its bins."""
    rows: dict[Series, Counter[int]] = {}
    for table in read(versions, DocumentProblems()) if versions else ():
        places = (table.times - config.starts[0]) // config.window_seconds
        rows.setdefault(table.series, Counter()).update(places.astype(int).tolist())
    found: dict[Series, int] = {}
    for series, counts in sorted(rows.items()):
        enough = [start for place, start in enumerate(config.starts) if counts[place] >= config.min_rows]
        if enough:
            found[series] = enough[0]
    return found


def _timestamps(folder: Path) -> frozenset[str]:
    """The inputs that are timestamps, by signature.json."""
    try:
        inputs = json.loads((folder / "signature.json").read_bytes())["inputs"]
        return frozenset(str(each["name"]) for each in inputs if each.get("content") == "Timestamp")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return frozenset()

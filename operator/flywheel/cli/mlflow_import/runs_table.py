"""The runs of a server as one table."""

import csv
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

Run = Mapping[str, object]
FIRST_COLUMNS = ("experiment", "run_id", "name", "status", "start_time", "end_time")


def write_runs(path: Path, runs: Iterable[Run]) -> int:
    """Writes one row for each run, and returns their number. Columns after the first ones are metrics, params and tags, in this order."""
    rows = list(runs)
    names = {name for row in rows for name in row if name not in FIRST_COLUMNS}
    columns = [*FIRST_COLUMNS, *sorted(names, key=_column_order)]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return len(rows)


def _column_order(name: str) -> tuple[int, str]:
    return ("metrics", "params", "tags").index(name.partition(".")[0]), name


def _cell(value: object) -> object:
    """Returns what a cell holds: nothing for a metric that is not a number, as pandas and DuckDB read it."""
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else value

"""Calendar features, which a trial adds where nobody chose its features: the hour, the weekday and the month of each time that it learns from.

Trees and lines see a time as one number, in which nothing comes back; these say what does. They are expressions of rowwise, so the
model makes them of the time that callers send.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from flywheel_runtime.datasets.formats.column_names import find_same
from flywheel_runtime.datasets.sql import connect, prefix_columns, quote_column, quote_identifier, quote_literal

DAY = 86_400  # seconds


@dataclass(frozen=True)
class Part:
    """A part of a time, as DuckDB's function names it, and its cycle in seconds."""

    name: str
    function: str
    cycle: int


PARTS = (Part("hour", "hour", DAY), Part("weekday", "isodow", 7 * DAY), Part("month", "month", 365 * DAY))


def find_calendar_features(folder: Path) -> dict[str, str]:
    """Expressions by name, over the times of `timestampFeatures` in the Dataset's artifact.

    A part is there if it differs among the rows of the train split, and its cycle has passed twice in them: what was seen
    once is no more than the time itself.
    """
    schema = json.loads((folder / "schema.json").read_text())
    names = [str(column["name"]) for column in schema["columns"]]
    found: dict[str, str] = {}
    for time in schema.get("timestampFeatures", ()):
        for part in _recurring_parts(folder, str(time)):
            if find_same(feature := f"{time}_{part.name}", [*names, *found]) is None:
                found[feature] = f"{part.function}({quote_identifier(str(time))})"
    return found


def _recurring_parts(folder: Path, time: str) -> list[Part]:
    value = f"TRY_CAST({quote_column(time)} AS TIMESTAMP)"
    counts = ", ".join(f"count(DISTINCT {part.function}(t))" for part in PARTS)
    train = prefix_columns(f"read_parquet({quote_literal(str(folder / 'train.parquet'))})")
    query = f"SELECT epoch(max(t)) - epoch(min(t)), {counts} FROM (SELECT {value} AS t FROM {train}) WHERE isfinite(t)"
    with connect(threads=1) as connection:
        span, *distinct = connection.execute(query).fetchall()[0]
    return [
        part
        for part, count in zip(PARTS, distinct, strict=True)
        if count > 1 and span is not None and span >= 2 * part.cycle
    ]

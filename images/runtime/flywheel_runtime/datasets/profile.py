"""Counts on frozen bins for every column and split: integers only, so that they can be added and compared.

Numbers: 20 quantile bins of the train split (fewer where values repeat), the last one closed; `under`, `over`,
`missing`, and `invalid` (infinite). Edges and values are compared as 32-bit floats, which is what a server receives.
Times: as numbers, in microseconds since 1970 (UTC); their `min` and `max` are text, and they have no `mean`.
Text and Booleans: the 64 most frequent values, `other`, `missing`; `content` says whether text is a Category, FreeText or an Identifier.
`distinct` is an estimate (HyperLogLog) for columns that are not text.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.datasets.schema import Column, PreviousVersion, Schema
from flywheel_runtime.datasets.split import SPLITS
from flywheel_runtime.datasets.sql import quote_column, quote_literal
from flywheel_runtime.datasets.texts import TextContent, text_content
from flywheel_runtime.datasets.types import MAX_FLOAT, TIMESTAMP, timestamp_number

Array = NDArray[Any]
BINS = 20
TOP_CATEGORIES = 64
CONTENT_SAMPLE = 500  # distinct texts that say what a column holds
# Exact quantiles hold every value in memory; bins do not need more rows than this.
QUANTILE_SAMPLE = 1_000_000
COLUMNS_OF_A_QUERY = 100
READ_VALUES = 16_000_000  # of 4 bytes, that are in memory at the same time


def join_splits(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the view `joined`: the rows of `data` that are in `splits`, with `#split` and `#row`."""
    connection.execute(
        'CREATE OR REPLACE VIEW joined AS SELECT data.*, splits.split AS "#split", splits.row AS "#row" '
        "FROM data JOIN splits ON data.rowid = splits.row"
    )


def profile_columns(
    connection: duckdb.DuckDBPyConnection, schema: Schema, previous: PreviousVersion | None, rows: dict[str, int]
) -> dict[str, Any]:
    """The profile of all columns; bins and categories of `previous` stay, so that versions can be compared."""
    join_splits(connection)
    earlier: dict[str, dict[str, Any]] = {}
    for column in schema.columns:
        before = previous.profile.get(column.name) if previous else None
        if before and before["type"] == column.type:
            earlier[column.name] = before
    parts = _count_parts(connection, schema.columns, rows)
    numbers = {
        column.name: _numbers(column, values, earlier.get(column.name), parts[column.name])
        for column, values in _read_numbers(connection, list(filter(_is_number, schema.columns)), rows)
    }
    columns = {}
    for column in schema.columns:
        name = column.name
        found = numbers.get(name) or _texts(connection, column, earlier.get(name), parts[name])
        columns[name] = {"type": column.type} | found
    return {"v": 1, "rows": rows, "columns": columns}


def _batch(columns: Sequence[Column], size: int) -> Iterator[Sequence[Column]]:
    return (columns[at : at + size] for at in range(0, len(columns), size))


def _is_number(column: Column) -> bool:
    return column.type in ("Integer", "Float", TIMESTAMP)


Parts = dict[str, dict[str, Any]]
"""What is counted of a column, by split."""


def _count_parts(
    connection: duckdb.DuckDBPyConnection, columns: Sequence[Column], rows: Mapping[str, int]
) -> dict[str, Parts]:
    """What one pass over the rows counts of many columns, by column."""
    parts: dict[str, Parts] = {}
    for column in columns:
        empty = dict.fromkeys(("min", "max", "mean")) | {"invalid": 0} if _is_number(column) else {}
        parts[column.name] = {split: {"rows": rows[split], "missing": 0, "distinct": 0} | empty for split in SPLITS}
    for some in _batch(columns, COLUMNS_OF_A_QUERY):
        counted = ", ".join(each for column in some for each in _counts(column))
        for split, *found in connection.execute(f'SELECT "#split", {counted} FROM joined GROUP BY "#split"').fetchall():
            values = iter(found)
            for column in some:
                _fill_part(column, parts[column.name][split], values)
    return parts


def _counts(column: Column) -> list[str]:
    """SQL for what `_fill_part` takes."""
    name = quote_column(column.name)
    counts = [f"count({name})", f"approx_count_distinct({name})"]
    if _is_number(column):
        finite, wide = _is_finite(column), timestamp_number(name) if column.type == TIMESTAMP else f"{name}::DOUBLE"
        counts += [f"min({name})::VARCHAR", f"max({name})::VARCHAR"]
        counts += [f"avg(CASE WHEN {finite} THEN {wide} END)", f"count_if(NOT {finite})"]
    return counts


def _fill_part(column: Column, part: dict[str, Any], values: Iterator[Any]) -> None:
    part |= {"missing": part["rows"] - next(values), "distinct": next(values)}
    if not _is_number(column):
        return
    low, high, mean, invalid = (next(values) for _ in range(4))
    # An average depends on the order of additions in its last digits; nine digits do not.
    rounded = float(f"{mean:.9g}") if mean is not None and math.isfinite(mean) else None
    part |= {"min": low, "max": high, "mean": rounded, "invalid": invalid or 0}


@dataclass(frozen=True)
class NarrowValues:
    """The finite values of a column as 32-bit floats, ascending, by split; `sample` are those of the train split that decide its bins."""

    by_split: Mapping[str, Array]
    sample: Array


def _read_numbers(
    connection: duckdb.DuckDBPyConnection, columns: Sequence[Column], rows: Mapping[str, int]
) -> Iterator[tuple[Column, NarrowValues]]:
    """The values of each column; of as many at a time as have room."""
    stride = max(1, rows["train"] // QUANTILE_SAMPLE)
    codes = " ".join(f"WHEN '{split}' THEN {code}" for code, split in enumerate(SPLITS))
    selected = f'(CASE "#split" {codes} END)::UTINYINT AS split, "#row" % {stride} = 0 AS is_sampled'
    room = max(1, READ_VALUES // max(1, sum(rows.values())))
    for some in _batch(columns, room):
        values = ", ".join(
            f"CASE WHEN {_is_finite(each)} THEN {_narrow(each)} END AS v{at}" for at, each in enumerate(some)
        )
        found = connection.execute(f"SELECT {selected}, {values} FROM joined").fetchnumpy()
        is_of = {split: found["split"] == code for code, split in enumerate(SPLITS)}
        is_sampled = is_of["train"] & found["is_sampled"]
        for at, column in enumerate(some):
            there = ~np.ma.getmaskarray(found[f"v{at}"])
            narrow = np.ma.getdata(found[f"v{at}"])
            by_split = {split: np.sort(narrow[there & rows_of]) for split, rows_of in is_of.items()}
            sample = by_split["train"] if stride == 1 else np.sort(narrow[there & is_sampled])
            yield column, NarrowValues(by_split, sample)


def _numbers(column: Column, values: NarrowValues, before: dict[str, Any] | None, parts: Parts) -> dict[str, Any]:
    edges = before["edges"] if before and before.get("edges") else _edges(values.sample)
    for split, part in parts.items():
        part |= count_bins(values.by_split[split], edges)
        if column.type == TIMESTAMP:
            del part["mean"]
        else:
            part |= {key: float(part[key]) if part[key] is not None else None for key in ("min", "max")}
    return {"edges": edges, "splits": {split: _without_infinity(part) for split, part in parts.items()}}


def count_bins(values: Array, edges: Sequence[float]) -> dict[str, Any]:
    """The counts of 32-bit `values` (rows,), which ascend, in the bins between `edges`: from each one until before the next, the last one closed."""
    if not len(edges):
        return {"under": 0, "over": 0, "bins": []}
    narrow = np.array(edges, np.float32)
    places = np.searchsorted(values, narrow)
    places[-1] = np.searchsorted(values, narrow[-1], side="right")
    return {"under": int(places[0]), "over": int(len(values) - places[-1]), "bins": np.diff(places).tolist()}


def _is_finite(column: Column) -> str:
    """SQL for whether a value is finite."""
    return "true" if column.type == "Integer" else f"isfinite({quote_column(column.name)})"


def _narrow(column: Column) -> str:
    """SQL for a finite number as 32 bits; one that is too large for them is the largest, so that it counts as `over` or `under`."""
    name = quote_column(column.name)
    if column.type == "Integer":
        return f"{name}::FLOAT"
    if column.type == TIMESTAMP:
        return f"{timestamp_number(name)}::FLOAT"
    return f"greatest(least({name}, {MAX_FLOAT!r}), -{MAX_FLOAT!r})::FLOAT"


def _without_infinity(part: dict[str, Any]) -> dict[str, Any]:
    return part | {key: None for key in ("min", "max") if part[key] in (float("inf"), float("-inf"))}


def _edges(values: Array) -> list[float]:
    """The different ones of 21 quantiles of `values`, which ascend; two, where all are the same."""
    if not len(values):
        return []
    # The quantile q of n values is the value number ceil(q * n), as DuckDB's quantile_disc, which releases before used, has it.
    places = (max(1, -(-place * len(values) // BINS)) - 1 for place in range(BINS + 1))
    edges = sorted({float(values[place]) + 0.0 for place in places})  # + 0.0: zero has no sign
    return edges if len(edges) > 1 else edges * 2


def _texts(
    connection: duckdb.DuckDBPyConnection, column: Column, before: dict[str, Any] | None, parts: Parts
) -> dict[str, Any]:
    name = f"{quote_column(column.name)}::VARCHAR"
    known = (
        before["categories"]
        if before
        else [
            str(row[0])
            for row in connection.execute(
                f"SELECT {name} AS value FROM joined WHERE \"#split\" = 'train' AND value IS NOT NULL "
                f"GROUP BY value ORDER BY count(*) DESC, value LIMIT {TOP_CATEGORIES}"
            ).fetchall()
        ]
    )
    for part in parts.values():
        part |= {"counts": [0] * len(known), "other": part["rows"] - part["missing"]}
    listed = ", ".join(quote_literal(value) for value in known) or "NULL"
    counted = connection.execute(
        f'SELECT "#split", {name} AS value, count(*) FROM joined WHERE {name} IN ({listed}) GROUP BY "#split", value'
    ).fetchall()
    for split, value, count in counted:
        parts[split]["counts"][known.index(value)] = count
        parts[split]["other"] -= count
    # Only where the list is whole can a value outside it be called new.
    found = {"categories": known, "allCategories": parts["train"]["other"] == 0, "splits": parts}
    if column.type == "String":
        found["content"] = (before or {}).get("content") or _content(connection, name)
    return found


def _content(connection: duckdb.DuckDBPyConnection, text: str) -> TextContent:
    """What a column of text holds, by the train split; `text` is its SQL."""
    train = f"FROM joined WHERE \"#split\" = 'train' AND {text} IS NOT NULL"
    distinct, filled = connection.execute(f"SELECT count(DISTINCT {text}), count(*) {train}").fetchall()[0]
    sample = connection.execute(
        f"SELECT {text} AS value {train} GROUP BY value ORDER BY md5(value) LIMIT {CONTENT_SAMPLE}"
    ).fetchall()
    return text_content([str(row[0]) for row in sample], distinct, filled)


def find_unlearnable(profile: Mapping[str, Any]) -> str | None:
    """What the train split lacks for a column to be learnt from, None where it lacks nothing."""
    train = profile["splits"]["train"]
    if train["missing"] + train.get("invalid", 0) == train["rows"]:
        return "no value"
    is_constant = train["min"] == train["max"] is not None if "bins" in train else train["distinct"] == 1
    return "one value" if is_constant and not train["missing"] and not train.get("invalid") else None


def describe_no_features(left_out: Mapping[str, str]) -> Failure:
    """The failure of data that has no column to learn from; `left_out` says what each of its columns lacks."""
    if not left_out:
        return Failure("NoFeatures", "The Dataset has no column that can be a feature; name some in features.")
    shown = ", ".join(f"'{name}' ({why})" for name, why in list(left_out.items())[:10])
    message = f"No column tells rows of the train split apart: {shown}; bring rows in which they differ, or name other columns in features."
    return Failure("NoFeatures", message)

"""Counts on frozen bins for every column and split: integers only, so that they can be added and compared.

Numbers: 20 quantile bins of the train split (fewer where values repeat), the last one closed; `under`, `over`,
`missing`, and `invalid` (infinite). Edges and values are compared as 32-bit floats, which is what a server receives.
Times: as numbers, in microseconds since 1970 (UTC); their `min` and `max` are text, and they have no `mean`.
Text and Booleans: the 64 most frequent values, `other`, `missing`; `content` says whether text is a Category, FreeText or an Identifier.
`distinct` is an estimate (HyperLogLog) for columns that are not text.
"""

import itertools
import math
from collections.abc import Mapping
from typing import Any

import duckdb

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.datasets.schema import Column, PreviousVersion, Schema
from flywheel_runtime.datasets.split import SPLITS
from flywheel_runtime.datasets.sql import quote_column, quote_literal
from flywheel_runtime.datasets.texts import TextContent, text_content
from flywheel_runtime.datasets.types import MAX_FLOAT, TIMESTAMP, timestamp_number

BINS = 20
TOP_CATEGORIES = 64
CONTENT_SAMPLE = 500  # distinct texts that say what a column holds
# Exact quantiles hold every value in memory; bins do not need more rows than this.
QUANTILE_SAMPLE = 1_000_000


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
    columns = {}
    for column in schema.columns:
        before = previous.profile.get(column.name) if previous else None
        before = before if before and before["type"] == column.type else None
        if column.type in ("Integer", "Float", TIMESTAMP):
            found = _numbers(connection, column, before, rows)
        else:
            found = _texts(connection, column, before, rows)
        columns[column.name] = {"type": column.type} | found
    return {"v": 1, "rows": rows, "columns": columns}


def _common(connection: duckdb.DuckDBPyConnection, column: Column, rows: dict[str, int]) -> dict[str, dict[str, Any]]:
    name = quote_column(column.name)
    found = connection.execute(
        f'SELECT "#split", count({name}), min({name})::VARCHAR, max({name})::VARCHAR, approx_count_distinct({name}) '
        f'FROM joined GROUP BY "#split"'
    ).fetchall()
    empty: dict[str, Any] = {"missing": 0, "min": None, "max": None, "distinct": 0}
    parts = {split: {"rows": rows[split]} | empty for split in SPLITS}
    for split, filled, low, high, distinct in found:
        parts[split] |= {"missing": rows[split] - filled, "min": low, "max": high, "distinct": distinct}
    return parts


def _numbers(
    connection: duckdb.DuckDBPyConnection, column: Column, before: dict[str, Any] | None, rows: dict[str, int]
) -> dict[str, Any]:
    name = quote_column(column.name)
    edges = before["edges"] if before and before.get("edges") else _edges(connection, column, rows["train"])
    parts = _common(connection, column, rows)
    value, finite = _narrow(column), "true" if column.type == "Integer" else f"isfinite({name})"
    wide = timestamp_number(name) if column.type == TIMESTAMP else f"{name}::DOUBLE"
    counts = [f"count_if({finite} AND {condition})" for condition in _conditions(value, edges)]
    query = (
        f'SELECT "#split", avg(CASE WHEN {finite} THEN {wide} END), count_if(NOT {finite}), '
        f'{", ".join(counts)} FROM joined GROUP BY "#split" ORDER BY "#split"'
    )
    for part in parts.values():
        part |= {"mean": None, "invalid": 0, "under": 0, "over": 0, "bins": [0] * max(len(edges) - 1, 0)}
    for split, mean, *found in connection.execute(query).fetchall():
        invalid, under, over, *bins = (count or 0 for count in found)  # DuckDB counts None where there is no value
        # An average depends on the order of additions in its last digits; nine digits do not.
        rounded = float(f"{mean:.9g}") if mean is not None and math.isfinite(mean) else None
        parts[split] |= {"mean": rounded, "invalid": invalid, "under": under, "over": over, "bins": bins}
    for part in parts.values():
        if column.type == TIMESTAMP:
            del part["mean"]
        else:
            part |= {key: float(part[key]) if part[key] is not None else None for key in ("min", "max")}
    return {"edges": edges, "splits": {split: _without_infinity(part) for split, part in parts.items()}}


def _narrow(column: Column) -> str:
    """SQL for a number as 32 bits; a finite one that is too large for them is the largest, so that it counts as `over` or `under`."""
    name = quote_column(column.name)
    if column.type == "Integer":
        return f"{name}::FLOAT"
    if column.type == TIMESTAMP:
        return f"{timestamp_number(name)}::FLOAT"
    within = f"greatest(least({name}, {MAX_FLOAT!r}), -{MAX_FLOAT!r})::FLOAT"
    return f"CASE WHEN isfinite({name}) THEN {within} ELSE {name}::FLOAT END"


def _without_infinity(part: dict[str, Any]) -> dict[str, Any]:
    return part | {key: None for key in ("min", "max") if part[key] in (float("inf"), float("-inf"))}


def _edges(connection: duckdb.DuckDBPyConnection, column: Column, rows: int) -> list[float]:
    name = quote_column(column.name)
    value, stride = _narrow(column), max(1, rows // QUANTILE_SAMPLE)
    points = ", ".join(f"{place / BINS}" for place in range(BINS + 1))
    found = connection.execute(
        f"SELECT quantile_disc({value}, [{points}]) FROM joined "
        f'WHERE "#split" = \'train\' AND {name} IS NOT NULL AND isfinite({value}) AND "#row" % {stride} = 0'
    ).fetchone()
    if found is None or found[0] is None:
        return []
    edges = sorted({float(edge) for edge in found[0]})
    return edges if len(edges) > 1 else edges * 2


def _conditions(value: str, edges: list[float]) -> list[str]:
    if not edges:
        return ["false", "false"]
    points = [f"{edge!r}::FLOAT" for edge in edges]
    bins = [f"{value} >= {low} AND {value} < {high}" for low, high in itertools.pairwise(points)]
    bins[-1] = f"{value} >= {points[-2]} AND {value} <= {points[-1]}"
    return [f"{value} < {points[0]}", f"{value} > {points[-1]}", *bins]


def _texts(
    connection: duckdb.DuckDBPyConnection, column: Column, before: dict[str, Any] | None, rows: dict[str, int]
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
    parts = _common(connection, column, rows)
    for part in parts.values():
        del part["min"], part["max"]
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

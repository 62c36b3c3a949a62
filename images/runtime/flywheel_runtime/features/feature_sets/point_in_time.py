"""The rows of a training with the features that could be looked up at the time of each row."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb

from flywheel_runtime.contract.step import log_line
from flywheel_runtime.datasets.sql import count_rows, describe_columns, quote_identifier
from flywheel_runtime.datasets.types import SQL_TYPE, TIMESTAMP
from flywheel_runtime.features.feature_sets import aggregates, lookups
from flywheel_runtime.features.feature_sets.definition import Aggregate, ColumnType, Definition, Lookup, Missing
from flywheel_runtime.features.feature_sets.source_rows import SourceTable, microseconds_sql, value_sql

BASE, JOINED, NUMBERED = '"#base"', '"#joined"', '"#numbered"'


@dataclass(frozen=True)
class FeatureSource:
    """A definition, and the tables of its Datasets by name."""

    definition: Definition
    tables: Mapping[str, SourceTable]


@dataclass(frozen=True)
class Found:
    """The table `name` with a value in `column` for the number of each row."""

    name: str
    column: str
    feature: str
    missing: Missing


def join_features(connection: duckdb.DuckDBPyConnection, rows: str, source: FeatureSource) -> int:
    """Add a column to the table `rows` for each feature that is looked up. Its columns are those of the inputs, by their names.

    Returns the number of rows that are left out, since serving refuses such requests (`missing: Refuse`).
    """
    number = _number_rows(connection, rows)
    _create_base(connection, rows, number, source.definition)
    with look_up(connection, source) as found:
        return _add_columns(connection, rows, number, found)


@contextmanager
def look_up(connection: duckdb.DuckDBPyConnection, source: FeatureSource) -> Iterator[Sequence[Found]]:
    """What is found for the rows of the table BASE: their numbers `row`, their times `micros`, and their inputs `i0`, `i1`, … as keys
    are compared, of which those that no key names may be absent. BASE and the tables of what is found go with the block."""
    found: list[Found] = []
    for place, aggregate in enumerate(source.definition.aggregates):
        found.append(_find_aggregate(connection, f'"#aggregate {place}"', aggregate, source))
    for place, lookup in enumerate(source.definition.lookups):
        found += _find_lookup(connection, f'"#lookup {place}"', lookup, source)
    yield found
    for name in {BASE, *(each.name for each in found)}:
        connection.execute(f"DROP TABLE {name}")


def _number_rows(connection: duckdb.DuckDBPyConnection, rows: str) -> str:
    """Add a column with the number of each row, and return its name in SQL. DuckDB's own `rowid` may be the name of a user's column."""
    name, taken = "#row", {each.lower() for each in describe_columns(connection, rows)}
    while name in taken:
        name += "#"
    numbered = f"SELECT row_number() OVER () AS {quote_identifier(name)}, * FROM {rows}"
    connection.execute(
        f"CREATE TABLE {NUMBERED} AS {numbered}; DROP TABLE {rows}; ALTER TABLE {NUMBERED} RENAME TO {rows}"
    )
    return quote_identifier(name)


def _create_base(connection: duckdb.DuckDBPyConnection, rows: str, number: str, definition: Definition) -> None:
    """The number of each row, its time `micros`, and its inputs `i0`, `i1`, … as keys are compared."""
    inputs = [
        f"{value_sql(quote_identifier(each.name), each.type)} AS i{place}"
        for place, each in enumerate(definition.inputs)
    ]
    time = microseconds_sql(quote_identifier(definition.event_time))
    connection.execute(
        f"CREATE TABLE {BASE} AS SELECT {number} AS row, {time} AS micros, {', '.join(inputs)} FROM {rows}"
    )


def _find_aggregate(
    connection: duckdb.DuckDBPyConnection, name: str, aggregate: Aggregate, source: FeatureSource
) -> Found:
    keys = _input_columns(aggregate.key, source.definition)
    asked = {**keys, "ends": aggregates.end_bucket_sql(aggregate, "base.micros")}
    with _table(connection, "asked", _asked_sql(asked)):
        parts = aggregates.parts_sql(aggregate, source.tables[aggregate.from_.dataset], "asked")
        with _table(connection, "parts", parts):
            values = aggregates.values_sql(aggregate, "asked", "parts")
            value = {"value": _typed_sql("found.value", aggregate.type, aggregate.missing)}
            _create_found(connection, name, asked, values, value)
    return Found(name, "value", aggregate.name, aggregate.missing)


def _find_lookup(
    connection: duckdb.DuckDBPyConnection, name: str, lookup: Lookup, source: FeatureSource
) -> Iterator[Found]:
    asked = {**_input_columns(lookup.key, source.definition), "micros": "base.micros"}
    with _table(connection, "asked", _asked_sql(asked)):
        values = lookups.values_sql(lookup, "asked", source.tables[lookup.from_.dataset])
        columns = {
            f"v{place}": _typed_sql(f"found.v{place}", column_type, lookup.missing)
            for place, column_type in enumerate(lookup.types)
        }
        _create_found(connection, name, asked, values, columns)
    return (Found(name, f"v{place}", feature, lookup.missing) for place, feature in enumerate(lookup.features))


def _input_columns(key: Mapping[str, str], definition: Definition) -> dict[str, str]:
    """`k0`, `k1`, … with the columns of the inputs that they are compared with."""
    places = {each.name: place for place, each in enumerate(definition.inputs)}
    return {f"k{number}": f"base.i{places[given]}" for number, given in enumerate(key.values())}


def _asked_sql(asked: Mapping[str, str]) -> str:
    """SQL for what rows ask for, each once: without NULL, which no key equals."""
    columns = ", ".join(f"{value} AS {name}" for name, value in asked.items())
    known = " AND ".join(f"{name} IS NOT NULL" for name in asked)
    return f"SELECT DISTINCT * FROM (SELECT {columns} FROM {BASE} AS base) AS named WHERE {known}"


def _create_found(
    connection: duckdb.DuckDBPyConnection, name: str, asked: Mapping[str, str], values: str, columns: Mapping[str, str]
) -> None:
    same = " AND ".join(f"found.{column} = {value}" for column, value in asked.items())
    named = ", ".join(f"{value} AS {column}" for column, value in columns.items())
    query = f"SELECT base.row, {named} FROM {BASE} AS base LEFT JOIN ({values}) AS found ON {same}"
    connection.execute(f"CREATE TABLE {name} AS {query}")


def _typed_sql(value: str, column_type: ColumnType, missing: Missing) -> str:
    """SQL for a value in DuckDB's type of a column; a sum beyond that type is NULL."""
    if column_type == TIMESTAMP:
        return f"make_timestamp({value})"
    typed = f"TRY_CAST({value} AS {SQL_TYPE[column_type]})"
    if column_type == "Float":
        typed = f"CASE WHEN isfinite({typed}) THEN {typed} END"
    return f"coalesce({typed}, 0)" if missing == "Zero" else typed


def _add_columns(connection: duckdb.DuckDBPyConnection, rows: str, number: str, found: Sequence[Found]) -> int:
    """Replace `rows` by a table with the columns found in place of the number, and return how many rows are left out."""
    before = count_rows(connection, rows)
    added = [f"{each.name}.{each.column} AS {quote_identifier(each.feature)}" for each in found]
    joins = [f"JOIN {name} ON {name}.row = rows.{number}" for name in dict.fromkeys(each.name for each in found)]
    known = [f"{each.name}.{each.column} IS NOT NULL" for each in found if each.missing == "Refuse"]
    where = f"WHERE {' AND '.join(known)}" if known else ""
    selected = ", ".join([f"rows.* EXCLUDE ({number})", *added])
    connection.execute(f"CREATE TABLE {JOINED} AS SELECT {selected} FROM {rows} AS rows {' '.join(joins)} {where}")
    for each in found:
        missing = count_rows(connection, f"{JOINED} WHERE {quote_identifier(each.feature)} IS NULL")
        log_line(f"{each.feature} has no value for {missing:,} of {before:,} rows")
    connection.execute(f"DROP TABLE {rows}; ALTER TABLE {JOINED} RENAME TO {rows}")
    return before - count_rows(connection, rows)


@contextmanager
def _table(connection: duckdb.DuckDBPyConnection, name: str, query: str) -> Iterator[None]:
    connection.execute(f"CREATE TEMP TABLE {name} AS {query}")
    yield
    connection.execute(f"DROP TABLE {name}")

"""What a FeatureSet is asked with, from cells of any format: as a Dataset would have them, and so as training compared them."""

from collections.abc import Mapping
from dataclasses import replace

import duckdb

from flywheel_runtime.commands.batch.inference.cells import Cell, Wrong, explain, is_missing_sql, value_sql
from flywheel_runtime.datasets.types import SQL_TYPE, TIMESTAMP
from flywheel_runtime.features.feature_sets.definition import ColumnType
from flywheel_runtime.features.feature_sets.source_rows import MAX_EXACT_MICROSECONDS

# By which of the protocol's datatypes a cell is read.
DATATYPE: Mapping[ColumnType, str] = {"String": "BYTES", "Integer": "INT64", "Boolean": "BOOL", "Timestamp": "FP64"}


def input_sql(cell: Cell, kind: ColumnType) -> str:
    """SQL for the value of an input in DuckDB's type of a column, NULL where there is none; of a time it is microseconds as a DOUBLE."""
    value = value_sql(_as_input(cell, kind), DATATYPE[kind])
    if kind == TIMESTAMP:
        return value
    return f"nullif({value}, '')" if kind == "String" else f"({value})::{SQL_TYPE[kind]}"


def whole_microseconds_sql(micros: str) -> str:
    """SQL for a time in whole microseconds since 1970 (UTC), NULL for one that a request could not bring exactly."""
    return f"CASE WHEN abs({micros}) <= {MAX_EXACT_MICROSECONDS} THEN floor({micros})::BIGINT END"


def find_wrong(connection: duckdb.DuckDBPyConnection, table: str, cell: Cell, kind: ColumnType) -> Wrong:
    """What is wrong with which cells of a table: those with something that is no value of the type."""
    read, datatype = _as_input(cell, kind), DATATYPE[kind]
    is_wrong = f"({value_sql(read, datatype)}) IS NULL AND NOT {is_missing_sql(read, datatype)}"
    places = connection.execute(f"SELECT rowid AS place FROM {table} WHERE {is_wrong}").fetchnumpy()["place"]
    return explain(connection, table, read, datatype, places) if len(places) else {}


def _as_input(cell: Cell, kind: ColumnType) -> Cell:
    return replace(cell, is_timestamp=kind == TIMESTAMP)

"""Load Parquet, whose columns state their types."""

from contextlib import AbstractContextManager

import duckdb

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.datasets.formats import SourceFile, check_same_columns
from flywheel_runtime.datasets.sql import (
    PARQUET_ERRORS,
    describe_columns,
    describe_raw,
    prefix_columns,
    quote_literal,
    translate_errors,
)

TYPE_OF_PREFIX = {
    "TINYINT": "Integer",
    "SMALLINT": "Integer",
    "INTEGER": "Integer",
    "BIGINT": "Integer",
    "HUGEINT": "Integer",
    "UTINYINT": "Integer",
    "USMALLINT": "Integer",
    "UINTEGER": "Integer",
    "UBIGINT": "Integer",
    "FLOAT": "Float",
    "DOUBLE": "Float",
    "DECIMAL": "Float",
    "BOOLEAN": "Boolean",
    "VARCHAR": "String",
    "ENUM": "String",
    "UUID": "String",
    "DATE": "Timestamp",
    "TIMESTAMP": "Timestamp",
}


def load_parquet(connection: duckdb.DuckDBPyConnection, files: list[SourceFile]) -> dict[str, str | None]:
    """Create `raw` from Parquet files that have the same columns."""
    expected = _describe(connection, files[0])
    for file in files[1:]:
        check_same_columns(file, _describe(connection, file), files[0], expected)
    names = ", ".join(quote_literal(str(file.path)) for file in files)
    with _translate_errors(*files[:3]):
        reader = prefix_columns(f"read_parquet([{names}], union_by_name = true)")
        connection.execute(f"CREATE TABLE raw AS FROM {reader}")
    return {name: column_type(name, kind) for name, kind in describe_raw(connection).items()}


def _describe(connection: duckdb.DuckDBPyConnection, file: SourceFile) -> dict[str, str]:
    with _translate_errors(file):
        return describe_columns(connection, f"read_parquet({quote_literal(str(file.path))})")


def _translate_errors(*files: SourceFile) -> AbstractContextManager[None]:
    def unreadable(finding: str) -> Failure:
        names = ", ".join(file.name for file in files)
        return Failure("UnreadableParquet", f"File '{names}' is not readable Parquet ({finding}); write it again.")

    return translate_errors(unreadable, *PARQUET_ERRORS)


def column_type(name: str, kind: str) -> str:
    """The Dataset's type for a type of DuckDB; `name` is the column's, for the message."""
    if not kind.endswith("]"):
        for prefix, found in TYPE_OF_PREFIX.items():
            if kind.startswith(prefix):
                return found
    message = (
        f"Column '{name}' holds {kind}, which is none of Integer, Float, String, Boolean, Timestamp; leave it out."
    )
    raise Failure("UnsupportedType", message)

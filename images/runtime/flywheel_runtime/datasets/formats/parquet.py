"""Load Parquet, whose columns state their types."""

import duckdb

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.datasets.source_file import SourceFile, check_same_columns
from flywheel_runtime.datasets.sql import describe_columns, quote_literal

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
    try:
        connection.execute(f"CREATE TABLE raw AS SELECT * FROM read_parquet([{names}], union_by_name = true)")
    except (duckdb.IOException, duckdb.InvalidInputException) as error:
        raise Failure("UnreadableParquet", _unreadable(", ".join(f.name for f in files[:3]), error)) from error
    return {name: column_type(name, kind) for name, kind in describe_columns(connection, "raw").items()}


def _describe(connection: duckdb.DuckDBPyConnection, file: SourceFile) -> dict[str, str]:
    try:
        return describe_columns(connection, f"read_parquet({quote_literal(str(file.path))})")
    except (duckdb.IOException, duckdb.InvalidInputException) as error:
        raise Failure("UnreadableParquet", _unreadable(file.name, error)) from error


def _unreadable(name: str, error: duckdb.Error) -> str:
    finding = str(error).splitlines()[0]
    return f"File '{name}' is not readable Parquet ({finding}); write it again."


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

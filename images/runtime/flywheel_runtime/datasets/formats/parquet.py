"""Load Parquet, whose columns state their types."""

import duckdb

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.datasets.source_file import SourceFile
from flywheel_runtime.datasets.sql import quote_literal

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
    expected: dict[str, str] | None = None
    for file in files:
        columns = _describe(connection, file)
        expected = expected if expected is not None else columns
        if columns.keys() != expected.keys():
            different = sorted(columns.keys() ^ expected.keys())
            message = (
                f"File '{file.name}' and file '{files[0].name}' have different columns ({', '.join(different[:5])}); "
                "all files of a folder need the same."
            )
            raise Failure("ColumnsDiffer", message)
    names = ", ".join(quote_literal(str(file.path)) for file in files)
    try:
        connection.execute(f"CREATE TABLE raw AS SELECT * FROM read_parquet([{names}], union_by_name = true)")
    except (duckdb.IOException, duckdb.InvalidInputException) as error:
        raise Failure("UnreadableParquet", _unreadable(", ".join(f.name for f in files[:3]), error)) from error
    described = connection.execute("DESCRIBE raw").fetchall()
    return {str(row[0]): column_type(str(row[0]), str(row[1])) for row in described}


def _describe(connection: duckdb.DuckDBPyConnection, file: SourceFile) -> dict[str, str]:
    try:
        rows = connection.execute(f"DESCRIBE SELECT * FROM read_parquet({quote_literal(str(file.path))})").fetchall()
    except (duckdb.IOException, duckdb.InvalidInputException) as error:
        raise Failure("UnreadableParquet", _unreadable(file.name, error)) from error
    return {str(row[0]): str(row[1]) for row in rows}


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

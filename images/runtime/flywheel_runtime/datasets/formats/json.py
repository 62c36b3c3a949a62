"""Load JSON lines: one object a line; types from all lines, not from a sample."""

import json
from functools import partial

import duckdb

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.datasets.formats import SourceFile
from flywheel_runtime.datasets.formats.parquet import column_type
from flywheel_runtime.datasets.sql import describe_raw, prefix_columns, quote_column, quote_literal, translate_errors

MAX_LINE_BYTES = 16 * 2**20


def load_json(connection: duckdb.DuckDBPyConnection, files: list[SourceFile]) -> dict[str, str | None]:
    """Create `raw` from JSON lines (also gzip); a key that a line does not have is a missing value."""
    for file in files:
        _check_first_line(file)
    names = ", ".join(quote_literal(str(file.path)) for file in files)
    with translate_errors(partial(_find_cause, files), duckdb.Error):
        reader = prefix_columns(
            f"read_json([{names}], format = 'newline_delimited', records = true, sample_size = -1, "
            "maximum_depth = 2, union_by_name = true, compression = 'auto_detect', "
            f"maximum_object_size = {MAX_LINE_BYTES})"
        )
        connection.execute(f"CREATE TABLE raw AS FROM {reader}")
    return {name: _json_type(connection, name, kind) for name, kind in describe_raw(connection).items()}


def _json_type(connection: duckdb.DuckDBPyConnection, name: str, kind: str) -> str | None:
    """The column's type. DuckDB calls a column JSON where its values disagree (1 and "a"): that is text."""
    if kind != "JSON":
        return column_type(name, kind)
    column = quote_column(name)
    nested = connection.execute(
        f"SELECT 1 FROM raw WHERE json_type({column}) IN ('OBJECT', 'ARRAY') LIMIT 1"
    ).fetchone()
    if nested:
        return column_type(name, "nested values")
    connection.execute(f"ALTER TABLE raw ALTER {column} TYPE VARCHAR USING {column} ->> '$'")
    return None


def _check_first_line(file: SourceFile) -> None:
    with file.open() as stream:
        start = stream.read(4096).lstrip()
    if not start:
        raise Failure("NoRows", f"File '{file.name}' has only blank lines; write rows or remove it.")
    if start[:1] != b"{":
        message = f"Line 1 of file '{file.name}' is not a JSON object; JSONL needs one object {{…}} on every line."
        raise Failure("BrokenJSONL", message)


def _find_cause(files: list[SourceFile], finding: str) -> Failure:
    for file in files:
        with file.open() as stream:
            for number, line in enumerate(stream, start=1):
                if fault := _fault(line):
                    message = f"Line {number} of file '{file.name}' {fault}; write one JSON object on every line."
                    return Failure("BrokenJSONL", message)
    return Failure("BrokenJSONL", f"The JSON lines cannot be read ({finding}); write them again.")


def _fault(line: bytes) -> str | None:
    if not line.strip():
        return None
    try:
        value = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return f"is not UTF-8 (byte {error.start + 1} of the line)"
    except json.JSONDecodeError as error:
        return f"is not JSON ({error.msg} at character {error.pos + 1})"
    return None if isinstance(value, dict) else "is not a JSON object"

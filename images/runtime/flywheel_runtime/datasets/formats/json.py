"""JSON lines: one object a line; types from all lines, not from a sample."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import duckdb

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.datasets.formats import SourceFile, TableForm, check_same_columns
from flywheel_runtime.datasets.formats.column_names import (
    check_names,
    doubled_folders,
    find_same,
    folder_differs,
    given_folders,
    read_folders,
)
from flywheel_runtime.datasets.formats.csv import differs_from_folder, select_folders
from flywheel_runtime.datasets.formats.parquet import unsupported_type
from flywheel_runtime.datasets.formats.signatures import check_text
from flywheel_runtime.datasets.formats.text_records import BYTE_ORDER_MARK
from flywheel_runtime.datasets.sql import quote_column, quote_identifier, quote_literal, translate_errors
from flywheel_runtime.datasets.types import parse_text

MAX_LINE_BYTES = 16 * 2**20
WHOLE_NUMBERS = {
    "BIGINT",
    "UBIGINT",
    "BEYOND",
}  # a column of these is Integer, and the check says which are out of range
NUMBERS = {*WHOLE_NUMBERS, "DOUBLE"}
COLUMNS_PER_QUERY = 20


def load_json(connection: duckdb.DuckDBPyConnection, files: list[SourceFile], form: TableForm) -> dict[str, str | None]:
    """Create `raw` from JSON lines (also gzip), every value as text; a key that a line does not have is a missing value."""
    for file in files:
        _check_first_line(file)
    with translate_errors(partial(_find_cause, files), duckdb.Error):
        keys = _read_keys(connection, files, form)
        folders = {file: given_folders(file.name, keys, form.ignored) for file in files}
        for number, file in enumerate(files):
            check_same_columns(file, [*keys, *folders[file]], files[0], [*keys, *folders[files[0]]])
            create = "INSERT INTO raw BY NAME" if number else "CREATE TABLE raw AS"
            connection.execute(f"{create} {select_json(file.path, keys, form, file.name)}")
            _check_folders(connection, file, keys, form)
    types = _find_types(connection, keys)
    texts = [f"{json_text(quote_column(name))} AS {quote_column(name)}" for name in keys]
    texts += [quote_column(name) for name in folders[files[0]]]
    connection.execute(f"CREATE OR REPLACE TABLE raw AS SELECT {', '.join(texts)} FROM raw")
    return {**types, **dict.fromkeys(folders[files[0]])}


def json_text(value: str) -> str:
    """SQL for a JSON value as text: a string without its quotes, anything else as JSON writes it, NULL for null."""
    return f"{value} ->> '$'"


def select_json(path: Path, keys: Sequence[str], form: TableForm, name: str, own: Sequence[str] | None = None) -> str:
    """SQL for the lines in `path`, a JSON value in each column; `name` is the path of its file below the source, and `own` are all
    its keys, where `keys` are only those that are wanted."""
    declared = ", ".join(f"{quote_literal(key)}: 'JSON'" for key in keys)
    # Of one column, and lines without it, DuckDB would take each line for the column's value unless it is told that lines are records.
    reader = f"read_json({quote_literal(str(path))}, columns = {{{declared}}}, records = true, {_options()})"
    cells = [f"{quote_identifier(key)} AS {quote_column(key)}" for key in keys]
    return (
        f"SELECT {', '.join([*cells, *select_folders(given_folders(name, own or keys, form.ignored))])} FROM {reader}"
    )


def read_keys(
    connection: duckdb.DuckDBPyConnection, path: Path, name: str, form: TableForm, *, skip_broken: bool = False
) -> list[str]:
    """The keys of all lines in the order in which they come, without those that are ignored.

    Raises:
        Failure: RepeatedColumn, HeaderInvalid where a key is empty, or BrokenJSONL where a line is no object.
    """
    reader = (
        f"read_ndjson_objects({quote_literal(str(path))}, {_options()}, ignore_errors = {str(skip_broken).lower()})"
    )
    found = connection.execute(
        f"SELECT json_keys(json) AS keys, min(row), bool_or(json_type(json) <> 'OBJECT') FROM "
        f"(SELECT json, row_number() OVER () AS row FROM {reader}) GROUP BY keys ORDER BY 2"
    ).fetchall()
    if not skip_broken and any(is_other for _, _, is_other in found):
        raise duckdb.InvalidInputException("a line is not a JSON object")
    for keys, _, _ in found:
        check_names(name, keys or [], form.ignored)
        form.note_columns(keys or [])
    form.note_columns(read_folders(name))
    return list(dict.fromkeys(key for keys, _, _ in found for key in keys or [] if key not in form.ignored))


def _read_keys(connection: duckdb.DuckDBPyConnection, files: list[SourceFile], form: TableForm) -> list[str]:
    """The keys of all files. A line need not have all keys, so files need not, either."""
    found: dict[str, None] = {}
    for file in files:
        for key in read_keys(connection, file.path, file.name, form):
            other = find_same(key, found)
            if other not in (None, key):
                check_names(file.name, [str(other), key], form.ignored)
            found[key] = None
    return list(found)


def _options() -> str:
    # What the folders give is our own rule (column_names).
    return f"hive_partitioning = false, format = 'newline_delimited', maximum_object_size = {MAX_LINE_BYTES}, compression = 'auto_detect'"


def _check_folders(
    connection: duckdb.DuckDBPyConnection, file: SourceFile, keys: Sequence[str], form: TableForm
) -> None:
    for name, value in doubled_folders(file.name, keys).items():
        rows = select_json(file.path, keys, form, file.name)
        text = f"SELECT {json_text(quote_column(name))} AS {quote_column(name)} FROM ({rows})"
        differs = f"SELECT 1 FROM ({text}) WHERE {differs_from_folder(name, value)} LIMIT 1"
        if connection.execute(differs).fetchone():
            raise folder_differs(file.name, name, value)


def _find_types(connection: duckdb.DuckDBPyConnection, keys: Sequence[str]) -> dict[str, str | None]:
    """The types of the JSON columns of `raw`. None where values of several types make text."""
    found: dict[str, str | None] = {}
    for start in range(0, len(keys), COLUMNS_PER_QUERY):
        part = keys[start : start + COLUMNS_PER_QUERY]
        counted = ", ".join(
            f"list(DISTINCT {_value_type(name)}), count_if(json_type({quote_column(name)}) = 'VARCHAR' AND "
            f"({parse_text(json_text(quote_column(name)), 'Timestamp')}) IS NULL)"
            for name in part
        )
        row = connection.execute(f"SELECT {counted} FROM raw").fetchone() or ()
        for name, kinds, no_times in zip(part, row[0::2], row[1::2], strict=True):
            found[name] = _column_type(name, frozenset(kinds or ()) - {"NULL"}, is_time=not no_times)
    return found


def _value_type(name: str) -> str:
    """SQL for the type of a JSON value. DuckDB takes a whole number beyond 64 bits for a DOUBLE, which has not all of its digits."""
    column = quote_column(name)
    is_whole = f"regexp_full_match({json_text(column)}, '-?[0-9]+')"
    return f"CASE WHEN json_type({column}) = 'DOUBLE' AND {is_whole} THEN 'BEYOND' ELSE json_type({column}) END"


def _column_type(name: str, kinds: frozenset[str], *, is_time: bool) -> str | None:
    if kinds & {"ARRAY", "OBJECT"}:
        raise unsupported_type(name, "nested values")
    if kinds == {"VARCHAR"}:
        return None if is_time else "String"  # a time is read as text is, for its zone
    if kinds and kinds <= NUMBERS:
        return "Integer" if kinds <= WHOLE_NUMBERS else "Float"
    return "Boolean" if kinds == {"BOOLEAN"} else None


def _check_first_line(file: SourceFile) -> None:
    with file.open() as stream:
        start = stream.read(4096)
    check_text(start, file.name)
    start = start.removeprefix(BYTE_ORDER_MARK).lstrip()
    if not start:
        raise Failure("NoRows", f"File '{file.name}' has only blank lines; write rows or remove it.")
    if start[:1] == b"[":
        message = f"Line 1 of file '{file.name}' begins a JSON array; write one object {{…}} on every line, for example with jq -c '.[]'."
        raise Failure("BrokenJSONL", message)
    if start[:1] != b"{":
        message = f"Line 1 of file '{file.name}' is not a JSON object; JSONL needs one object {{…}} on every line."
        raise Failure("BrokenJSONL", message)


def _find_cause(files: list[SourceFile], finding: str) -> Failure:
    for file in files:
        with file.open() as stream:
            for number, line in enumerate(stream, start=1):
                if fault := find_fault(line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line):
                    message = f"Line {number} of file '{file.name}' {fault}; write one JSON object on every line."
                    return Failure("BrokenJSONL", message)
    return Failure("BrokenJSONL", f"The JSON lines cannot be read ({finding}); write them again.")


def find_fault(line: bytes) -> str | None:
    """What is wrong with a line of JSON, by Python's reader; None for a blank one."""
    if not line.strip():
        return None
    try:
        value = json.loads(line.decode("utf-8"))
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        return f"is not UTF-8 (byte {error.start + 1} of the line)"
    except UnicodeEncodeError as error:
        half = ord(str(error.object)[error.start])
        return f"has the half of a character, \\u{half:04x}, as text has that was cut between the two halves"
    except json.JSONDecodeError as error:
        return f"is not JSON ({error.msg} at character {error.pos + 1})"
    except RecursionError:
        return "is not JSON that we read (it nests too deeply)"
    return None if isinstance(value, dict) else "is not a JSON object"

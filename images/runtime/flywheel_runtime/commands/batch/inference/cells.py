"""The cells of one column as an array of a tensor's datatype, and what is wrong with which of them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import duckdb
import numpy as np

from flywheel_runtime.commands.batch.inference.client import DATATYPES, Array
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.datasets.formats.dialect import CsvOptions
from flywheel_runtime.datasets.formats.parquet import UNTYPED, column_type
from flywheel_runtime.datasets.types import (
    TIMESTAMP,
    WHOLE,
    matches_number,
    parse_text,
    plain_number,
    present_text,
    timestamp_number,
)

MAX_SHOWN_CHARACTERS = 60
WHOLE_TEXT = re.compile(r"[+-]?[0-9]+")
Wrong = dict[int, str]


@dataclass(frozen=True)
class Cell:
    """SQL for a column's cells, and what they are: JSON, a type of DuckDB (`sql_type`), or text as `form` reads it.

    `is_timestamp`: the model takes microseconds since 1970.
    """

    sql: str
    sql_type: str | None = None
    is_json: bool = False
    form: CsvOptions = field(default_factory=CsvOptions)
    is_timestamp: bool = False

    @property
    def text(self) -> str:
        """SQL for the cell as text."""
        return f"({self.sql} ->> '$')" if self.is_json else f"{self.sql}::VARCHAR"

    @property
    def kind(self) -> str | None:
        """The Dataset's type of the column, None for text that is still to be read, "" for what is no type of a Dataset."""
        if self.sql_type is None or self.sql_type in UNTYPED:
            return None
        try:
            return column_type("", self.sql_type)
        except Failure:
            return ""


def read_values(connection: duckdb.DuckDBPyConnection, table: str, cell: Cell, datatype: str) -> tuple[Array, Wrong]:
    """The array (rows,), and what is wrong at which positions, where the array holds anything."""
    fast = _fast_value(cell, datatype)
    found = np.ma.asarray(connection.execute(f"SELECT {fast} AS v FROM {table}").fetchnumpy()["v"])
    lost = np.flatnonzero(np.ma.getmaskarray(found))
    array = _fill(found, datatype)
    wrong: Wrong = {}
    if lost.size:
        # The rest by itself: in one query DuckDB would compute what both share for every row.
        values, is_missing = _read_rest(connection, table, cell, datatype, fast)
        array[lost] = _fill(values, datatype)
        none = np.ma.getmaskarray(values)
        may_miss = datatype == "BYTES" or DATATYPES[datatype].numpy.kind == "f"
        places = lost[none & ~is_missing] if may_miss else lost[none]
        wrong = explain(connection, table, cell, datatype, places) if len(places) else {}
    if DATATYPES[datatype].numpy.kind != "f":
        return array, wrong
    narrow, wrong = _narrow(array, datatype, wrong)
    return narrow, wrong | _find_inexact(connection, table, cell, narrow, datatype)


def is_plain_number(cell: Cell, datatype: str) -> bool:
    """Whether DuckDB has the column as numbers, and the tensor's are reals: then every cell is a number or missing."""
    is_real = DATATYPES[datatype].numpy.kind == "f"
    return is_real and not cell.is_timestamp and cell.kind in ("Integer", "Float", "Boolean")


def read_numbers(
    connection: duckdb.DuckDBPyConnection, table: str, columns: Sequence[tuple[Cell, str]]
) -> dict[tuple[Cell, str], tuple[Array, Wrong]]:
    """What `read_values` finds, of columns of plain numbers with their datatypes, in one query."""
    if not columns:
        return {}
    numbers = [cell.sql if cell.sql_type == "FLOAT" else f"{cell.sql}::DOUBLE" for cell, _ in columns]
    query = ", ".join(f"{number} AS n{at}" for at, number in enumerate(numbers))
    found = connection.execute(f"SELECT {query} FROM {table}").fetchnumpy()
    values: dict[tuple[Cell, str], tuple[Array, Wrong]] = {}
    for at, (cell, datatype) in enumerate(columns):
        narrow, wrong = _narrow(np.ma.filled(np.ma.asarray(found[f"n{at}"]), np.nan), datatype, {})
        values[cell, datatype] = narrow, wrong | _find_inexact(connection, table, cell, narrow, datatype)
    return values


def _find_inexact(connection: duckdb.DuckDBPyConnection, table: str, cell: Cell, found: Array, datatype: str) -> Wrong:
    """Whole numbers, written as such, that the datatype would change: the server refuses them too."""
    if cell.kind not in (None, "Integer", "String"):
        return {}
    last_exact = 2 ** (np.finfo(found.dtype).nmant + 1)
    places = np.flatnonzero(np.isfinite(found) & (np.abs(found) >= last_exact))
    if not places.size:
        return {}
    texts = _objects(connection.execute(f"SELECT trim({cell.text}) AS t FROM {table}").fetchnumpy()["t"])
    return {
        int(at): f"the value {texts[at]} cannot be represented in {datatype}"
        for at in places.tolist()
        if WHOLE_TEXT.fullmatch(texts[at]) and int(texts[at]) != int(found[at])
    }


def _read_rest(
    connection: duckdb.DuckDBPyConnection, table: str, cell: Cell, datatype: str, fast: str
) -> tuple[Any, Array]:
    """The values (masked where there is none) of the rows that `fast` has none for, and whether they are missing."""
    query = f"SELECT {value_sql(cell, datatype)} AS v, {is_missing_sql(cell, datatype)} AS m FROM {table} WHERE ({fast}) IS NULL"
    found = connection.execute(query).fetchnumpy()
    return np.ma.asarray(found["v"]), np.ma.filled(np.ma.asarray(found["m"]), True).astype(bool)


def _fast_value(cell: Cell, datatype: str) -> str:
    """SQL that agrees with `value_sql` wherever it has a value, and costs less."""
    is_usual = cell.form.decimal == "." and cell.form.thousands is None and not cell.form.missing
    if DATATYPES[datatype].numpy.kind != "f" or cell.kind is not None or not is_usual:
        return value_sql(cell, datatype)
    number = f"TRY_CAST({cell.text} AS DOUBLE)"
    # DuckDB's cast takes no text for a finite number that is none, but for 1_000.
    return f"CASE WHEN isfinite({number}) AND NOT contains({cell.text}, '_') THEN {number} END"


def _narrow(wide: Array, datatype: str, wrong: Wrong) -> tuple[Array, Wrong]:
    dtype = DATATYPES[datatype].numpy
    with np.errstate(over="ignore"):
        narrow: Array = wide.astype(dtype, copy=False)
    if dtype.itemsize >= wide.dtype.itemsize:
        return narrow, wrong
    for at in np.flatnonzero(np.isfinite(wide) & ~np.isfinite(narrow)).tolist():
        wrong[at] = f"{wide[at]} does not fit FP{8 * dtype.itemsize}"
    return narrow, wrong


def _fill(values: Any, datatype: str) -> Array:
    """Missing numbers are NaN, missing text is empty, and any other missing value is 0."""
    dtype = DATATYPES[datatype].numpy
    if datatype == "BYTES":
        return np.ma.filled(np.ma.asarray(values, object), "")
    if dtype.kind == "f":
        return np.ma.filled(np.ma.asarray(values, np.float64), np.nan)
    return np.ma.filled(np.ma.asarray(values), 0).astype(dtype)


def is_missing_sql(cell: Cell, datatype: str) -> str:
    if datatype == "BYTES" or cell.kind not in (None, "String"):
        is_nan = f" OR isnan({cell.sql})" if cell.kind == "Float" and str(cell.sql_type) in ("FLOAT", "DOUBLE") else ""
        is_infinite = f" OR NOT isfinite({cell.sql})" if cell.kind == TIMESTAMP and datatype != "BYTES" else ""
        return f"coalesce({cell.sql} IS NULL{is_nan}{is_infinite}, true)"
    return f"({present_text(cell.text, cell.form)}) IS NULL"


def value_sql(cell: Cell, datatype: str) -> str:
    """SQL for the value, NULL where it is missing or none."""
    kind, dtype = cell.kind, DATATYPES[datatype].numpy
    if kind == "" or (kind == TIMESTAMP and datatype != "BYTES" and not cell.is_timestamp):
        return "NULL::BLOB" if datatype == "BYTES" else "NULL::DOUBLE"
    if datatype == "BYTES":
        return _text(cell)
    if dtype.kind == "b":
        return cell.sql if kind == "Boolean" else parse_text(cell.text, "Boolean", cell.form)
    if dtype.kind == "f":
        return _timestamp(cell) if cell.is_timestamp else _number(cell)
    return _whole_number(cell, datatype)


def _text(cell: Cell) -> str:
    text = parse_text(cell.text, "String", cell.form) if cell.kind is None else cell.text
    if not cell.is_json:
        return f"coalesce({text}, '')"
    return f"CASE WHEN json_type({cell.sql}) NOT IN ('ARRAY', 'OBJECT') THEN coalesce({text}, '') END"


def _number(cell: Cell) -> str:
    if cell.kind in ("Integer", "Float", "Boolean"):
        number = f"{cell.sql}::DOUBLE"
        return f"CASE WHEN isnan({number}) THEN NULL ELSE {number} END"
    truth = f"CASE lower({present_text(cell.text, cell.form)}) {_cases('double')} END"
    return f"coalesce({parse_text(cell.text, 'Float', cell.form)}, {truth})"


def _timestamp(cell: Cell) -> str:
    """SQL for a time, date or number as microseconds since 1970; the server reads the same texts."""
    if cell.kind == TIMESTAMP:
        return timestamp_number(cell.sql)
    if cell.kind == "Boolean":
        return "NULL::DOUBLE"
    if cell.kind is None or cell.kind == "String":
        text = timestamp_number(f"({parse_text(cell.text, TIMESTAMP, cell.form)})")
        return f"coalesce({text}, {parse_text(cell.text, 'Float', cell.form)})"
    return _number(cell)


def _cases(kind: str) -> str:
    """The words of a Boolean that are no numbers."""
    return " ".join(
        f"WHEN '{word}' THEN {value}::{kind}"
        for words, value in ((("true", "t", "yes"), 1), (("false", "f", "no"), 0))
        for word in words
    )


def _whole_number(cell: Cell, datatype: str) -> str:
    """SQL for a whole number between the limits of the datatype."""
    limits = np.iinfo(DATATYPES[datatype].numpy.name)
    if cell.kind in ("Integer", "Boolean"):
        number = f"TRY_CAST({cell.sql} AS HUGEINT)"
    else:
        value = f"({present_text(cell.text, cell.form)})"
        whole = f"split_part({plain_number(value, cell.form)}, '.', 1)"
        parsed = f"CASE WHEN {matches_number(value, WHOLE, cell.form)} THEN TRY_CAST({whole} AS HUGEINT) END"
        number = f"coalesce({parsed}, CASE lower({value}) {_cases('HUGEINT')} END)"
    typed = DATATYPES[datatype].sql
    return f"TRY_CAST(CASE WHEN {number} BETWEEN {limits.min}::HUGEINT AND {limits.max}::HUGEINT THEN {number} END AS {typed})"


def explain(connection: duckdb.DuckDBPyConnection, table: str, cell: Cell, datatype: str, places: Array) -> Wrong:
    """What is wrong with the cells at these places."""
    shape = f"json_type({cell.sql})" if cell.is_json else "NULL::VARCHAR"
    listed = connection.execute(
        f"SELECT {cell.text} AS t, {shape} AS s, {is_missing_sql(cell, datatype)} AS m FROM {table}"
    ).fetchnumpy()
    texts, shapes, missing = (_objects(listed[name]) for name in ("t", "s", "m"))
    return {
        int(at): _fault(cell, datatype, texts[at], shapes[at], is_missing=bool(missing[at])) for at in places.tolist()
    }


def _objects(values: Any) -> Array:
    """Python's objects, None where there is no value."""
    return np.ma.filled(np.ma.asarray(values, object), None)


def _fault(cell: Cell, datatype: str, text: str | None, shape: str | None, *, is_missing: bool) -> str:
    is_list = shape == "ARRAY" or str(cell.sql_type).endswith("]")
    shown = "a list" if is_list else "an object" if shape == "OBJECT" else repr((text or "")[:MAX_SHOWN_CHARACTERS])
    if datatype == "BYTES":
        return f"{shown} is no text"
    kind = DATATYPES[datatype].numpy.kind
    if kind == "b":
        return f"{shown} is neither true nor false"
    if cell.is_timestamp:
        return f"{shown} is no timestamp; wanted RFC 3339 as 2024-01-31T09:30:00Z, or microseconds since 1970"
    if kind == "f":
        return f"{shown} is no number"
    if is_missing:
        return "the value is missing, and the model takes whole numbers alone"
    return _whole_number_fault(shown, text, datatype)


def _whole_number_fault(shown: str, text: str | None, datatype: str) -> str:
    try:
        number = float(text or "")
    except ValueError:
        return f"{shown} is no number"
    return f"{text} does not fit {datatype}" if number.is_integer() else f"{number} is no whole number"


def read_lists(
    connection: duckdb.DuckDBPyConnection, table: str, cell: Cell, datatype: str, width: int | None
) -> tuple[Array, Wrong]:
    """The array (rows, width) of a column of lists; `width` None is that of the first list."""
    is_list = cell.is_json or str(cell.sql_type).endswith("]")
    is_float = is_list and str(cell.sql_type).startswith(("FLOAT[", "DOUBLE["))
    element = "DOUBLE" if is_float else "VARCHAR"
    listed = f"TRY_CAST({cell.sql} AS {element}[])" if is_list else "NULL::VARCHAR[]"
    if width is None:
        row = connection.execute(
            f"SELECT len(l) FROM (SELECT {listed} AS l FROM {table}) WHERE l IS NOT NULL LIMIT 1"
        ).fetchone()
        width = int(row[0]) if row else 1
    flat = "chunk_lists"
    connection.execute(
        f"CREATE TEMP TABLE {flat} AS SELECT unnest(CASE WHEN len(l) = {width} THEN l ELSE list_resize([]::{element}[], {width}) END) AS v "
        f"FROM (SELECT {listed} AS l FROM {table})"
    )
    lengths = connection.execute(f"SELECT coalesce(len({listed}), -1) AS n FROM {table}").fetchnumpy()["n"]
    elements = replace(cell, sql="v", sql_type="DOUBLE" if is_float else None, is_json=False)
    array, found = read_values(connection, flat, elements, datatype)
    connection.execute(f"DROP TABLE {flat}")
    wrong = {int(at): f"wanted a list of {width} values" for at in np.flatnonzero(lengths != width)}
    for place, words in found.items():
        wrong.setdefault(place // width, words)
    return array.reshape(len(lengths), width), wrong

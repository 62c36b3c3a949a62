"""Cells become values as they did for the Dataset that the model was trained on, and what cannot is told by its position."""

import json
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from flywheel_runtime.commands.batch.inference.cells import Cell, read_lists, read_values
from flywheel_runtime.datasets.formats.dialect import CsvOptions
from flywheel_runtime.datasets.sql import connect

NOON = 1_706_702_400_000_000


def values(
    cells: list[Any],
    datatype: str,
    sql_type: str | None = None,
    form: CsvOptions | None = None,
    *,
    is_timestamp: bool = False,
) -> tuple[Any, dict[int, str]]:
    """The array of these cells: text of CSV, or of a type of DuckDB, or `json` values."""
    with connect(threads=1) as connection:
        is_json = sql_type == "json"
        connection.execute(f"CREATE TABLE t (c {'JSON' if is_json else sql_type or 'VARCHAR'})")
        given = [None if c is None else json.dumps(c) if is_json else c for c in cells]
        connection.executemany("INSERT INTO t VALUES (?)", [[each] for each in given])
        cell = Cell("c", None if is_json else sql_type, is_json, form or CsvOptions(), is_timestamp)
        if sql_type is not None and sql_type.endswith("[]"):
            return read_lists(connection, "t", cell, datatype, None)
        return read_values(connection, "t", cell, datatype)


@pytest.mark.parametrize(
    ("cells", "datatype", "sql_type", "expected"),
    [
        pytest.param(["1", "2.5", " 3 ", "-1e3"], "FP32", None, [1, 2.5, 3, -1000], id="text is numbers"),
        pytest.param([1, 2.5, True, "0.5"], "FP32", "json", [1, 2.5, 1, 0.5], id="values of JSON are numbers"),
        pytest.param([Decimal("1.5")], "FP64", "DECIMAL(9,2)", [1.5], id="a decimal number"),
        pytest.param([True, False], "FP32", "BOOLEAN", [1, 0], id="a Boolean is 0 or 1"),
        pytest.param(["true", "No", "yes", "f"], "FP32", None, [1, 0, 1, 0], id="the words of a Boolean, too"),
        pytest.param(["7", "8.0", " 9"], "INT64", None, [7, 8, 9], id="whole numbers"),
        pytest.param([str(2**60 + 1)], "INT64", None, [2**60 + 1], id="whole numbers beyond what a float holds"),
        pytest.param([2**63 + 1], "UINT64", "UBIGINT", [2**63 + 1], id="beyond 63 bits"),
        pytest.param(["yes", "false", "0"], "BOOL", None, [True, False, False], id="truth"),
        pytest.param(["NA", None, "Å", ""], "BYTES", None, ["NA", "", "Å", ""], id="text, where NA is a name"),
        pytest.param([7, "a", None], "BYTES", "json", ["7", "a", ""], id="a number among text is text"),
        pytest.param([[1.5, 2], [3, 4]], "FP32", "DOUBLE[]", [[1.5, 2], [3, 4]], id="lists"),
    ],
)
def test_what_cells_are(cells: list[Any], datatype: str, sql_type: str | None, expected: list[Any]) -> None:
    found, wrong = values(cells, datatype, sql_type)

    assert (found.tolist(), wrong) == (expected, {})


@pytest.mark.parametrize("cell", ["", "NA", "n/a", "null", "None", "nan", None, " "])
def test_what_is_missing_is_not_a_number(cell: Any) -> None:
    found, wrong = values([cell, "1"], "FP32")

    assert math.isnan(found[0])
    assert (float(found[1]), wrong) == (1.0, {})


def test_the_spec_says_how_numbers_are_written() -> None:
    form = CsvOptions(decimal=",", thousands=".", missing=("?",))

    found, wrong = values(["1.234,5", "0,5", "?", "7"], "FP64", form=form)

    assert np.array_equal(found, [1234.5, 0.5, math.nan, 7], equal_nan=True)
    assert wrong == {}


@pytest.mark.parametrize("cell", ["16777216", "16777217.0", "1e20", "33554432"])
def test_a_number_that_fp32_holds_or_that_is_no_whole_one_is_rounded(cell: str) -> None:
    found, wrong = values([cell], "FP32")

    assert (found[0], wrong) == (np.float32(float(cell)), {})


@pytest.mark.parametrize(
    ("cell", "datatype", "sql_type", "words"),
    [
        ("many", "FP32", None, "'many' is no number"),
        ("1_000", "FP32", None, "'1_000' is no number"),
        ("1e39", "FP32", None, "1e+39 does not fit FP32"),
        ("16777217", "FP32", None, "the value 16777217 cannot be represented in FP32"),
        (16777217, "FP32", "json", "the value 16777217 cannot be represented in FP32"),
        (16777217, "FP32", "BIGINT", "the value 16777217 cannot be represented in FP32"),
        ("9007199254740993", "FP64", None, "the value 9007199254740993 cannot be represented in FP64"),
        ([1], "FP32", "json", "a list is no number"),
        ({"a": 1}, "BYTES", "json", "an object is no text"),
        ("300", "UINT8", None, "300 does not fit UINT8"),
        ("1.5", "INT32", None, "1.5 is no whole number"),
        ("", "INT32", None, "the value is missing"),
        ("perhaps", "BOOL", None, "'perhaps' is neither true nor false"),
        (b"\xff", "BYTES", "BLOB", "is no text"),
        ([1.0], "FP32", "DOUBLE[]", "wanted a list of 2 values"),
    ],
)
def test_a_wrong_cell_is_told_and_the_others_stay(cell: Any, datatype: str, sql_type: str | None, words: str) -> None:
    others: dict[str, Any] = {"DOUBLE[]": [1.0, 2.0], "BLOB": b"a"}
    good = others.get(str(sql_type), "a" if datatype == "BYTES" else "1")

    found, wrong = values([good, cell, good], datatype, sql_type)

    assert words in wrong[1]
    assert np.array_equal(found[0], found[2])


@pytest.mark.parametrize(
    ("cells", "sql_type", "microseconds"),
    [
        pytest.param(["2024-01-31T12:00:00Z", "2024-01-31 13:00:00+01", "1706702400000000"], None, NOON, id="text"),
        pytest.param(["2024-01-31T12:00:00Z", 1706702400000000], "json", NOON, id="JSON"),
        pytest.param(["2024-01-31 12:00:00"], "TIMESTAMP", NOON, id="a timestamp"),
        pytest.param(["2024-01-31 12:00:00"], "TIMESTAMP_NS", NOON, id="of nanoseconds"),
        pytest.param(["2024-01-31 13:00:00+01"], "TIMESTAMP WITH TIME ZONE", NOON, id="with a zone"),
        pytest.param(["2024-01-31"], "DATE", NOON - 43_200_000_000, id="a date is midnight"),
        pytest.param([1706702400000000], "BIGINT", NOON, id="microseconds"),
        pytest.param(["2024-01-31T12:00:00Z"], "VARCHAR", NOON, id="text of Parquet"),
    ],
)
def test_a_timestamp_is_microseconds(cells: list[Any], sql_type: str | None, microseconds: int) -> None:
    found, wrong = values([*cells, None], "FP64", sql_type, is_timestamp=True)

    assert (found[:-1].tolist(), wrong) == ([microseconds] * len(cells), {})
    assert math.isnan(found[-1])


@pytest.mark.parametrize(
    ("cell", "sql_type"), [("soon", None), ("12:00:00", "TIME"), (True, "BOOLEAN"), (True, "json")]
)
def test_what_is_no_timestamp_is_told(cell: Any, sql_type: str | None) -> None:
    _, wrong = values([cell], "FP64", sql_type, is_timestamp=True)

    shown = str(cell).lower() if isinstance(cell, bool) else cell
    wanted = "wanted RFC 3339 as 2024-01-31T09:30:00Z, or microseconds since 1970"
    assert wrong == {0: f"'{shown}' is no timestamp; {wanted}"}


def test_a_time_without_end_is_missing() -> None:
    found, wrong = values(["infinity"], "FP64", "TIMESTAMP", is_timestamp=True)

    assert (math.isnan(found[0]), wrong) == (True, {})


def test_a_timestamp_is_no_number_for_another_model() -> None:
    assert values(["2024-01-31"], "FP64", "DATE")[1] == {0: "'2024-01-31' is no number"}

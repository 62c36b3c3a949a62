"""Cells become values as they do online, and what cannot is told by its position."""

import math
from decimal import Decimal
from typing import Any

import pytest

from flywheel_runtime.commands.batch.inference.model_inputs import values


@pytest.mark.parametrize(
    ("cells", "datatype", "expected"),
    [
        pytest.param(["1", "2.5", " 3 ", "-1e3"], "FP32", [1, 2.5, 3, -1000], id="text is numbers"),
        pytest.param([1, 2.5, True, Decimal("0.5")], "FP32", [1, 2.5, 1, 0.5], id="numbers are numbers"),
        pytest.param(["true", "False"], "FP32", [1, 0], id="a Boolean is 0 or 1"),
        pytest.param(["7", "8.0", 9, 10.0], "INT64", [7, 8, 9, 10], id="whole numbers"),
        pytest.param([str(2**60 + 1)], "INT64", [2**60 + 1], id="whole numbers beyond what a float holds"),
        pytest.param(["yes", False, "0"], "BOOL", [True, False, False], id="truth"),
        pytest.param(["NA", None, "Å"], "BYTES", ["NA", "", "Å"], id="text, where NA is a name"),
    ],
)
def test_what_cells_are(cells: list[Any], datatype: str, expected: list[Any]) -> None:
    found, wrong = values(cells, datatype)

    assert (found.tolist(), wrong) == (expected, {})


@pytest.mark.parametrize("cell", ["", "NA", "n/a", "null", "None", "nan", None, " "])
def test_what_is_missing_is_not_a_number(cell: Any) -> None:
    found, wrong = values([cell, "1"], "FP32")

    assert math.isnan(found[0])
    assert (float(found[1]), wrong) == (1.0, {})


@pytest.mark.parametrize(
    ("cell", "datatype", "words"),
    [
        ("many", "FP32", "'many' is no number"),
        ("1_000", "FP32", "'1_000' is no number"),
        ("1e39", "FP32", "1e+39 does not fit FP32"),
        (10**400, "FP64", "the number is too large"),
        ([1], "FP32", "a list is no number"),
        ("300", "UINT8", "300 does not fit UINT8"),
        ("1.5", "INT32", "1.5 is no whole number"),
        ("", "INT32", "the value is missing"),
        ("perhaps", "BOOL", "'perhaps' is neither true nor false"),
        (7, "BYTES", "'7' is no text"),
        ("\ud800", "BYTES", "the text holds half of a character"),
    ],
)
def test_a_wrong_cell_is_told_and_the_others_stay(cell: Any, datatype: str, words: str) -> None:
    good = {"BYTES": "a"}.get(datatype, "1")

    found, wrong = values([good, cell, good], datatype)

    assert list(wrong) == [1]
    assert words in wrong[1]
    assert found[0] == found[2]

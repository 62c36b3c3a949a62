"""Rows of predict become the tensors that the client meant, or are refused, in a bounded time."""

import time
from typing import Any

import orjson
import pytest

from flywheel_serving.errors import InvalidRequest, RequestTooLarge
from flywheel_serving.model.signature import Signature, TensorSpec
from flywheel_serving.rest.predict import row_bodies
from flywheel_serving.rest.predict.model_columns import ModelColumns

MAX_ROWS = 1000
OUTPUTS = (TensorSpec("y", "FP32", (-1, 1)),)
ONE = TensorSpec("x", "FP32", (-1, 1))
PAIR = TensorSpec("x", "FP32", (-1, 2))
INTEGER = TensorSpec("x", "INT64", (-1, 1))


def tensor(spec: TensorSpec, body: Any) -> list[Any]:
    """The tensor of the only input."""
    rows = row_bodies.read_csv(body, MAX_ROWS) if isinstance(body, bytes) else row_bodies.read_json(orjson.dumps(body))
    columns = ModelColumns(Signature((spec,), OUTPUTS))
    packed = columns.pack(rows)
    found: list[Any] = (packed[0] if packed else columns.tensors(rows, ""))["x"].tolist()
    return found


@pytest.mark.parametrize("body", [b",".join([b"a"] * 500_000) + b"\n1\n", b"a,b\n" + b"1,2\n" * 500_000])
def test_a_csv_of_any_shape_is_read_in_a_bounded_time(body: bytes) -> None:
    start = time.process_time()
    with pytest.raises((InvalidRequest, RequestTooLarge)):
        tensor(PAIR, body)
    assert time.process_time() - start < 2  # with a comparison of all pairs of names it took hours


@pytest.mark.parametrize("cells", [{"x_0": [1, 2], "x_1": [3, 4]}, {"x_0": [1, 2], "x_1": [3]}])
def test_a_list_is_no_cell_of_a_column(cells: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="column 'x_0': wanted one value in each row, found a list"):
        tensor(PAIR, {"rows": [cells]})


@pytest.mark.parametrize("instances", [[1, 2], [1, 2.0], [1, 2, None]])
def test_single_cells_may_have_several_types(instances: list[Any]) -> None:
    assert tensor(ONE, {"instances": instances})[:2] == [1.0, 2.0]


def test_a_row_of_an_input_of_any_rank_may_be_a_list() -> None:
    assert tensor(TensorSpec("x", "FP32", (-1,), any_rank=True), {"instances": [[1, 2]]}) == [[1.0, 2.0]]


@pytest.mark.parametrize(
    "body",
    [
        {"rows": [{"x": 9007199254740993}, {"x": 1}]},
        {"rows": [{"x": 9007199254740993}, {"x": 1.0}]},
        b"x\n9007199254740993\n1\n",
        b"x\n9007199254740993\n1.0\n",
    ],
)
def test_large_whole_numbers_are_exact_beside_decimals(body: Any) -> None:
    assert tensor(INTEGER, body) == [9007199254740993, 1]


@pytest.mark.parametrize(
    ("datatype", "whole"), [("FP32", 16777217), ("FP64", 9007199254740993), ("FP64", -9007199254740993)]
)
@pytest.mark.parametrize(
    "form",
    [
        pytest.param('{"rows": [{"x": 1}, {"x": %s}]}', id="packed"),
        pytest.param('{"rows": [{"x": null}, {"x": %s}]}', id="beside a missing value"),
        pytest.param('{"inputs": {"x": [1, %s]}}', id="by column"),
    ],
)
def test_a_whole_number_that_the_type_lacks_is_refused(datatype: str, whole: int, form: str) -> None:
    spec = TensorSpec("x", datatype, (-1, 1))

    for body in (orjson.loads(form % whole), f"x\n1\n{whole}\n".encode()):
        with pytest.raises(InvalidRequest, match=f"the value {whole} in row 1 cannot be represented in {datatype}"):
            tensor(spec, body)


def test_a_large_number_that_the_type_has_is_taken() -> None:
    assert tensor(PAIR, {"rows": [{"x_0": 16777216, "x_1": 1e30}]}) == [[16777216.0, pytest.approx(1e30)]]
    assert tensor(PAIR, {"instances": [[33554432, 16777217.0]]}) == [[33554432.0, 16777216.0]]


def test_a_text_of_a_csv_may_be_as_long_as_one_of_json() -> None:
    text = "word " * 100_000
    spec = TensorSpec("x", "BYTES", (-1, 1))

    assert tensor(spec, f'x\n"{text}"\n'.encode()) == tensor(spec, {"rows": [{"x": text}]}) == [text]


STAMP = TensorSpec("x", "FP64", (-1, 1), content="Timestamp")
NOON = 1_706_702_400_000_000.0


@pytest.mark.parametrize(
    "body",
    [
        {"rows": [{"x": "2024-01-31T12:00:00Z"}, {"x": None}]},
        {"rows": [{"x": "2024-01-31T13:00:00+01:00"}, {"x": None}]},
        {"rows": [{"x": int(NOON)}, {"x": None}]},
        {"dataframe_split": {"columns": ["x"], "data": [[" 2024-01-31 12:00 "], [None]]}},
        {"inputs": {"x": ["2024-01-31T12:00:00", None]}},
        {"instances": [["2024-01-31T12:00:00Z"], [None]]},
        b"x\n2024-01-31T12:00:00Z\nNA\n",
        b"x\n1706702400000000\nnull\n",
        b"x\n1.7067024e15\nNaN\n",
    ],
)
def test_a_timestamp_is_text_or_microseconds(body: Any) -> None:
    first, second = (row[0] if isinstance(row, list) else row for row in tensor(STAMP, body))

    assert (first, second != second) == (NOON, True)


@pytest.mark.parametrize(
    ("body", "finding"),
    [
        ({"rows": [{"x": 1}, {"x": "31.01.2024"}]}, "row 1: found '31.01.2024'"),
        ({"rows": [{"x": ""}]}, "row 0: found ''"),
        ({"rows": [{"x": True}]}, "row 0: found true"),
        (b"x\n2024-01-31\nyes\n", "row 1: found 'yes'"),
        (b"x\n1_000\n", "row 0: found '1_000'"),
    ],
)
def test_other_cells_of_a_timestamp_are_refused_by_row(body: Any, finding: str) -> None:
    with pytest.raises(InvalidRequest, match=f"column 'x': {finding}, wanted RFC 3339 as 2024-01-31T09:30:00Z"):
        tensor(STAMP, body)

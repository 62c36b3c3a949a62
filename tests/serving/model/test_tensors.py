"""Both encodings preserve a tensor's values, and values that do not fit are named."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from flywheel_serving.model import tensors
from flywheel_serving.model.datatypes import DTYPES, Array, convert

NUMERIC = [name for name in DTYPES if name != "BYTES"]
SHAPES = st_numpy.array_shapes(max_dims=3, max_side=4)


@st.composite
def datatype_and_array(draw: st.DrawFn) -> tuple[str, Array]:
    datatype = draw(st.sampled_from(NUMERIC))
    return datatype, draw(st_numpy.arrays(DTYPES[datatype], SHAPES))


@given(datatype_and_array())
@settings(deadline=None)
def test_numbers_survive_bytes(case: tuple[str, Array]) -> None:
    datatype, array = case

    back = tensors.from_bytes(tensors.to_bytes(array), datatype, list(array.shape))

    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


@given(datatype_and_array())
@settings(deadline=None)
def test_finite_numbers_survive_json_flat_and_nested(case: tuple[str, Array]) -> None:
    datatype, array = case
    array = np.where(np.isfinite(array), array, np.zeros((), array.dtype)).astype(array.dtype)

    for data in (array.ravel().tolist(), array.tolist()):
        np.testing.assert_array_equal(tensors.from_json(data, datatype, list(array.shape)), array)


@given(st.lists(st.text(st.characters(codec="utf-8")), max_size=8))
@settings(deadline=None)
def test_texts_survive_bytes_and_json(texts: list[str]) -> None:
    array = tensors.from_json(texts, "BYTES", [len(texts)])

    assert array.tolist() == texts
    assert tensors.from_bytes(tensors.to_bytes(array), "BYTES", [len(texts)]).tolist() == texts


@given(st.binary(max_size=64), st.sampled_from(list(DTYPES)), st.lists(st.integers(0, 8), max_size=3))
@settings(deadline=None)
def test_any_bytes_give_a_tensor_or_a_value_error(raw: bytes, datatype: str, shape: list[int]) -> None:
    try:
        array = tensors.from_bytes(raw, datatype, shape)
    except ValueError:
        return
    assert list(array.shape) == shape


@pytest.mark.parametrize(
    ("data", "datatype", "shape", "finding"),
    [
        pytest.param([[1, 2], [3]], "FP32", [2, 2], "must be a list of 2", id="ragged rows"),
        pytest.param([[1, 2], 3], "FP32", [2, 2], "found a number", id="a number among rows"),
        pytest.param([1, [2]], "FP32", [2], "found a list at position 1", id="a list among numbers"),
        pytest.param(["1.5"], "FP32", [1], "wanted numbers, found text at position 0", id="a number as text"),
        pytest.param([True], "INT64", [1], "found true or false", id="true among numbers"),
        pytest.param([1], "BYTES", [1], "wanted text, found a number", id="a number among texts"),
        pytest.param([1], "BOOL", [1], "wanted true or false, found a number", id="a number among booleans"),
        pytest.param([1, 2, 3], "FP32", [2], "needs 2 values, found 3", id="too many values"),
        pytest.param([300], "UINT8", [1], "does not fit UINT8", id="too large an integer"),
        pytest.param([1.5], "INT64", [1], "1.5 cannot be represented", id="a fraction among integers"),
        pytest.param([1e39], "FP32", [1], "1e+39 cannot be represented", id="too large for a narrow float"),
        pytest.param({"a": 1}, "FP32", [1], "found an object", id="an object"),
        pytest.param(None, "FP32", [1], "found null", id="no data"),
    ],
)
def test_wrong_json_is_named(data: Any, datatype: str, shape: list[int], finding: str) -> None:
    with pytest.raises(ValueError, match=finding.replace("+", r"\+")):
        tensors.from_json(data, datatype, shape)


def test_null_is_a_missing_value() -> None:
    assert np.isnan(tensors.from_json([None, 2.5], "FP32", [2])).tolist() == [True, False]
    assert np.isnan(tensors.from_json([None, 2], "INT64", [2])).tolist() == [True, False]
    assert tensors.from_json([None, "a"], "BYTES", [2]).tolist() == ["", "a"]


@pytest.mark.parametrize(
    ("raw", "datatype", "finding"),
    [
        pytest.param(b"\0" * 7, "FP32", "needs 8 bytes, found 7", id="a byte too few"),
        pytest.param(b"\xff\xff\xff\xffab", "BYTES", "item 0 of BYTES is longer", id="a length that lies"),
        pytest.param(b"\x01\0", "BYTES", "item 0 of BYTES is longer", id="half a length"),
        pytest.param(b"\x01\0\0\0\xff\0\0\0\0", "BYTES", "item 0 of BYTES is not UTF-8", id="not UTF-8"),
        pytest.param(b"\x01\0\0\0a", "BYTES", "needs 2 values, found 1", id="a text too few"),
    ],
)
def test_wrong_bytes_are_named(raw: bytes, datatype: str, finding: str) -> None:
    with pytest.raises(ValueError, match=finding):
        tensors.from_bytes(raw, datatype, [2])


@pytest.mark.parametrize(
    ("values", "datatype"),
    [
        pytest.param(np.array([1, -3, 2**24]), "FP32", id="integers that FP32 holds"),
        pytest.param(np.array([0.1]), "FP32", id="a double rounds to a single"),
        pytest.param(np.array([np.nan, np.inf]), "FP32", id="missing and infinite stay so"),
        pytest.param(np.array([3.0], np.float32), "INT64", id="a float without a fraction"),
        pytest.param(np.array([True]), "FP32", id="a boolean is 0 or 1"),
        pytest.param(np.array([255], np.uint64), "UINT8", id="a narrower integer that holds it"),
    ],
)
def test_values_that_fit_are_converted(values: Array, datatype: str) -> None:
    np.testing.assert_array_equal(convert(values, datatype), values.astype(DTYPES[datatype]))


@pytest.mark.parametrize(
    ("values", "datatype"),
    [
        pytest.param(np.array([2**24 + 1]), "FP32", id="an integer that FP32 rounds"),
        pytest.param(np.array([2.0**63]), "INT64", id="one more than the largest integer"),
        pytest.param(np.array([2**63 - 1]), "FP64", id="the largest integer, which FP64 rounds"),
        pytest.param(np.array([-1]), "UINT64", id="a negative number without a sign"),
        pytest.param(np.array([70_000]), "FP16", id="an integer beyond FP16"),
        pytest.param(np.array([np.nan]), "INT64", id="a missing value among integers"),
        pytest.param(np.array([2]), "BOOL", id="two is not a boolean"),
    ],
)
def test_values_that_do_not_fit_are_refused(values: Array, datatype: str) -> None:
    with pytest.raises(ValueError, match="cannot be represented"):
        convert(values, datatype)


def test_text_and_numbers_are_never_converted() -> None:
    with pytest.raises(ValueError, match="text and numbers"):
        convert(np.array(["1"], object), "FP32")
    with pytest.raises(ValueError, match="text and numbers"):
        convert(np.array([1.0]), "BYTES")

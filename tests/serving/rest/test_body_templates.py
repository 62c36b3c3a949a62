"""A body read by its template gives the same request as parsing all of it."""

import json
from typing import Any

import numpy as np
import pytest

from flywheel_serving.errors import InvalidRequest
from flywheel_serving.rest import codec
from flywheel_serving.rest.body_templates import MAX_TEMPLATES, BodyTemplates


def body(*data: Any, **changed: Any) -> bytes:
    """An input x, y, z for each `data`."""
    items = [
        {"name": name, "datatype": "FP32", "shape": [1, 3], "data": each, **changed}
        for name, each in zip("xyz", data, strict=False)
    ]
    return json.dumps({"inputs": items}).encode()


@pytest.fixture
def forms() -> BodyTemplates:
    """Templates that have learned `body`, with one input and with two."""
    forms = BodyTemplates()
    codec.decode(body([1, 2, 3]), None, forms)
    codec.decode(body([1, 2, 3], [4, 5, 6]), None, forms)
    return forms


def test_a_known_template_is_read_by_its_numbers_alone(forms: BodyTemplates) -> None:
    content = body([0.1, -2, 3e4])
    assert forms.read(content) is not None

    found = codec.decode(content, None, forms)[0].tensors

    assert found["x"].dtype == np.float32
    assert found["x"].tolist() == [[np.float32(0.1), -2.0, 30000.0]]


def test_every_input_gets_its_own_numbers(forms: BodyTemplates) -> None:
    content = body([1, 2, 3], [4, 5, 6])
    assert forms.read(content) is not None

    found = codec.decode(content, None, forms)[0].tensors

    assert {name: array.tolist() for name, array in found.items()} == {"x": [[1, 2, 3]], "y": [[4, 5, 6]]}


def test_a_body_without_spaces_has_a_template_too() -> None:
    forms = BodyTemplates()
    tight = body([1, 2, 3], [4, 5, 6]).replace(b" ", b"")
    codec.decode(tight, None, forms)

    assert forms.read(tight) is not None


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(body([1, 2]), id="too few"),
        pytest.param(body([1, 2, 3, 4]), id="too many"),
        pytest.param(body([1, None, 3]), id="a missing value"),
        pytest.param(body([1, True, 3]), id="a truth"),
        pytest.param(body([1, "2", 3]), id="a text"),
        pytest.param(body([[1, 2, 3]]), id="nested"),
        pytest.param(body([1, 2], [3, 4, 5, 6]), id="as many in all, but not in each"),
        pytest.param(body([1, 2, 3], [4, None, 6]), id="a missing value in the second"),
        pytest.param(body([1, 2, 3], [4, 5, 6]).replace(b"6]", b'6], "data": [7, 8, 9]'), id="the second given twice"),
        pytest.param(body([1, 2, 3], [4, 5, 6], [7, 8, 9]), id="one more"),
        pytest.param(body([1, 1e39, 3]), id="too large"),
        pytest.param(body([1, 2, 3], shape=[3, 1]), id="another shape"),
        pytest.param(body([1, 2, 3], name="y"), id="another name"),
        pytest.param(body([1, 2, 3])[:-1], id="cut"),
        pytest.param(body([1, 2, 3]) + b" ", id="something behind"),
        pytest.param(body([1, 2, 3]).replace(b"3]", b'3], "data": [4, 5, 6]'), id="given twice"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"x" * 5000, id="no JSON"),
    ],
)
def test_a_body_that_differs_in_more_than_its_numbers_is_parsed_as_a_whole(forms: BodyTemplates, other: bytes) -> None:
    assert forms.read(other) is None
    assert outcome(other, forms) == outcome(other, BodyTemplates())


def outcome(content: bytes, forms: BodyTemplates) -> str:
    try:
        return str(codec.decode(content, None, forms)[0].tensors)
    except InvalidRequest as refusal:
        return str(refusal)


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(b'{"inputs": [{"data": [1], "data": [2], "name": "x", "datatype": "FP32", "shape": [1]}]}', id="data given twice"),
        pytest.param(b'{"inputs": [{"x": {"data": [1]}, "name": "x", "data": [2], "datatype": "FP32", "shape": [1]}]}', id="data inside something else"),
        pytest.param(b'{"inputs": [{"name": "x", "data": [2], "datatype": "INT64", "shape": [1]}]}', id="whole numbers"),
    ],
)  # fmt: skip
def test_an_ambiguous_template_is_not_learned(first: bytes) -> None:
    forms = BodyTemplates()

    codec.decode(first, None, forms)

    assert forms.read(first) is None


def test_the_number_of_templates_is_bounded(forms: BodyTemplates) -> None:
    for number in range(MAX_TEMPLATES):
        codec.decode(body([1, 2, 3], name=f"x{number}"), None, forms)

    assert forms.read(body([1, 2, 3], name=f"x{MAX_TEMPLATES - 1}")) is None
    assert forms.read(body([1, 2, 3])) is not None

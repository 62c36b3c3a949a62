"""The server's own decoder reads what the challenger is sent; its response is valid or refused."""

import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from flywheel_serving.model.datatypes import DTYPES, Array
from flywheel_serving.model.signature import TensorSpec
from flywheel_serving.rest import codec
from flywheel_serving.rest.body_templates import BodyTemplates
from flywheel_serving.route.codec import InvalidResponse, RequestEncoder, UpstreamResponse, decode
from flywheel_serving.route.route_file import Challenger
from tests.examples import examples

VALUES: dict[str, list[Any]] = {"BYTES": ["ä", ""], "BOOL": [True, False], "FP32": [1.5, float("nan")]}
OUTPUTS = (TensorSpec("value", "FP32", (-1, 2)), TensorSpec("text", "BYTES", (-1,)))
WANTED = ("v2", OUTPUTS, 1)


@pytest.mark.parametrize("datatype", DTYPES)
def test_a_request_is_decoded_as_it_was_encoded(datatype: str) -> None:
    array = np.array([VALUES.get(datatype, [1, 2])], DTYPES[datatype])
    inputs: dict[str, tuple[TensorSpec, Array]] = {"x": (TensorSpec("x", datatype, (-1, 2)), array)}

    sent = RequestEncoder("a b", Challenger("v2", "::1", 80)).encode(
        "id", inputs, ["y", "z"], 0.5, {b"authorization": b"t"}
    )

    head, _, body = sent.partition(b"\r\n\r\n")
    headers = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
    assert head.startswith(b"POST /v2/models/a%20b/infer HTTP/1.1\r\nhost: [::1]:80\r\n")
    assert int(headers[b"content-length"]) == len(body)
    request, wanted = codec.decode(body, int(headers[b"inference-header-content-length"]), BodyTemplates())
    assert (request.id, request.outputs, request.timeout) == ("id", ["y", "z"], 0.5)
    assert wanted.is_binary("y")
    np.testing.assert_array_equal(request.tensors["x"], array)
    assert request.tensors["x"].dtype == array.dtype


def reply(value: Any, tail: bytes = struct.pack("<2f", 1.0, 2.0), **text: Any) -> UpstreamResponse:
    """`value` and `text` as the outputs' descriptions, the first with its data in `tail`."""
    outputs = [value, {"name": "text", "datatype": "BYTES", "shape": [1], "data": ["a"], **text}]
    description = json.dumps({"model_version": "v2", "outputs": outputs}).encode()
    return UpstreamResponse(200, {b"inference-header-content-length": b"%d" % len(description)}, description + tail)


RIGHT = {"name": "value", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": 8}}


def test_outputs_have_the_requested_order() -> None:
    value, text = decode(reply(RIGHT), *WANTED).outputs
    assert (value.tolist(), text.tolist()) == ([[1.0, 2.0]], ["a"])

    text, value = decode(reply(RIGHT), "v2", OUTPUTS[::-1], None).outputs
    assert (value.tolist(), text.tolist()) == ([[1.0, 2.0]], ["a"])


def assert_valid_or_refused(answer: UpstreamResponse) -> None:
    try:
        value, text = decode(answer, *WANTED).outputs
    except InvalidResponse:
        return
    assert (value.shape, text.shape) == ((1, 2), (1,))
    assert (value.dtype, text.dtype) == (DTYPES["FP32"], DTYPES["BYTES"])


ANYTHING = some.recursive(
    some.none()
    | some.booleans()
    | some.integers()
    | some.floats()
    | some.text(max_size=8)
    | some.sampled_from(list(DTYPES)),
    lambda inner: (
        some.lists(inner, max_size=3) | some.dictionaries(some.sampled_from(["name", "shape", "data"]), inner)
    ),
)
FIELDS = some.sampled_from(["name", "datatype", "shape", "data", "parameters"])


@settings(max_examples=examples(100, ci=50), deadline=None)
@given(some.dictionaries(FIELDS, ANYTHING, max_size=2), some.dictionaries(FIELDS, ANYTHING, max_size=2))
def test_every_request_that_the_description_allows_is_answered(value: dict[str, Any], text: dict[str, Any]) -> None:
    assert_valid_or_refused(reply({**RIGHT, **value}, **text))


@settings(max_examples=examples(100, ci=50), deadline=None)
@given(some.data())
def test_a_changed_or_missing_byte_does_no_harm(data: some.DataObject) -> None:
    right = reply(RIGHT)
    body = bytearray(right.body)
    for _ in range(data.draw(some.integers(1, 3))):
        body[data.draw(some.integers(0, len(body) - 1))] = data.draw(some.integers(0, 255))
    end = data.draw(some.integers(0, len(body)))

    assert_valid_or_refused(UpstreamResponse(200, right.headers, bytes(body)))
    assert_valid_or_refused(UpstreamResponse(200, right.headers, bytes(body[:end])))
    assert_valid_or_refused(UpstreamResponse(200, {}, bytes(body[:end])))

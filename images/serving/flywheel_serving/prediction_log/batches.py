"""Messages to the writer process: a length, a JSON head, and numbers as they lie in memory.

4 bytes: length of all that follows | 4 bytes: length of the head | head | numbers: one record for each request
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import orjson

from flywheel_serving.infer.requests import Assignment
from flywheel_serving.model.datatypes import Array
from flywheel_serving.prediction_log.schema import Field, RowSchema

LENGTH_BYTES = 4
PREFIX = struct.Struct("<II")

BatchShape = tuple[tuple[str, ...], int, tuple[int, ...]]  # names of the outputs, rows, sizes of lists


@dataclass(slots=True)
class LoggedRequest:
    """One request with its response. `row_keys` and `explanations` have a text for each row, or are None; `assignment`: of an A/B test."""

    id: str
    time_us: int  # since 1970
    feeds: dict[str, Array]
    outputs: dict[str, Array]
    rows: int
    latency_seconds: float
    version: str
    route: str
    row_keys: list[str] | None
    explanations: list[str] | None = None
    assignment: Assignment | None = None


def encode_message(head: dict[str, Any], numbers: bytes = b"") -> bytes:
    """One message, with its length in front."""
    json = orjson.dumps(head)
    return b"".join((PREFIX.pack(LENGTH_BYTES + len(json) + len(numbers), len(json)), json, numbers))


def decode_message(content: bytes) -> tuple[dict[str, Any], memoryview]:
    """The head and the numbers of a message without its first length."""
    (length,) = struct.unpack_from("<I", content)
    end = LENGTH_BYTES + length
    head: dict[str, Any] = orjson.loads(memoryview(content)[LENGTH_BYTES:end])
    return head, memoryview(content)[end:]


class BatchEncoder:
    """Encodes requests of one shape as one message; each request is a record of its numbers, so encoding is one join.

    The writer turns records into columns, since it has the time; the server would pay for each column and request.
    """

    def __init__(self, schema: RowSchema) -> None:
        self._schema = schema
        self._list_features = [field.name for field in schema.features if not field.single]
        self._list_outputs = [field.name for field in schema.outputs if not field.single]
        self._feature_numbers = value_getter([f.name for f in schema.features if f.datatype != "BYTES"])

    def shape(self, request: LoggedRequest) -> BatchShape:
        """Requests of one shape share a message: they have the same outputs, rows and sizes of lists."""
        feeds, outputs = request.feeds, request.outputs
        sizes = (
            *[feeds[name].size for name in self._list_features],
            *[outputs[name].size for name in self._list_outputs if name in outputs],
        )
        return (*outputs,), request.rows, sizes

    def encode(self, shape: BatchShape, requests: list[LoggedRequest]) -> bytes:
        """One message of requests that all have this shape."""
        output_names, rows, sizes = shape
        outputs = [field for field in self._schema.outputs if field.name in output_names]
        output_numbers = value_getter([field.name for field in outputs if field.datatype != "BYTES"])
        feeds = [request.feeds for request in requests]
        head = {
            "kind": "rows",
            "outputs": output_names,
            "rows": rows,
            "sizes": sizes,
            "id": [request.id for request in requests],
            "time": [request.time_us for request in requests],
            "seconds": [request.latency_seconds for request in requests],
            "version": [request.version for request in requests],
            "route": [request.route for request in requests],
            "keys": [request.row_keys for request in requests],
            "features_text": [_texts(field, feeds) for field in self._schema.features if field.datatype == "BYTES"],
            "outputs_text": [
                _texts(field, [request.outputs for request in requests])
                for field in outputs
                if field.datatype == "BYTES"
            ],
        }
        if any(request.explanations for request in requests):  # few messages have one
            head["explanations"] = [request.explanations for request in requests]
        if any(request.assignment for request in requests):
            head["assignments"] = [_assignment_values(request.assignment) for request in requests]
        arrays = [
            array
            for request in requests
            for array in (*self._feature_numbers(request.feeds), *output_numbers(request.outputs))
        ]
        return encode_message(head, join_arrays(arrays))


def _assignment_values(assignment: Assignment | None) -> list[str | None]:
    """The test, the unit and its arm; null where a request has none."""
    values = (assignment.test, assignment.unit, assignment.arm) if assignment else (None, None, None)
    return [value or None for value in values]


def record_fields(schema: RowSchema, head: dict[str, Any]) -> list[tuple[str, Field, int]]:
    """(side, field, number of its values in each row), in the order of a record."""
    sizes = iter(head["sizes"])
    outputs = [field for field in schema.outputs if field.name in head["outputs"]]
    fields = [("features", field) for field in schema.features] + [("outputs", field) for field in outputs]
    return [(side, field, 1 if field.single else next(sizes) // head["rows"]) for side, field in fields]


def join_arrays(arrays: Sequence[Any]) -> bytes:
    """The arrays' bytes one after the other; several times as fast as numpy's concatenation of small arrays."""
    try:
        return b"".join(arrays)
    except (BufferError, TypeError):  # one of them is not contiguous
        return b"".join([array.tobytes() for array in arrays])


def value_getter(names: list[str]) -> Callable[[dict[str, Array]], tuple[Array, ...]]:
    """A function from a dictionary to the values of `names`, always a tuple."""
    if len(names) == 1:
        return lambda arrays: (arrays[names[0]],)
    return itemgetter(*names) if names else lambda _arrays: ()


def _texts(field: Field, requests: list[dict[str, Array]]) -> list[str]:
    return [str(value) for arrays in requests for value in arrays[field.name].ravel().tolist()]

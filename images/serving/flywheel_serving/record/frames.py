"""What goes through the pipe to the sink: a length, a JSON head, and the numbers' bytes as they are.

4 bytes: length of all that follows | 4 bytes: length of the head | head | one record of numbers for each answer
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import orjson

from flywheel_serving.datatypes import Array
from flywheel_serving.record.layout import Field, Layout

PREFIX = struct.Struct("<II")

Shape = tuple[tuple[str, ...], int, tuple[int, ...]]  # names of the outputs, rows, sizes of lists


@dataclass(slots=True)
class Answer:
    """One request with its answer. `time`: when, in microseconds since 1970; `keys`: one for each row, or none."""

    id: str
    time: int
    feeds: dict[str, Array]
    outputs: dict[str, Array]
    rows: int
    seconds: float
    version: str
    route: str
    keys: list[str] | None


def pack(head: dict[str, Any], numbers: bytes = b"") -> bytes:
    """One frame."""
    written = orjson.dumps(head)
    return b"".join((PREFIX.pack(4 + len(written) + len(numbers), len(written)), written, numbers))


def unpack(content: bytes) -> tuple[dict[str, Any], memoryview]:
    """Head and bytes of what follows the first length."""
    (length,) = struct.unpack_from("<I", content)
    head: dict[str, Any] = orjson.loads(memoryview(content)[4 : 4 + length])
    return head, memoryview(content)[4 + length :]


class Packer:
    """Packs answers of one shape: each is a record of its numbers, as they lie in memory, so that packing is one join.

    The sink makes the columns, for it has the time; the server would pay for each column and answer anew.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._lists = (
            [f.name for f in layout.features if not f.single],
            [f.name for f in layout.outputs if not f.single],
        )
        self._numbers = taker([f.name for f in layout.features if f.datatype != "BYTES"])

    def shape(self, answer: Answer) -> Shape:
        """Answers of one shape go into one frame: the same outputs, as many rows, and lists as long."""
        feeds, outputs, (inner, outer) = answer.feeds, answer.outputs, self._lists
        sizes = (*[feeds[name].size for name in inner], *[outputs[name].size for name in outer if name in outputs])
        return (*outputs,), answer.rows, sizes

    def pack(self, shape: Shape, answers: list[Answer]) -> bytes:
        """One frame of answers that all have this shape."""
        outputs = [field for field in self._layout.outputs if field.name in shape[0]]
        numbers = taker([field.name for field in outputs if field.datatype != "BYTES"])
        head = {
            "kind": "rows",
            "outputs": shape[0],
            "rows": shape[1],
            "sizes": shape[2],
            "id": [answer.id for answer in answers],
            "time": [answer.time for answer in answers],
            "seconds": [answer.seconds for answer in answers],
            "version": [answer.version for answer in answers],
            "route": [answer.route for answer in answers],
            "keys": [answer.keys for answer in answers],
            "features_text": [
                _texts(f, [a.feeds for a in answers]) for f in self._layout.features if f.datatype == "BYTES"
            ],
            "outputs_text": [_texts(f, [a.outputs for a in answers]) for f in outputs if f.datatype == "BYTES"],
        }
        return pack(head, joined([array for a in answers for array in (*self._numbers(a.feeds), *numbers(a.outputs))]))


def fields(layout: Layout, head: dict[str, Any]) -> list[tuple[str, Field, int]]:
    """Side, field, and how many values each row has of it, in the order of a record."""
    sizes = iter(head["sizes"])
    outputs = [field for field in layout.outputs if field.name in head["outputs"]]
    chosen = [("features", field) for field in layout.features] + [("outputs", field) for field in outputs]
    return [(side, field, 1 if field.single else next(sizes) // head["rows"]) for side, field in chosen]


def joined(arrays: Sequence[Any]) -> bytes:
    """Their bytes one after the other; several times as fast as numpy's own concatenation of small arrays."""
    try:
        return b"".join(arrays)
    except BufferError:  # one does not lie in one piece
        return b"".join([array.tobytes() for array in arrays])


def taker(names: list[str]) -> Callable[[dict[str, Array]], tuple[Array, ...]]:
    """A function from a dictionary to the values of these names."""
    if len(names) == 1:
        return lambda found: (found[names[0]],)
    return itemgetter(*names) if names else lambda _found: ()


def _texts(field: Field, found: list[dict[str, Array]]) -> list[str]:
    return [str(value) for each in found for value in each[field.name].ravel().tolist()]

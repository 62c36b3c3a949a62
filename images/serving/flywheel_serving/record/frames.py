"""What goes through the pipe to the sink: a length, a JSON head, and the numbers' bytes as they are.

4 bytes: length of all that follows | 4 bytes: length of the head | head | bytes of each column, in the head's order
"""

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from flywheel_serving.datatypes import DTYPES, Array
from flywheel_serving.record.layout import Field, Layout

PREFIX = struct.Struct("<II")


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


def pack(head: dict[str, Any], parts: list[bytes]) -> bytes:
    """One frame."""
    written = orjson.dumps(head)
    size = sum(map(len, parts))
    return b"".join((PREFIX.pack(4 + len(written) + size, len(written)), written, *parts))


def unpack(content: bytes) -> tuple[dict[str, Any], memoryview]:
    """Head and bytes of what follows the first length."""
    (length,) = struct.unpack_from("<I", content)
    head: dict[str, Any] = orjson.loads(memoryview(content)[4 : 4 + length])
    return head, memoryview(content)[4 + length :]


def rows(layout: Layout, answers: list[Answer]) -> bytes:
    """Answers that have the same outputs, as one frame."""
    parts: list[bytes] = []
    columns = []
    given = answers[0].outputs
    for side, fields in (("feeds", layout.features), ("outputs", layout.outputs)):
        for field in fields:
            if side == "feeds" or field.name in given:
                arrays = [getattr(answer, side)[field.name] for answer in answers]
                columns.append({"side": side, "name": field.name, **_column(field, arrays, answers, parts)})
    head = {
        "kind": "rows",
        "id": [answer.id for answer in answers],
        "time": [answer.time for answer in answers],
        "seconds": [answer.seconds for answer in answers],
        "version": [answer.version for answer in answers],
        "route": [answer.route for answer in answers],
        "rows": [answer.rows for answer in answers],
        "keys": [answer.keys for answer in answers],
        "columns": columns,
    }
    return pack(head, parts)


def _column(field: Field, arrays: list[Array], answers: list[Answer], parts: list[bytes]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if not field.single:
        found["widths"] = [array.size // answer.rows for array, answer in zip(arrays, answers, strict=True)]
    flat = np.concatenate(arrays, axis=None)
    if field.datatype == "BYTES":
        return {**found, "text": [str(value) for value in flat.tolist()]}
    parts.append(flat.astype(DTYPES[field.datatype], copy=False).tobytes())
    return {**found, "size": len(parts[-1])}

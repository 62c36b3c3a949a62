"""Messages between the server and a worker process: JSON, and the bytes of arrays after it.

    length of the JSON (4 bytes) | length of the rest (8 bytes) | JSON | array | array | ...

Nothing is unpickled: a worker's memory may have been overwritten by its model, so the server trusts no byte of it.
"""

import socket
import struct
import time
from typing import Any

import numpy as np
import orjson

from flywheel_serving.model.datatypes import Array

LENGTHS = struct.Struct("<IQ")
MAX_JSON_BYTES = 2**30
MAX_ARRAY_BYTES = 2**34
# Of the JSON in a message: names and shapes; and a text in UTF-8, where each of its bytes may become an escape.
BASE_JSON_BYTES, ESCAPE_BYTES = 2**24, 6
NUMBER_KINDS = "biuf"


def encode_message(content: dict[str, Any], arrays: dict[str, Array]) -> list[Any]:
    """The blocks of bytes of an object and named arrays: numbers as bytes, texts as JSON."""
    described: list[dict[str, Any]] = []
    blocks: list[Any] = [b""]
    for name, array in arrays.items():
        one: dict[str, Any] = {"name": name, "shape": array.shape}
        if array.dtype.kind in NUMBER_KINDS:
            one["dtype"] = array.dtype.str
            blocks.append(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
        else:
            one["texts"] = array.ravel().tolist()
        described.append(one)
    text = orjson.dumps({**content, "arrays": described})
    blocks[0] = LENGTHS.pack(len(text), sum(len(block) for block in blocks)) + text
    return blocks


def send_message(connection: socket.socket, content: dict[str, Any], arrays: dict[str, Array]) -> None:
    """Sends an object and named arrays. Raises OSError."""
    for block in encode_message(content, arrays):
        connection.sendall(block)


def receive_message(
    connection: socket.socket, seconds: float | None = None, max_bytes: int = MAX_ARRAY_BYTES
) -> tuple[dict[str, Any], dict[str, Array]]:
    """The object and the arrays of one message, which must be complete after `seconds`; the arrays have at most `max_bytes`.

    Raises EOFError if the other side has ended, OSError (TimeoutError), and ValueError, TypeError or KeyError if it is damaged.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    text_length, rest_length = LENGTHS.unpack(_receive(connection, LENGTHS.size, deadline))
    if text_length > min(BASE_JSON_BYTES + ESCAPE_BYTES * max_bytes, MAX_JSON_BYTES) or rest_length > max_bytes:
        raise ValueError(f"a message of {text_length} and {rest_length} bytes is too long")
    content = orjson.loads(_receive(connection, text_length, deadline))
    rest, start = _receive(connection, rest_length, deadline), 0
    arrays: dict[str, Array] = {}
    for one in content.pop("arrays"):
        shape = tuple(one["shape"])
        if "texts" in one:
            if not all(isinstance(text, str) for text in one["texts"]):
                raise ValueError("a text is no string")
            texts = np.empty(len(one["texts"]), object)
            texts[:] = one["texts"]
            arrays[one["name"]] = texts.reshape(shape)
            continue
        dtype = np.dtype(one["dtype"])
        if dtype.kind not in NUMBER_KINDS:
            raise ValueError(f"an array of type {dtype} is no tensor")
        arrays[one["name"]] = np.ndarray(shape, dtype, rest, start)  # raises TypeError if the bytes are too few
        start += arrays[one["name"]].nbytes
    if start != rest_length:
        raise ValueError(f"the arrays of a message take {start} of its {rest_length} bytes")
    return content, arrays


def _receive(connection: socket.socket, length: int, deadline: float | None) -> bytearray:
    data = bytearray(length)
    view, received = memoryview(data), 0
    while received < length:
        if deadline is not None:
            connection.settimeout(max(0.001, deadline - time.monotonic()))
        count = connection.recv_into(view[received:])
        if count == 0:
            raise EOFError("the other side has ended")
        received += count
    return data

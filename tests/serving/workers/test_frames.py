"""Arrays cross the socket unchanged, and a damaged message is an error."""

import socket
import struct
from collections.abc import Iterator

import numpy as np
import pytest

from flywheel_serving.model.datatypes import Array
from flywheel_serving.workers.frames import LENGTHS, receive_message, send_message


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    left, right = socket.socketpair()
    with left, right:
        yield left, right


def test_arrays_arrive_as_they_were_sent(pair: tuple[socket.socket, socket.socket]) -> None:
    arrays: dict[str, Array] = {
        "real": np.array([[1.5, float("nan")], [-0.0, 2.0]], np.float32),
        "half": np.array([0.5], np.float16),
        "whole": np.array([[2**62]], np.int64),
        "flags": np.array([True, False]),
        "part": np.arange(12, dtype=np.uint8).reshape(3, 4)[:, 1:3],
        "scalar": np.array(7, np.int32),
        "empty": np.empty((0, 3), np.float64),
        "texts": np.array([["ä", ""], ["\0", "b"]], object),
    }
    send_message(pair[0], {"outputs": ["y"]}, arrays)

    content, received = receive_message(pair[1])

    assert content == {"outputs": ["y"]}
    assert list(received) == list(arrays)
    for name, array in arrays.items():
        assert (received[name].dtype, received[name].shape) == (array.dtype, array.shape), name
        assert received[name].tobytes() == array.tobytes() or (received[name] == array).all(), name


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b"[]",
        b'{"arrays": [{"name": "y", "dtype": "<f4", "shape": [1000]}]}',
        b'{"arrays": [{"name": "y", "dtype": "O", "shape": [1]}]}',
        b'{"arrays": [{"name": "y", "texts": ["a"], "shape": [2]}]}',
        b'{"arrays": [{"shape": [2]}]}',
    ],
)
def test_a_damaged_message_is_an_error(pair: tuple[socket.socket, socket.socket], text: bytes) -> None:
    pair[0].sendall(LENGTHS.pack(len(text), 0) + text)

    with pytest.raises((ValueError, TypeError, KeyError, AttributeError)):
        receive_message(pair[1])


def test_a_message_that_claims_to_be_huge_is_an_error(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[0].sendall(struct.pack("<IQ", 10, 2**60))

    with pytest.raises(ValueError, match="too long"):
        receive_message(pair[1])


def test_a_message_must_be_complete_in_time(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[0].sendall(LENGTHS.pack(10, 0) + b"{")

    with pytest.raises(TimeoutError):
        receive_message(pair[1], 0.05)

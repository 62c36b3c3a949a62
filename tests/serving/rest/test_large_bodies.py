"""Large bodies are bounded by the memory, and decoded in a thread, in turn for all clients."""

import asyncio
import gc
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flywheel_serving.errors import InvalidRequest, ModelFailed, RequestTooLarge, TooManyRequests
from flywheel_serving.rest.large_bodies import INLINE_BYTES, MAX_WAITING_OF_PEER, LargeBodies, max_decoded_bytes
from tests.serving.local_server import LocalServer

MEBIBYTE = 1024 * 1024


def head(datatype: str) -> bytes:
    return b'{"inputs":[{"name":"x","datatype":"%b","shape":[1],"parameters":{"binary_data_size":4}}]}' % (
        datatype.encode()
    )


@pytest.mark.parametrize(
    ("start", "is_binary", "size", "expected"),
    [
        pytest.param(b"", False, INLINE_BYTES, False, id="small JSON"),
        pytest.param(b"", False, INLINE_BYTES + 1, True, id="large JSON"),
        pytest.param(b"", False, MEBIBYTE + 1, None, id="too large JSON"),
        pytest.param(head("FP32"), True, 4 * MEBIBYTE, False, id="large binary numbers"),
        pytest.param(head("BYTES"), True, INLINE_BYTES + 1, True, id="large binary texts"),
        pytest.param(head("BYTES"), True, 4 * MEBIBYTE + 1, None, id="too large binary texts"),
        pytest.param(head(r"\u0042YTES"), True, 4 * MEBIBYTE + 1, None, id="binary texts with an escape"),
        pytest.param(head("BYTES") + b" " * MEBIBYTE, True, 2 * MEBIBYTE, None, id="too large a head of texts"),
        pytest.param(head("FP32") + b" " * INLINE_BYTES, True, 4 * MEBIBYTE, True, id="a large head of binary data"),
    ],
)
def test_what_is_decoded_value_by_value_is_bounded(
    start: bytes, is_binary: bool, size: int, expected: bool | None
) -> None:
    bodies = LargeBodies(MEBIBYTE)
    body = start + b"x" * (size - len(start))

    def is_large() -> bool:
        return bodies.is_large(body, len(start) if is_binary else None)

    if expected is None:
        with pytest.raises(
            RequestTooLarge, match=r"at most (1048576|4194304) are decoded.*binary tensors or over gRPC"
        ):
            is_large()
    else:
        assert is_large() is expected


def test_the_bound_follows_the_memory() -> None:
    assert max_decoded_bytes(512 * MEBIBYTE) == 4 * MEBIBYTE
    assert max_decoded_bytes(2048 * MEBIBYTE) == 16 * MEBIBYTE
    assert max_decoded_bytes(1) == INLINE_BYTES


def decode_all(*jobs: tuple[str, Callable[[], Any]]) -> list[Any]:
    """What each job (a peer, and its decoding) gave, in the order in which they ended."""

    async def run() -> list[Any]:
        bodies, ended, done = LargeBodies(MEBIBYTE), [], asyncio.Event()

        def on_decoded(decoded: Any) -> None:
            ended.append(decoded)
            if len(ended) == len(jobs):
                done.set()

        for peer, decode in jobs:
            bodies.decode(peer, decode, on_decoded)
        await asyncio.wait_for(done.wait(), 30)
        return ended

    return asyncio.run(run())


def test_clients_take_turns() -> None:
    started = threading.Event()

    def first() -> str:
        started.wait(0.1)
        return "a1"

    ended = decode_all(("a", first), *[("a", lambda name=f"a{n}": name) for n in (2, 3)], ("b", lambda: "b1"))

    assert ended.index("b1") < ended.index("a3")
    assert sorted(ended) == ["a1", "a2", "a3", "b1"]


def test_another_thread_decodes_without_collections_of_garbage() -> None:
    [(thread, collects)] = decode_all(("a", lambda: (threading.current_thread(), gc.isenabled())))

    assert thread is not threading.current_thread()
    assert not collects
    assert gc.isenabled()


def test_an_error_of_the_decoding_is_given_on_and_the_next_body_is_decoded() -> None:
    def fail() -> None:
        try:
            json.loads("")
        except json.JSONDecodeError as error:
            raise InvalidRequest("no JSON") from error

    [error, found, failure] = decode_all(("a", fail), ("a", lambda: 1), ("a", lambda: 1 / 0))

    assert (str(error), found) == ("no JSON", 1)
    held = (error.__traceback__, error.__cause__, error.__context__)
    assert held == (None, None, None), "they hold the body"
    assert isinstance(failure, ModelFailed)
    assert gc.isenabled()


def test_the_bodies_of_one_client_that_wait_are_bounded() -> None:
    async def run() -> None:
        bodies, released = LargeBodies(MEBIBYTE), threading.Event()
        try:
            for _ in range(MAX_WAITING_OF_PEER + 1):  # one of them is being decoded
                bodies.decode("a", lambda: released.wait(10), lambda _: None)
            with pytest.raises(TooManyRequests, match="large bodies of this client wait"):
                bodies.decode("a", lambda: None, lambda _: None)
            bodies.decode("b", lambda: None, lambda _: None)
        finally:
            released.set()

    asyncio.run(run())


@pytest.mark.integration
def test_large_bodies_are_answered_as_small_ones_are_up_to_the_bound(lookup: Path) -> None:
    """The container has 64 MiB, so that JSON may have 512 KiB."""
    count = 120_000
    flags = ("--name", "lookup", "--memory-bytes", str(64 * MEBIBYTE), "--max-rows", "1000000")
    with LocalServer(lookup, *flags) as server:

        def post(path: str, body: bytes, **headers: str) -> tuple[int, bytes]:
            url = f"http://{server.http}/v2/models/lookup/{path}"
            request = urllib.request.Request(url, body, {"content-type": "application/json", **headers})
            try:
                with urllib.request.urlopen(request, timeout=60) as response:
                    return response.status, response.read()
            except urllib.error.HTTPError as error:
                return error.code, error.read()

        def infer(count: int) -> tuple[int, bytes]:
            item = {"name": "index", "datatype": "INT64", "shape": [count], "data": [1] * count}
            return post("infer", json.dumps({"inputs": [item]}).encode())

        status, content = infer(count)
        assert status == 200
        assert json.loads(content)["outputs"][0]["data"] == [2.0] * count

        status, content = post("infer", b" " * 300_000 + b"[")
        assert (status, "not valid JSON" in json.loads(content)["error"]) == (400, True)

        for status, content in (
            infer(4 * count),
            post("predict", b'{"rows":[' + b"[1]," * 2 * count + b"[1]]}"),
            post("predict", b"index\n" + b"1\n" * 3 * count, **{"content-type": "text/csv"}),
        ):
            assert (status, "raise the memory in spec.resources" in json.loads(content)["error"]) == (413, True)

        binary = np.ones(count, np.int64).tobytes()
        item = {"name": "index", "datatype": "INT64", "shape": [count], "parameters": {"binary_data_size": len(binary)}}
        start = json.dumps({"inputs": [item]}).encode()
        assert post("infer", start + binary, **{"inference-header-content-length": str(len(start))})[0] == 200

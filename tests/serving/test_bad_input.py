"""Invalid input is named and refused, and harms neither the server nor clients with valid requests.

More is in rest/test_endpoints (fields), http/test_connection, infer/test_limits (bounds), verify/test_verify and
model/test_refused_models (files), fuzz/ (what nobody thought of).
"""

import json
import socket
import struct
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.serving.local_server import LocalServer

pytestmark = pytest.mark.integration  # each starts a model server in its own process

INFER = "/v2/models/echo/infer"
MEBIBYTE = 1024 * 1024


def tensor(name: str, data: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "datatype": name.upper(), "shape": [2, 2], "data": data} | more


def body(**changed: Any) -> bytes:
    """A request for the echo model with other data for some of its inputs."""
    numbers, texts, truths = [[0, 1], [1, 0]], [["a", "b"], ["c", "d"]], [[True, False], [False, True]]
    names = ["uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "fp16", "fp32", "fp64"]
    data = dict.fromkeys(names, numbers) | {"bytes": texts, "bool": truths} | changed
    return json.dumps({"inputs": [tensor(name, values) for name, values in data.items()]}).encode()


GOOD = body()
DEEP = 10 * MEBIBYTE
BAD = {
    "ragged rows": (body(fp32=[[1, 2], [3]]), "'fp32': at depth 1 each item must be a list of 2"),
    "a row that is a number": (body(fp32=[[1, 2], 3]), "'fp32': at depth 1 each item must be a list of 2"),
    "a row too many": (body(fp32=[[1, 2]] * 3), "'fp32': shape [2, 2] needs 4 values, found 6"),
    "NaN": (body(fp32=[[float("nan"), 0], [0, 0]]), "body: not valid JSON"),
    "infinity": (body(fp64=[[float("inf"), 0], [0, 0]]), "body: not valid JSON"),
    "a number as text": (body(fp32=[["1", 0], [0, 0]]), "'fp32': wanted numbers, found text at position 0"),
    "true among numbers": (body(int8=[[1, True], [0, 0]]), "'int8': wanted numbers, found true or false at position 1"),
    "a number among texts": (body(bytes=[["a", 1], ["b", "c"]]), "'bytes': wanted text, found a number at position 1"),
    "a number too large for its type": (body(int8=[[128, 0], [0, 0]]), "'int8'"),
    "a fraction for an integer": (body(int32=[[0.5, 0], [0, 0]]), "'int32': the value 0.5 cannot be represented"),
    "an integer beyond 64 bits": (body(uint64=[[2**64, 0], [0, 0]]), "'uint64'"),
    "a number beyond all floats": (GOOD.replace(b"[0, 1]", b"[1e999, 1]", 1), "number is infinity"),
    "10 MB of brackets": (b"[" * DEEP, "body: not valid JSON"),
    "10 MB of objects": (b'{"a":' * (DEEP // 5), "body: not valid JSON"),
    "10 MB of brackets as data": (GOOD.replace(b"[[0, 1]", b"[" * DEEP, 1), "body: not valid JSON"),
    "10 MB of text as a name": (json.dumps({"inputs": [{"name": "x" * DEEP}]}).encode(), "datatype: wanted one of"),
    "half a body": (GOOD[: len(GOOD) // 2], "body: not valid JSON"),
    "half a surrogate": (GOOD.replace(b'"a"', b'"\\ud800"', 1), "body: not valid JSON"),
    "invalid UTF-8": (GOOD.replace(b'"a"', b'"\xff"', 1), "body: not valid JSON"),
    "a zero byte": (GOOD + b"\0", "body: not valid JSON"),
}  # fmt: skip


def post(server: LocalServer, content: bytes, **headers: str) -> tuple[int, str]:
    """The status, and the error if it is one."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"http://{server.http}{INFER}", content, named)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            response.read()
            return response.status, ""
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)["error"]


@pytest.mark.parametrize("name", BAD)
def test_a_refused_body_names_the_field(echo_server: LocalServer, name: str) -> None:
    content, finding = BAD[name]

    status, error = post(echo_server, content)

    assert status == 400
    assert finding in error
    assert len(error) < 2_000
    assert post(echo_server, GOOD) == (200, "")


@pytest.mark.parametrize(
    ("raw", "finding"),
    [
        pytest.param(struct.pack("<I", 1) + b"\xff" + struct.pack("<I", 0) * 3, "item 0 of BYTES is not UTF-8", id="UTF-8"),
        pytest.param(struct.pack("<I", 2**32 - 1) + b"a" * 20, "item 0 of BYTES is longer than", id="a length that lies"),
        pytest.param(struct.pack("<I", 0) * 5, "needs 4 values, found 5", id="a text too many"),
        pytest.param(b"\0\0\0", "item 0 of BYTES is longer than", id="half a length"),
    ],
)  # fmt: skip
def test_binary_texts_with_wrong_lengths_are_refused(echo_server: LocalServer, raw: bytes, finding: str) -> None:
    document = json.loads(GOOD)
    text = next(item for item in document["inputs"] if item["name"] == "bytes")
    text["parameters"] = {"binary_data_size": len(raw)}
    del text["data"]
    head = json.dumps(document).encode()

    status, error = post(echo_server, head + raw, Inference_Header_Content_Length=str(len(head)))

    assert status == 400
    assert finding in error


def test_a_content_length_that_is_too_small_ends_the_connection(echo_server: LocalServer) -> None:
    """The bytes after it are no request, and must not be taken for one."""
    head = f"POST {INFER} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(GOOD) - 10}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", echo_server.ready["http"]), timeout=30) as connection:
        connection.sendall(head + GOOD)
        received = b""
        while chunk := connection.recv(65_536):
            received += chunk

    assert received.count(b"HTTP/1.1 400 ") == received.count(b"HTTP/1.1 ") == 2
    assert b"body: not valid JSON" in received
    assert b"not valid HTTP/1.1" in received


@pytest.fixture
def own_server(echo: Path) -> Iterator[LocalServer]:
    """A server whose memory no other test has used."""
    with LocalServer(echo, "--name", "echo") as server:
        yield server


def memory(server: LocalServer, kind: str) -> int:
    """Bytes: VmRSS now, VmHWM at most so far."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(f"{kind}:"))


def test_other_clients_are_answered_and_memory_is_bounded(own_server: LocalServer) -> None:
    for _ in range(20):
        assert post(own_server, GOOD) == (200, "")
    before = memory(own_server, "VmRSS")
    over = threading.Event()
    answers: list[tuple[int, str]] = []

    def send_valid_requests() -> None:
        while not over.is_set():
            answers.append(post(own_server, GOOD))

    with ThreadPoolExecutor(5) as pool:
        good = pool.submit(send_valid_requests)
        bad = [pool.submit(post, own_server, content) for _ in range(3) for content, _ in BAD.values()]
        statuses = {future.result()[0] for future in bad}
        over.set()
        good.result()

    assert statuses == {400}
    assert len(answers) > 10
    assert set(answers) == {(200, "")}
    assert memory(own_server, "VmHWM") < before + 256 * MEBIBYTE  # four bodies of 10 MB at once, each joined once
    assert memory(own_server, "VmRSS") < before + 64 * MEBIBYTE

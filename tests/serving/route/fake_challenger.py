"""A challenger that sends the bytes that a test sets."""

import json
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

Script = Callable[[BinaryIO], None]


@contextmanager
def fake_challenger(script: Script, received_heads: list[bytes] | None = None) -> Iterator[tuple[str, int]]:
    """Yields its address. `script` writes to the connection after each whole request, or raises EOFError to close it.

    `received_heads` gets the head of each request.
    """

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            try:
                while head := _read_request(cast(BinaryIO, self.rfile)):
                    if received_heads is not None:
                        received_heads.append(head)
                    script(cast(BinaryIO, self.wfile))
            except (EOFError, OSError):
                return

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield "127.0.0.1", server.server_address[1]
        server.shutdown()


def _read_request(stream: BinaryIO) -> bytes:
    """The head of a request, b"" at the end of the connection."""
    head, length = b"", -1
    while line := stream.readline():
        head += line
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
        if line == b"\r\n":
            stream.read(length)
            return head
    return b""


def sends(*parts: bytes, then_close: bool = False) -> Script:
    def script(stream: BinaryIO) -> None:
        for part in parts:
            stream.write(part)
            stream.flush()
        if then_close:
            raise EOFError

    return script


def sends_nothing(forever: threading.Event) -> Script:
    """Waits until `forever` is set, and closes."""

    def script(_stream: BinaryIO) -> None:
        forever.wait(60)
        raise EOFError

    return script


def response(body: bytes, *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {size}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def described(**change: Any) -> dict[str, Any]:
    """A valid JSON response of version `fake` to one row of two columns, with changes at the top or in its first output."""
    value: dict[str, Any] = {"name": "value", "datatype": "FP32", "shape": [1, 2], "data": [5.0, 7.0]}
    label = {"name": "label", "datatype": "INT64", "shape": [1], "data": [1]}
    top: dict[str, Any] = {name: change.pop(name) for name in ("model_version", "outputs") if name in change}
    value = {name: found for name, found in {**value, **change}.items() if found is not None}
    return {"model_name": "toy", "model_version": "fake", "outputs": [value, label], **top}


def in_json(**change: Any) -> bytes:
    return response(json.dumps(described(**change)).encode())


def in_binary(size: int = 8, *, header: int | None = None, tail: bytes = struct.pack("<2f", 5.0, 7.0)) -> bytes:
    """A response with `value` as bytes; `size` is its binary_data_size, `header` Inference-Header-Content-Length."""
    description = json.dumps(described(data=None, parameters={"binary_data_size": size})).encode()
    told = len(description) if header is None else header
    return response(description + tail, f"Inference-Header-Content-Length: {told}")

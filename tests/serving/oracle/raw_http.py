"""Sends bytes to a server and parses its responses strictly: what RFC 9112 forbids fails the test."""

import socket
from dataclasses import dataclass

SECONDS = 20.0
LAST = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True)
class ParsedResponse:
    """A response; `body` is empty for an error, since each server has its own messages."""

    status: int
    body: bytes = b""


def exchange(
    port: int, data: bytes, *, methods: list[str], half_close: bool = False, piece: int = 0
) -> list[ParsedResponse]:
    """All responses until the server closes, which it must. Sends `piece` bytes at a time, all at once if 0."""
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(data), piece or len(data)):
            connection.sendall(data[start : start + (piece or len(data))])
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        while chunk := connection.recv(65_536):
            received += chunk
    return parse_responses(received, methods)


def parse_responses(received: bytes, methods: list[str]) -> list[ParsedResponse]:
    """The responses to requests of these `methods`: one to HEAD has no body. Raises ValueError."""
    found: list[ParsedResponse] = []
    waiting = iter(methods)
    while received:
        head, separator, rest = received.partition(b"\r\n\r\n")
        if not separator:
            raise ValueError(f"an answer ends in its head: {received[:200]!r}")
        line, *lines = head.split(b"\r\n")
        version, status, _ = line.split(b" ", 2)
        if version != b"HTTP/1.1":
            raise ValueError(f"no status line of HTTP/1.1: {line!r}")
        if int(status) == 100:
            found.append(ParsedResponse(100))
            received = rest
            continue
        bodiless = next(waiting, "GET") == "HEAD"
        body, received = _body(_headers(lines), rest, bodiless=bodiless)
        found.append(ParsedResponse(int(status), body if int(status) == 200 else b""))
    return found


def _headers(lines: list[bytes]) -> dict[bytes, bytes]:
    headers: dict[bytes, bytes] = {}
    for line in lines:
        name, separator, value = line.partition(b":")
        if not separator or name != name.strip() or name.lower() in headers:
            raise ValueError(f"no header, or given twice: {line!r}")
        headers[name.lower()] = value.strip()
    return headers


def _body(headers: dict[bytes, bytes], rest: bytes, *, bodiless: bool) -> tuple[bytes, bytes]:
    """The body, and the bytes after it."""
    if bodiless:
        return b"", rest
    if headers.get(b"transfer-encoding") == b"chunked":
        return _chunks(rest)
    if b"content-length" not in headers:
        if headers.get(b"connection") != b"close":
            raise ValueError("an answer has no end")
        return rest, b""
    length = int(headers[b"content-length"])
    if len(rest) < length:
        raise ValueError(f"{length - len(rest)} bytes of a body are missing")
    return rest[:length], rest[length:]


def _chunks(rest: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        body, after = body + rest[:length], rest[length : length + 2]
        if after != b"\r\n":
            raise ValueError(f"a chunk ends with {after!r}")
        rest = rest[length + 2 :]
        if length == 0:
            return body, rest

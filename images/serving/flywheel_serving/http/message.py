"""A request and its response, as the routes see them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import orjson

JSON = "application/json"
ANSWER = (
    f"HTTP/1.1 200 OK\r\ncontent-type: {JSON}\r\ncontent-length: ".encode() + b"%d\r\nconnection: keep-alive\r\n\r\n%b"
)
STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


@dataclass(slots=True)
class Request:
    """`target` is the raw path with its query; header names are lower-case, repeated ones joined by a comma.

    `findings` is for the application: what it found out from all this but the body. Requests with the same head share it.
    """

    method: str
    target: bytes
    headers: dict[bytes, bytes]
    body: bytes
    keep_alive: bool
    findings: dict[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> bytes:
        return self.target.partition(b"?")[0]


@dataclass(slots=True)
class Response:
    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: dict[str, str] | None = None

    def encode(self, *, with_body: bool, keep_alive: bool) -> bytes:
        """The bytes on the wire; without the body (HEAD) the length still says how long it would be."""
        if self.headers is None and keep_alive and with_body and self.status == 200 and self.content_type is JSON:
            return ANSWER % (len(self.body), self.body)  # most are such
        extra = "".join([f"{name}: {value}\r\n" for name, value in self.headers.items()]) if self.headers else ""
        head = (
            f"{STATUS_LINES[self.status]}content-type: {self.content_type}\r\n"
            f"content-length: {len(self.body)}\r\n"
            f"connection: {'keep-alive' if keep_alive else 'close'}\r\n{extra}\r\n"
        ).encode()
        return head + self.body if with_body else head


def error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """The protocol's error object, `{"error": message}`."""
    return Response(status, orjson.dumps({"error": message}), headers=headers)


def busy(finding: str) -> Response:
    return error(503, f"{finding}; ask again in a second", {"retry-after": "1"})


Reply = Callable[[Response], None]
# Answers once, at once or later, by calling the second argument: most answers are known at once, and a task for each
# would cost more than they do.
Application = Callable[[Request, Reply], None]

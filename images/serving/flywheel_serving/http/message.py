"""A request and its response, as the application sees them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import orjson

from flywheel_serving.peers import UNKNOWN_PEER

JSON = "application/json"
OK_TEMPLATE = (
    f"HTTP/1.1 200 OK\r\ncontent-type: {JSON}\r\ncontent-length: ".encode() + b"%d\r\nconnection: keep-alive\r\n\r\n%b"
)
REQUEST_BYTES = 500  # of the objects of a request, besides its body and its headers
STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


@dataclass(slots=True)
class Request:
    """`target` is the raw path with its query; header names are lower-case, repeated ones joined by a comma.

    `head_cache` is for the application: what it derived from everything but the body. Requests of one head share it.
    `peer` is the client's address, and `caller` the name under which it was authenticated, empty if it was not. `head_bytes` is the memory of the request besides its body.
    """

    method: str
    target: bytes
    headers: dict[bytes, bytes]
    body: bytes
    keep_alive: bool
    head_cache: dict[str, Any] = field(default_factory=dict)
    peer: str = UNKNOWN_PEER
    caller: str = ""
    head_bytes: int = field(default=REQUEST_BYTES, compare=False)

    @property
    def held_bytes(self) -> int:
        return len(self.body) + self.head_bytes

    @property
    def path(self) -> bytes:
        return self.target.partition(b"?")[0]


@dataclass(slots=True)
class Response:
    """A whole response; `headers` are those besides content-type, content-length and connection."""

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: dict[str, str] | None = None

    def encode(self, *, with_body: bool, keep_alive: bool) -> bytes:
        """The response as HTTP/1.1; without the body (HEAD) its length is still that of the body."""
        if self.headers is None and keep_alive and with_body and self.status == 200 and self.content_type is JSON:
            return OK_TEMPLATE % (len(self.body), self.body)  # most responses
        extra = "".join([f"{name}: {value}\r\n" for name, value in self.headers.items()]) if self.headers else ""
        head = (
            f"{STATUS_LINES[self.status]}content-type: {self.content_type}\r\n"
            f"content-length: {len(self.body)}\r\n"
            f"connection: {'keep-alive' if keep_alive else 'close'}\r\n{extra}\r\n"
        ).encode()
        return head + self.body if with_body else head


def error_response(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """The protocol's error object, `{"error": message}`."""
    return Response(status, orjson.dumps({"error": message}), headers=headers)


def busy_response(finding: str) -> Response:
    """503, with the header that asks the client to retry."""
    return error_response(503, f"{finding}; retry in a second", {"retry-after": "1"})


SendResponse = Callable[[Response], None]
# Answers a request by calling the second argument once, at once or later. Most responses are known at once, and a task
# for each would cost more than the response itself.
Application = Callable[[Request, SendResponse], None]

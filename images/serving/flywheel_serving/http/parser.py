"""Bytes of one connection into requests (RFC 9112; llhttp through httptools parses), with bounds on what is held."""

from collections.abc import Callable

import httptools

from flywheel_serving.http.heads import Heads
from flywheel_serving.http.message import Request, Response, error

HEAD_BYTES = 65_536
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

# What the connection has to do next, in this order: answer, write a refusal and close, or write as it is.
Event = Request | Response | bytes


class RequestParser:
    """Feeds events to `emit`. `ended` is true, and input ignored, after a refusal or an upgrade nobody here speaks.

    `held` is the bytes of the body being received; `receiving` is true between a request's first byte and its last.
    """

    def __init__(self, body_limit: int, heads: Heads, emit: Callable[[Event], None]) -> None:
        self._heads = heads
        self._last: Request | None = None  # of the bytes being parsed
        self._parser = httptools.HttpRequestParser(self)
        self._body_limit = body_limit
        self._emit = emit
        self._silent = 0  # bytes since llhttp last gave out something: what it may be holding back
        self.ended = False
        self._reset()

    def feed(self, data: bytes) -> None:
        if self.ended:
            return
        between = not self.receiving and not self._silent
        if between and (request := self._heads.find(data)) is not None:
            self._emit(request)
            return
        self._silent += len(data)
        self._last = None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.ended = True
        except httptools.HttpParserError as cause:
            self.refuse(error(400, f"the request is not valid HTTP/1.1: {cause}"))
        if self._silent > HEAD_BYTES:
            self.refuse(error(431, f"the request's headers are longer than {HEAD_BYTES} bytes"))
        if between and self._last is not None and not self.ended:
            self._heads.remember(data, self._last)

    def refuse(self, refusal: Response) -> None:
        if not self.ended:
            self.ended = True
            self._parts.clear()
            self.held = 0
            self._emit(refusal)

    def _reset(self) -> None:
        self.receiving = False
        self.held = 0
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._parts: list[bytes] = []

    # called by httptools

    def on_message_begin(self) -> None:
        self._reset()
        self.receiving = True

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        self._headers[name] = self._headers[name] + b", " + value if name in self._headers else value

    def on_headers_complete(self) -> None:
        self._silent = 0
        headers = self._headers
        if b"host" not in headers and self._parser.get_http_version() == "1.1":
            self.refuse(error(400, "header 'host' is missing; HTTP/1.1 requires it"))
        elif b"content-length" in headers and int(headers[b"content-length"]) > self._body_limit:
            self._refuse_size()
        elif expected := headers.get(b"expect"):
            if expected.lower() != b"100-continue":
                self.refuse(error(417, "header 'expect': only 100-continue is understood"))
            elif not self.ended:
                self._emit(CONTINUE)

    def on_body(self, body: bytes) -> None:
        if self.ended:
            return
        self._silent = 0
        self.held += len(body)
        self._parts.append(body)
        if self.held > self._body_limit:
            self._refuse_size()

    def on_message_complete(self) -> None:
        if self.ended:
            return
        self._silent = 0
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        method, keep_alive = self._parser.get_method().decode(), self._parser.should_keep_alive()
        request = Request(method, self._target, self._headers, body, keep_alive)
        self._reset()
        self._last = request
        self._emit(request)

    def _refuse_size(self) -> None:
        self.refuse(error(413, f"the body is larger than {self._body_limit} bytes; send fewer rows in each request"))

"""Parses the bytes of one connection into requests (RFC 9112; parsed by llhttp through httptools), with bounds on memory."""

from collections.abc import Callable

import httptools

from flywheel_serving.http.head_cache import HeadCache
from flywheel_serving.http.message import Request, Response, error_response

MAX_HEAD_BYTES, MAX_HEADERS = 65_536, 256
HEADER_OVERHEAD_BYTES = 4  # colon, space and the end of the line
HEADER_OBJECT_BYTES = 200  # of a header's two objects and its place in the dictionary, besides its own bytes
SMALL_HEAD_BYTES = 4096  # a connection itself takes as much
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

# What the connection does next, in order: answer the request, write the response and close, or write the bytes.
Event = Request | Response | bytes


class RequestParser:
    """Gives events to `emit`. After a refusal or CONNECT, `has_ended` is true and input is ignored.

    `is_receiving` is true between a request's first and last byte, and `is_in_head` between its last byte and the end
    of the next head.
    """

    def __init__(self, max_body_bytes: int, head_cache: HeadCache, emit: Callable[[Event], None]) -> None:
        self._head_cache = head_cache
        self._last_request: Request | None = None  # of the bytes being parsed
        self._parser = httptools.HttpRequestParser(self)
        self._max_body_bytes = max_body_bytes
        self._emit = emit
        self._body: bytes | bytearray = b""
        self._is_body_due = False  # of a request that asks for another protocol
        self._unreported_bytes = 0  # since llhttp last reported something: what it may hold back
        self.has_ended = False
        self._reset()

    @property
    def held_bytes(self) -> int:
        """The memory that the request being received takes: its body, and its head if that is not small."""
        if self.has_ended:
            return 0
        head = self._head_bytes + self._unreported_bytes + HEADER_OBJECT_BYTES * self._header_count
        return self._body_bytes + (head if head > SMALL_HEAD_BYTES else 0)

    def find_cached(self, data: bytes) -> Request | None:
        """The request, if `data` is a whole one with a cached head; else None, and `feed` must follow."""
        is_between = not self.is_receiving and not self._unreported_bytes
        return self._head_cache.find(data) if is_between and not self.has_ended else None

    def feed(self, data: bytes) -> None:
        if self.has_ended:
            return
        was_between = not self.is_receiving and not self._unreported_bytes
        self._unreported_bytes += len(data)
        taken = self._parse(data)
        while taken < len(data) and not self.has_ended:
            taken += self._parse(memoryview(data)[taken:])
        if self._unreported_bytes > MAX_HEAD_BYTES:
            self._refuse_head()
        request, self._last_request = self._last_request, None  # an idle connection must not hold a body
        if was_between and request is not None and not self.has_ended:
            self._head_cache.add(data, request)

    def _parse(self, data: bytes | memoryview) -> int:
        """The number of bytes consumed: all, unless a request asks for another protocol."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if not self.has_ended:
                self._ignore_upgrade()
            return int(upgrade.args[0])
        except httptools.HttpParserError as cause:
            self.refuse(error_response(400, f"the request is not valid HTTP/1.1: {cause}"))
        return len(data)

    def refuse(self, refusal: Response) -> None:
        if not self.has_ended:
            self.has_ended = True
            self._headers.clear()
            self._body = b""
            self._emit(refusal)

    def _reset(self) -> None:
        self.is_receiving = False
        self.is_in_head = True
        self._has_two_hosts = False
        self._head_bytes = 0  # of a head that is not refused for its length yet
        self._target = b""
        self._header_count = 0
        self._headers: dict[bytes, bytes] = {}
        self._body_bytes = 0
        self._body = b""

    def _ignore_upgrade(self) -> None:
        """Answers the request like any other: this server speaks HTTP/1.1 alone, and continues with it."""
        stopped, self._parser = self._parser, httptools.HttpRequestParser(self)
        if stopped.get_method() == b"CONNECT":
            self.has_ended = True  # what follows is meant for another host
        elif self._is_body_due:
            # llhttp leaves what follows to the other protocol, but some clients (Java's) ask for h2c with a body. A new
            # parser gets a head with the same framing, and reads the body.
            self._is_body_due = False
            target, headers = self._target, self._headers
            connection = b"keep-alive" if stopped.should_keep_alive() else b"close"
            framing = b"content-length" if b"content-length" in headers else b"transfer-encoding"
            lines = (b" / HTTP/1.1\r\nhost: a\r\nconnection: ", connection, b"\r\n", framing, b": ", headers[framing])
            self._parser.feed_data(b"".join((stopped.get_method(), *lines, b"\r\n\r\n")))
            self._target, self._headers = target, headers

    # called by httptools

    def on_message_begin(self) -> None:
        self._reset()
        self.is_receiving = True

    def on_url(self, url: bytes) -> None:
        self._target += url
        self._head_bytes += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        # A head that arrives in one piece, with all that follows, is longer than its bytes so far say.
        self._head_bytes += len(name) + len(value) + HEADER_OVERHEAD_BYTES
        self._header_count += 1
        if self._head_bytes > MAX_HEAD_BYTES or self._header_count > MAX_HEADERS:
            self._refuse_head()
        if not self.is_in_head or self.has_ended:
            return  # a trailer, which must not be taken for a header (RFC 9110, 6.5.1)
        name = name.lower()
        if name in self._headers:
            self._has_two_hosts = self._has_two_hosts or name == b"host"
            value = self._headers[name] + b", " + value
        self._headers[name] = value

    def on_headers_complete(self) -> None:
        self._unreported_bytes = 0
        self.is_in_head = False
        if self._head_bytes > MAX_HEAD_BYTES:  # of its target alone
            self._refuse_head()
        headers, version = self._headers, self._parser.get_http_version()
        if refusal := self._violation(headers, version):
            self.refuse(refusal)
        elif b"content-length" in headers and int(headers[b"content-length"]) > self._max_body_bytes:
            self._refuse_size()
        elif expected := headers.get(b"expect"):
            if expected.lower() != b"100-continue":
                self.refuse(error_response(417, "header 'expect': only 100-continue is supported"))
            elif version == "1.1" and not self.has_ended:
                self._emit(CONTINUE)
        if b"upgrade" in headers and self._parser.should_upgrade() and self._parser.get_method() != b"CONNECT":
            self._is_body_due = b"transfer-encoding" in headers or int(headers.get(b"content-length", b"0")) > 0

    def _violation(self, headers: dict[bytes, bytes], version: str) -> Response | None:
        """The refusal of what llhttp accepts and RFC 9112 does not (2.3, 3.2, 6.1)."""
        if version == "1.1":
            if b"host" not in headers:
                return error_response(400, "header 'host' is missing; HTTP/1.1 requires it")
        elif version != "1.0":
            return error_response(505, "this port speaks HTTP/1.1; send the request in that version")
        if self._has_two_hosts:
            return error_response(400, "header 'host' is given twice; send it once")
        if b"transfer-encoding" not in headers:
            return None
        if version == "1.0":
            return error_response(400, "header 'transfer-encoding' is not of HTTP/1.0; send a content-length")
        if headers[b"transfer-encoding"].lower() != b"chunked":
            return error_response(501, "header 'transfer-encoding': only chunked is supported; send the body as it is")
        return None

    def on_body(self, body: bytes) -> None:
        if self.has_ended:
            return
        self._unreported_bytes = 0
        if not self._body_bytes:
            self._body = body  # most bodies come in one part
        elif isinstance(self._body, bytearray):
            self._body += body
        else:
            # One buffer: a part may be a single byte, and an object for each would take many times the bytes counted.
            self._body = bytearray(self._body)
            self._body += body
        self._body_bytes += len(body)
        if self._body_bytes > self._max_body_bytes:
            self._refuse_size()

    def on_message_complete(self) -> None:
        if self.has_ended or self._is_body_due:
            return
        self._unreported_bytes = 0
        body = self._body if isinstance(self._body, bytes) else bytes(self._body)
        method, keep_alive = self._parser.get_method().decode(), self._parser.should_keep_alive()
        target = self._target
        if target[:1] != b"/":
            target = _origin_form(target)
        request = Request(method, target, self._headers, body, keep_alive)
        request.head_bytes += self._head_bytes + HEADER_OBJECT_BYTES * self._header_count
        self._reset()
        self._last_request = request
        self._emit(request)

    def _refuse_head(self) -> None:
        if self._header_count > MAX_HEADERS:
            finding = f"the request has more than {MAX_HEADERS} headers; send fewer"
        else:
            finding = f"the request's headers are longer than {MAX_HEAD_BYTES} bytes"
        self.refuse(error_response(431, finding))

    def _refuse_size(self) -> None:
        self.refuse(
            error_response(
                413, f"the body is larger than {self._max_body_bytes} bytes; send fewer rows in each request"
            )
        )


def _origin_form(target: bytes) -> bytes:
    """Path and query of an absolute URL, which a server must accept too (RFC 9112, 3.2.2); any other target unchanged."""
    _, separator, rest = target.partition(b"://")
    if not separator:
        return target
    starts = [index for index in (rest.find(b"/"), rest.find(b"?")) if index >= 0]
    path = rest[min(starts) :] if starts else b""
    return path if path.startswith(b"/") else b"/" + path

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
        self._body_is_due = False  # of a request that asks for another protocol
        self._silent = 0  # bytes since llhttp last gave out something: what it may be holding back
        self.ended = False
        self._reset()

    def whole(self, data: bytes) -> Request | None:
        """The request, if `data` is one with a head that was read before; else None, and `feed` must follow."""
        return None if self.receiving or self._silent or self.ended else self._heads.find(data)

    def feed(self, data: bytes) -> None:
        if self.ended:
            return
        between = not self.receiving and not self._silent
        self._silent += len(data)
        taken = self._parse(data)
        while taken < len(data) and not self.ended:
            taken += self._parse(memoryview(data)[taken:])
        if self._silent > HEAD_BYTES:
            self.refuse(error(431, f"the request's headers are longer than {HEAD_BYTES} bytes"))
        last, self._last = self._last, None  # a connection that rests must not hold a body
        if between and last is not None and not self.ended:
            self._heads.remember(data, last)

    def _parse(self, data: bytes | memoryview) -> int:
        """How many bytes were taken: all, unless a request asks for another protocol."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if not self.ended:
                self._ignore_upgrade()
            return int(upgrade.args[0])
        except httptools.HttpParserError as cause:
            self.refuse(error(400, f"the request is not valid HTTP/1.1: {cause}"))
        return len(data)

    def refuse(self, refusal: Response) -> None:
        if not self.ended:
            self.ended = True
            self._parts.clear()
            self.held = 0
            self._emit(refusal)

    def _reset(self) -> None:
        self.receiving = False
        self.held = 0
        self._in_head = True
        self._two_hosts = False
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._parts: list[bytes] = []

    def _ignore_upgrade(self) -> None:
        """Nobody here speaks another protocol: the request is answered like any, and HTTP/1.1 goes on behind it."""
        stopped, self._parser = self._parser, httptools.HttpRequestParser(self)
        if stopped.get_method() == b"CONNECT":
            self.ended = True  # what follows is meant for somebody else
        elif self._body_is_due:
            # llhttp takes what follows for the other protocol, but Java's client, for one, asks for h2c with a body. A
            # new parser gets a head with the same framing, and reads the body.
            self._body_is_due = False
            target, headers = self._target, self._headers
            connection = b"keep-alive" if stopped.should_keep_alive() else b"close"
            framing = b"content-length" if b"content-length" in headers else b"transfer-encoding"
            lines = (b" / HTTP/1.1\r\nhost: a\r\nconnection: ", connection, b"\r\n", framing, b": ", headers[framing])
            self._parser.feed_data(b"".join((stopped.get_method(), *lines, b"\r\n\r\n")))
            self._target, self._headers = target, headers

    # called by httptools

    def on_message_begin(self) -> None:
        self._reset()
        self.receiving = True

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer: what it says must not pass for what the headers said (RFC 9110, 6.5.1)
        name = name.lower()
        if name in self._headers:
            self._two_hosts = self._two_hosts or name == b"host"
            value = self._headers[name] + b", " + value
        self._headers[name] = value

    def on_headers_complete(self) -> None:
        self._silent = 0
        self._in_head = False
        headers, version = self._headers, self._parser.get_http_version()
        if refusal := self._objection(headers, version):
            self.refuse(refusal)
        elif b"content-length" in headers and int(headers[b"content-length"]) > self._body_limit:
            self._refuse_size()
        elif expected := headers.get(b"expect"):
            if expected.lower() != b"100-continue":
                self.refuse(error(417, "header 'expect': only 100-continue is understood"))
            elif version == "1.1" and not self.ended:
                self._emit(CONTINUE)
        if b"upgrade" in headers and self._parser.should_upgrade() and self._parser.get_method() != b"CONNECT":
            self._body_is_due = b"transfer-encoding" in headers or int(headers.get(b"content-length", b"0")) > 0

    def _objection(self, headers: dict[bytes, bytes], version: str) -> Response | None:
        """What llhttp lets pass and RFC 9112 does not (2.3, 3.2, 6.1)."""
        if version == "1.1":
            if b"host" not in headers:
                return error(400, "header 'host' is missing; HTTP/1.1 requires it")
        elif version != "1.0":
            return error(505, "this port speaks HTTP/1.1; send the request in that version")
        if self._two_hosts:
            return error(400, "header 'host' is given twice; send it once")
        if b"transfer-encoding" not in headers:
            return None
        if version == "1.0":
            return error(400, "header 'transfer-encoding' is not of HTTP/1.0; send a content-length")
        if headers[b"transfer-encoding"].lower() != b"chunked":
            return error(501, "header 'transfer-encoding': only chunked is understood; send the body as it is")
        return None

    def on_body(self, body: bytes) -> None:
        if self.ended:
            return
        self._silent = 0
        self.held += len(body)
        self._parts.append(body)
        if self.held > self._body_limit:
            self._refuse_size()

    def on_message_complete(self) -> None:
        if self.ended or self._body_is_due:
            return
        self._silent = 0
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        method, keep_alive = self._parser.get_method().decode(), self._parser.should_keep_alive()
        target = self._target
        if target[:1] != b"/":
            target = _origin_form(target)
        request = Request(method, target, self._headers, body, keep_alive)
        self._reset()
        self._last = request
        self._emit(request)

    def _refuse_size(self) -> None:
        self.refuse(error(413, f"the body is larger than {self._body_limit} bytes; send fewer rows in each request"))


def _origin_form(target: bytes) -> bytes:
    """Path and query of a whole URL, which a server must take as well (RFC 9112, 3.2.2); anything else as it is."""
    _, found, rest = target.partition(b"://")
    if not found:
        return target
    ends = [at for at in (rest.find(b"/"), rest.find(b"?")) if at >= 0]
    path = rest[min(ends) :] if ends else b""
    return path if path.startswith(b"/") else b"/" + path

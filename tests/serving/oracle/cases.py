"""Requests of clients, proxies and attackers: accepted by all servers, refused by all, or answered in different ways."""

from dataclasses import dataclass

from tests.serving.oracle.raw_http import LAST
from tests.serving.oracle.servers import HEAD_BYTES

HOST = b"Host: a\r\n"
GET = b"GET /a HTTP/1.1\r\n" + HOST
POST = b"POST /a HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
END = b"\r\n"


@dataclass(frozen=True)
class Case:
    """`data`, and a last request that closes the connection, or half a close, unless the server closes by itself."""

    data: bytes
    methods: tuple[str, ...] = ("GET",)
    half_close: bool = False
    closes: bool = False

    @property
    def sent(self) -> bytes:
        return self.data if self.half_close or self.closes else self.data + LAST


def post(body: bytes, headers: bytes = b"") -> bytes:
    return POST + headers + b"Content-Length: %d\r\n\r\n" % len(body) + body


GOOD = {
    "one request": Case(GET + END),
    "a query": Case(b"GET /a?b=c&d=%20 HTTP/1.1\r\n" + HOST + END),
    "a pipeline": Case((GET + END) * 50, ("GET",) * 50),
    "a pipeline of all sorts": Case(
        GET
        + END
        + post(b"body")
        + CHUNKED
        + b"2\r\nab\r\n0\r\n\r\n"
        + b"HEAD /h HTTP/1.1\r\n"
        + HOST
        + END
        + GET
        + END,
        ("GET", "POST", "POST", "HEAD", "GET"),
    ),
    "a body": Case(post(b"hello"), ("POST",)),
    "an empty body": Case(post(b""), ("POST",)),
    "a body of zeros and line ends": Case(post(b"\0\r\n\r\n\0"), ("POST",)),
    "a POST without a length": Case(POST + END, ("POST",)),
    "a GET with a body": Case(GET + b"Content-Length: 3\r\n\r\nabc"),
    "other methods": Case(
        b"".join(method + b" /m HTTP/1.1\r\n" + HOST + END for method in (b"PUT", b"DELETE", b"PATCH", b"OPTIONS")),
        ("PUT", "DELETE", "PATCH", "OPTIONS"),
    ),
    "chunks": Case(CHUNKED + b"5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n", ("POST",)),
    "chunks in upper case with zeros before": Case(CHUNKED + b"000A\r\n0123456789\r\n00\r\n\r\n", ("POST",)),
    "chunk extensions": Case(CHUNKED + b'2;a=b\r\nhi\r\n1;c="d e"\r\n!\r\n0;e\r\n\r\n', ("POST",)),
    "trailers": Case(CHUNKED + b"2\r\nhi\r\n0\r\nA: b\r\nHost: c\r\n\r\n", ("POST",)),
    "chunked in capitals": Case(POST + b"TRANSFER-ENCODING: Chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", ("POST",)),
    "continue": Case(post(b"hello", b"Expect: 100-continue\r\n"), ("POST",)),
    "HEAD": Case(b"HEAD /a HTTP/1.1\r\n" + HOST + END, ("HEAD",)),
    "headers in any case": Case(b"POST /a HTTP/1.1\r\nhOsT: a\r\ncOnTeNt-LeNgTh: 2\r\n\r\nhi", ("POST",)),
    "a header twice": Case(GET + b"X: 1\r\nX: 2\r\nx: 3\r\n\r\n"),
    "spaces around a value": Case(b"POST /a HTTP/1.1\r\nHost:a\r\nContent-Length: \t 2 \t \r\n\r\nhi", ("POST",)),
    "bytes above ASCII in a value": Case(GET + b"X: \xe9\xff\r\n\r\n"),
    "an empty value": Case(GET + b"X:\r\n\r\n"),
    "two hundred headers": Case(GET + b"".join(b"X-%d: a\r\n" % at for at in range(200)) + END),
    "close": Case(GET + b"Connection: close\r\n\r\n", closes=True),
    "close in capitals among others": Case(GET + b"Connection: X-Hop, CLOSE\r\n\r\n", closes=True),
    "keep-alive is not needed": Case(GET + b"Connection: keep-alive\r\n\r\n"),
    "HTTP/1.0 closes": Case(b"GET /a HTTP/1.0\r\n\r\n", closes=True),
    "HTTP/1.0 does not continue": Case(
        b"POST /a HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na", ("POST",), closes=True
    ),
    "an upgrade is ignored": Case(GET + b"Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"),
    "an upgrade with a body": Case(post(b"hi", b"Connection: Upgrade\r\nUpgrade: websocket\r\n"), ("POST",)),
    "an upgrade without a body": Case(
        POST + b"Connection: Upgrade\r\nUpgrade: x\r\nContent-Length: 00\r\n\r\n", ("POST",)
    ),
    "an upgrade with chunks": Case(
        POST
        + b"Transfer-Encoding: chunked\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
        + GET
        + END,
        ("POST", "GET"),
    ),
    "two upgrades": Case((GET + b"Connection: Upgrade\r\nUpgrade: x\r\n\r\n") * 2, ("GET", "GET")),
    "OPTIONS *": Case(b"OPTIONS * HTTP/1.1\r\n" + HOST + END, ("OPTIONS",)),
}

BAD = {
    "no HTTP at all": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no version": b"GET /a\r\n\r\n",
    "no host": b"GET /a HTTP/1.1\r\n\r\n",
    "two hosts": GET + HOST + END,
    "a space in the target": b"GET /a b HTTP/1.1\r\n" + HOST + END,
    "a zero in the target": b"GET /a\0b HTTP/1.1\r\n" + HOST + END,
    "a zero in a value": GET + b"X: a\0b\r\n\r\n",
    "a zero in a name": GET + b"X\0: a\r\n\r\n",
    "a carriage return in a value": GET + b"X: a\rb\r\n\r\n",
    "a space before the colon": GET + b"X : a\r\n\r\n",
    "no name": GET + b": a\r\n\r\n",
    "no colon": GET + b"X\r\n\r\n",
    "a space before the first header": b"GET /a HTTP/1.1\r\n Host: a\r\n\r\n",
    "no method": b" /a HTTP/1.1\r\n" + HOST + END,
    "a broken method": b"G@T /a HTTP/1.1\r\n" + HOST + END,
    "lengths that differ": POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a length with a sign": POST + b"Content-Length: +1\r\n\r\na",
    "a negative length": POST + b"Content-Length: -1\r\n\r\na",
    "a length in words": POST + b"Content-Length: one\r\n\r\na",
    "an empty length": POST + b"Content-Length:\r\n\r\na",
    "a length in hexadecimals": POST + b"Content-Length: 0x1\r\n\r\na",
    "chunked is not last": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "a chunk size that is none": CHUNKED + b"z\r\n",
    "a negative chunk size": CHUNKED + b"-1\r\n",
    "a chunk longer than its size": CHUNKED + b"1\r\nab\r\n",
    "good, then bad": GET + END + b"GET /a HTTP/1.1\r\nX\r\n\r\n",
}

OTHER: dict[str, Case] = {
    "a thousand headers": Case(GET + b"".join(b"X-%d: a\r\n" % at for at in range(1000)) + END),
    "a request after a close": Case(GET + b"Connection: close\r\n\r\n" + GET + END, closes=True),
    "an empty line before": Case(b"\r\n" + GET + END),
    "a length in a trailer": Case(CHUNKED + b"2\r\nhi\r\n0\r\nContent-Length: 99\r\n\r\n", ("POST",)),
    "a header continued on the next line": Case(GET + b"X: a\r\n b\r\n\r\n"),
    "bare line feeds": Case(b"GET /a HTTP/1.1\nHost: a\n\n"),
    "the same length twice": Case(POST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na", ("POST",)),
    "a length and chunks": Case(POST + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX", ("POST",)),
    "an unknown coding": Case(POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", ("POST",)),
    "chunks of HTTP/1.0": Case(b"POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", ("POST",)),
    "an unknown method": Case(b"BREW /a HTTP/1.1\r\n" + HOST + END, ("BREW",)),
    "a method in lower case": Case(b"get /a HTTP/1.1\r\n" + HOST + END, ("get",)),
    "a whole URL": Case(b"GET http://b/a?c HTTP/1.1\r\n" + HOST + END),
    "a whole URL without a path": Case(b"GET http://b?c HTTP/1.1\r\n" + HOST + END),
    "HTTP/2.0": Case(b"GET /a HTTP/2.0\r\n" + HOST + END),
    "HTTP/1.0 stays if asked": Case(b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
    "an expectation of something else": Case(post(b"a", b"Expect: tea\r\n"), ("POST",)),
    "headers that never end": Case(GET + b"X: " + b"a" * (HEAD_BYTES + 10), closes=True),
    "a body that is too large": Case(POST + b"Content-Length: 2000000\r\n\r\n", ("POST",), half_close=True),
    "half closed in the headers": Case(GET, half_close=True),
    "half closed in a body": Case(POST + b"Content-Length: 9\r\n\r\nabc", ("POST",), half_close=True),
}

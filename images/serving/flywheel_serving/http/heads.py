"""Heads of requests that were parsed before: a client that keeps its connection sends the same few again and again.

A request that came in one piece, and whose head equals byte for byte one that the parser has read and accepted, is what the parser
would make of it; finding it here takes a tenth of the time.
"""

from flywheel_serving.http.message import Request

MOST = 1024
LONGEST = 2048  # bytes of a head that is worth keeping
END = b"\r\n\r\n"
# A request with one of these is not framed by its content-length alone, or needs an answer before its body.
OTHERWISE_FRAMED = frozenset({b"transfer-encoding", b"expect", b"upgrade"})


class Heads:
    """Of all connections of a server."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[Request, int]] = {}  # with the length of the whole request

    def find(self, data: bytes) -> Request | None:
        """The request, if `data` is exactly one whole request with a known head."""
        end = data.find(END, 0, LONGEST) + len(END)
        known = self._known.get(data[:end])
        if known is None or known[1] != len(data):
            return None
        first = known[0]
        return Request(first.method, first.target, first.headers, data[end:], True, first.findings)

    def remember(self, data: bytes, request: Request) -> None:
        """`request` is what the parser made of `data` alone, from its first byte to its last."""
        end = data.find(END, 0, LONGEST) + len(END)
        if end < len(END) or end + len(request.body) != len(data) or not request.keep_alive:
            return
        if OTHERWISE_FRAMED & request.headers.keys():
            return
        if len(self._known) >= MOST:
            self._known.clear()
        first = Request(request.method, request.target, request.headers, b"", True, request.findings)
        self._known[data[:end]] = (first, len(data))

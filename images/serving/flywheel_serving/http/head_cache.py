"""Heads of requests that were parsed before: a client that keeps its connection sends the same few again and again.

A request that arrived in one piece, with a head equal byte for byte to one that the parser accepted, is what the parser
would make of it; the look-up takes a tenth of the parser's time.
"""

from flywheel_serving.http.message import Request

MAX_HEADS = 1024
MAX_CACHED_HEAD_BYTES, MAX_CACHED_HEADERS = 2048, 64
HEAD_END = b"\r\n\r\n"
# A request with one of these headers is not framed by its content-length alone, or needs a response before its body.
UNCACHEABLE_HEADERS = frozenset({b"transfer-encoding", b"expect", b"upgrade"})


class HeadCache:
    """Heads of all connections of a server."""

    def __init__(self) -> None:
        self._requests: dict[bytes, tuple[Request, int]] = {}  # by head: the request and its whole length

    def find(self, data: bytes) -> Request | None:
        """The request, if `data` is exactly one whole request with a known head."""
        end = data.find(HEAD_END, 0, MAX_CACHED_HEAD_BYTES) + len(HEAD_END)
        known = self._requests.get(data[:end])
        if known is None or known[1] != len(data):
            return None
        first = known[0]
        return Request(first.method, first.target, first.headers, data[end:], True, first.head_cache)

    def add(self, data: bytes, request: Request) -> None:
        """Adds `request`, which the parser made of `data` alone, from its first byte to its last."""
        end = data.find(HEAD_END, 0, MAX_CACHED_HEAD_BYTES) + len(HEAD_END)
        if end < len(HEAD_END) or end + len(request.body) != len(data) or not request.keep_alive:
            return
        if len(request.headers) > MAX_CACHED_HEADERS or UNCACHEABLE_HEADERS & request.headers.keys():
            return
        if len(self._requests) >= MAX_HEADS:
            self._requests.clear()
        first = Request(request.method, request.target, request.headers, b"", True, request.head_cache)
        self._requests[data[:end]] = (first, len(data))

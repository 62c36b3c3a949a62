"""Which heads are cached, and which requests are found by them."""

import pytest

from flywheel_serving.http.head_cache import MAX_CACHED_HEAD_BYTES, MAX_HEADS, HeadCache
from flywheel_serving.http.message import Request
from flywheel_serving.http.parser import RequestParser

POST = b"POST /infer HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nab"


class Reader:
    """A connection's parser, and its events."""

    def __init__(self, heads: HeadCache) -> None:
        self.events: list[object] = []
        self.parser = RequestParser(1000, heads, self.events.append)


def parsed(*pieces: bytes, heads: HeadCache | None = None) -> list[object]:
    reader = Reader(heads or HeadCache())
    for piece in pieces:
        reader.parser.feed(piece)
    return reader.events


def test_a_repeated_request_is_found_on_any_connection_with_its_own_body() -> None:
    heads = HeadCache()
    [first] = parsed(POST, heads=heads)

    assert heads.find(POST) == first
    found = heads.find(POST[:-2] + b"cd")
    assert isinstance(found, Request)
    assert found.body == b"cd"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(POST[:-1], id="a request whose body is not whole"),
        pytest.param(POST + b"G", id="a request with something behind it"),
        pytest.param(POST.replace(b"host: a", b"host: b"), id="another head"),
        pytest.param(POST[1:], id="a head from its second byte on"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_only_an_identical_head_with_a_whole_body_is_found(data: bytes) -> None:
    heads = HeadCache()
    parsed(POST, heads=heads)

    assert heads.find(data) is None


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(POST.replace(b"host: a", b"host: a\r\nconnection: close"), id="the connection's last"),
        pytest.param(POST.replace(b"host: a", b"host: a\r\nexpect: 100-continue"), id="one that waits for 100"),
        pytest.param(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", id="one in chunks"),
        pytest.param(POST + POST, id="two in one piece"),
        pytest.param(
            POST.replace(b"host: a", b"host: a\r\nx: " + b"y" * MAX_CACHED_HEAD_BYTES), id="one with a long head"
        ),
        pytest.param(POST.replace(b"host: a", b"x: y"), id="one that is refused"),
    ],
)
def test_a_request_that_depends_on_more_than_its_head_is_parsed_each_time(request_: bytes) -> None:
    heads = HeadCache()
    parsed(request_, heads=heads)

    assert heads.find(request_) is None


def test_a_request_in_two_pieces_is_not_cached() -> None:
    heads = HeadCache()
    parsed(POST[:30], POST[30:], heads=heads)

    assert heads.find(POST) is None


def test_no_cached_head_is_found_inside_a_request() -> None:
    heads = HeadCache()
    parsed(POST, heads=heads)
    inner = POST.replace(b"content-length: 2", b"content-length: %d" % len(POST)) + POST

    events = parsed(inner[: -len(POST) - 2], inner[-len(POST) - 2 : -len(POST)], POST, heads=heads)

    assert [event.body for event in events if isinstance(event, Request)] == [b"ab" + POST[: len(POST) - 2]]


def test_the_cache_is_bounded() -> None:
    heads = HeadCache()
    for number in range(3 * MAX_HEADS):
        parsed(POST.replace(b"host: a", b"host: %d" % number), heads=heads)

    assert len(heads._requests) <= MAX_HEADS

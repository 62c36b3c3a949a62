"""What a request takes in memory while it is received."""

import json
import tracemalloc

import pytest

from flywheel_serving.http.head_cache import HeadCache
from flywheel_serving.http.message import Request, Response
from flywheel_serving.http.parser import HEADER_OBJECT_BYTES, MAX_HEADERS, SMALL_HEAD_BYTES, Event, RequestParser

CHUNKED_HEAD = b"POST /infer HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
FED_BYTES = 65_536


class Connection:
    """A parser, and its events."""

    def __init__(self, max_body_bytes: int = 1_000_000) -> None:
        self.events: list[Event] = []
        self.parser = RequestParser(max_body_bytes, HeadCache(), self.events.append)

    def feed(self, data: bytes) -> None:
        for start in range(0, len(data), FED_BYTES):
            self.parser.feed(data[start : start + FED_BYTES])


def headers(count: int) -> bytes:
    return b"".join(b"x%d:\r\n" % number for number in range(count))


def test_a_body_of_tiny_chunks_takes_the_memory_that_is_counted() -> None:
    body = b"ab" * 150_000
    chunks = b"".join(b"2\r\n%b\r\n" % body[start : start + 2] for start in range(0, len(body), 2))
    connection = Connection()
    connection.feed(CHUNKED_HEAD)
    tracemalloc.start()
    try:
        connection.feed(chunks)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert connection.parser.held_bytes >= len(body)
    assert taken < 1.5 * connection.parser.held_bytes
    connection.feed(b"0\r\n\r\n")
    [request] = connection.events
    assert isinstance(request, Request)
    assert (type(request.body), request.body) == (bytes, body)


def test_a_body_in_one_part_is_not_copied() -> None:
    connection = Connection()
    connection.parser.on_message_begin()
    connection.parser.on_body(body := b"x" * 10_000)

    assert connection.parser._body is body


def test_a_head_without_an_end_is_counted_with_its_headers() -> None:
    connection = Connection()
    connection.feed(b"GET / HTTP/1.1\r\n" + headers(200))

    assert connection.parser.held_bytes > 200 * HEADER_OBJECT_BYTES
    assert connection.events == []


def test_the_head_of_an_ordinary_request_is_not_counted() -> None:
    connection = Connection()
    connection.feed(b"GET / HTTP/1.1\r\n" + headers(12))

    assert connection.parser.held_bytes == 0


def test_the_bytes_of_a_request_are_counted_with_its_head() -> None:
    connection = Connection()
    connection.feed(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n" + headers(100) + b"\r\nabcde")

    [request] = connection.events
    assert isinstance(request, Request)
    assert request.held_bytes > 100 * HEADER_OBJECT_BYTES > SMALL_HEAD_BYTES
    assert connection.parser.held_bytes == 0


@pytest.mark.parametrize("line", [b"x%d:\r\n", b"same:%d\r\n"], ids=["names", "one name"])
@pytest.mark.parametrize("end", [b"\r\n", b""], ids=["complete", "without an end"])
def test_more_headers_than_the_limit_are_refused(line: bytes, end: bytes) -> None:
    connection = Connection()
    lines = b"".join(line % number for number in range(MAX_HEADERS + 1))
    connection.feed(b"GET / HTTP/1.1\r\nhost: a\r\n" + lines + end)

    [refusal] = connection.events
    assert isinstance(refusal, Response)
    assert refusal.status == 431
    assert f"more than {MAX_HEADERS} headers" in json.loads(refusal.body)["error"]
    assert connection.parser.held_bytes == 0


def test_trailers_count_as_headers() -> None:
    connection = Connection()
    connection.feed(CHUNKED_HEAD + b"1\r\na\r\n0\r\n" + headers(MAX_HEADERS + 1))

    assert [event.status for event in connection.events if isinstance(event, Response)] == [431]


def test_as_many_headers_as_the_limit_are_accepted() -> None:
    connection = Connection()
    connection.feed(b"GET / HTTP/1.1\r\nhost: a\r\n" + headers(MAX_HEADERS - 1) + b"\r\n")

    assert [type(event) for event in connection.events] == [Request]

"""Ranges, ETags and errors."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from flywheel_reader.errors import RangeNotSatisfiable, StoreUnreachable, Unauthorized
from flywheel_reader.responses import bytes_response, error_response, parse_range

CONTENT = b"0123456789"
ETAG = '"abc"'


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("bytes=0-3", (0, 4)),
        ("bytes=3-", (3, 10)),
        ("bytes=-4", (6, 10)),
        ("bytes=-99", (0, 10)),
        ("bytes=8-99", (8, 10)),
        ("bytes=0-1,4-5", None),
        ("items=0-1", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("bytes=" + "9" * 40 + "-", None),
    ],
)
def test_a_range(header: str, found: tuple[int, int] | None) -> None:
    assert parse_range({"range": header}, 10, ETAG) == found


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=5-4", "bytes=-0"])
def test_a_range_beyond_the_end(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable):
        parse_range({"range": header}, 10, ETAG)


def test_a_range_of_other_content_is_the_whole() -> None:
    assert parse_range({"range": "bytes=0-1", "if-range": '"other"'}, 10, ETAG) is None
    assert parse_range({"range": "bytes=0-1", "if-range": ETAG}, 10, ETAG) == (0, 2)


async def _stream(start: int, end: int) -> AsyncIterator[bytes]:
    yield CONTENT[start:end]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"if-none-match": ETAG}, 304),
        ({"if-none-match": f'"x", W/{ETAG}'}, 304),
        ({"if-none-match": '"x"'}, 200),
        ({"range": "bytes=2-3"}, 206),
    ],
)
def test_bytes_with_an_etag(headers: dict[str, str], status: int) -> None:
    response = asyncio.run(bytes_response(headers, len(CONTENT), ETAG, "text/plain", _stream))

    assert response.status_code == status
    assert response.headers["etag"] == ETAG
    assert response.headers["x-content-type-options"] == "nosniff"


def test_an_error_in_the_first_chunk_is_no_response_that_began() -> None:
    async def broken(_start: int, _end: int) -> AsyncIterator[bytes]:
        raise StoreUnreachable("away")
        yield b""

    with pytest.raises(StoreUnreachable):
        asyncio.run(bytes_response({}, 10, ETAG, "text/plain", broken))


def test_errors_say_how_to_go_on() -> None:
    assert error_response(Unauthorized("no token")).headers["www-authenticate"].startswith("Bearer")
    assert error_response(StoreUnreachable("away")).headers["retry-after"] == "5"

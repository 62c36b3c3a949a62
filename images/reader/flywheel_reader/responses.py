"""Responses: JSON, bytes with ETag and ranges, and errors."""

import re
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import orjson
from starlette.responses import Response, StreamingResponse

from flywheel_reader.errors import RangeNotSatisfiable, ReaderError

# A file may have been written by anybody's code: a browser must neither guess its type nor run it.
SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cache-Control": "private, no-cache",
}
RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
OPTIONS = orjson.OPT_NON_STR_KEYS


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """The value as JSON."""
    content = orjson.dumps(value, option=OPTIONS)
    return Response(content, status, {**SAFE_HEADERS, **(headers or {})}, "application/json")


def error_response(error: ReaderError) -> Response:
    """The error as every endpoint reports it, with what is still known."""
    headers = {}
    if error.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="flywheel-reader"'
    if error.status == 503:
        headers["Retry-After"] = "5"
    return json_response(
        {"error": {"reason": error.reason, "message": error.message}, **error.details}, error.status, headers
    )


def is_unchanged(headers: Mapping[str, str], etag: str) -> bool:
    """Whether the caller has this content already (If-None-Match)."""
    known = [each.strip().removeprefix("W/") for each in headers.get("if-none-match", "").split(",")]
    return etag in known or "*" in known


def not_modified(etag: str) -> Response:
    """304, for a caller that has the content."""
    return Response(status_code=304, headers={**SAFE_HEADERS, "ETag": etag})


def parse_range(headers: Mapping[str, str], size: int, etag: str) -> tuple[int, int] | None:
    """(start, end), end exclusive, of the header Range; None for the whole. Raises RangeNotSatisfiable."""
    text = headers.get("range")
    if text is None or headers.get("if-range", etag) != etag:
        return None
    found = RANGE.fullmatch(text.strip())
    if found is None or not any(found.groups()):
        return None  # several ranges, or another unit: a server may send the whole
    first, last = found.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
    if start >= end:
        raise RangeNotSatisfiable(
            f"the range '{text[:60]}' is beyond the end; there are {size:,} bytes", {"size": size}
        )
    return start, end


def content_response(headers: Mapping[str, str], content: bytes, etag: str, media_type: str) -> Response:
    """Bytes in memory, as a whole or the range that the caller wants."""
    wanted = parse_range(headers, len(content), etag)
    start, end = wanted or (0, len(content))
    about = _describe_bytes(start, end, len(content), etag, is_range=wanted is not None)
    return Response(content[start:end], 206 if wanted else 200, about, media_type)


def _describe_bytes(start: int, end: int, size: int, etag: str, *, is_range: bool) -> dict[str, str]:
    about = {**SAFE_HEADERS, "ETag": etag, "Accept-Ranges": "bytes", "Content-Length": str(end - start)}
    return {**about, "Content-Range": f"bytes {start}-{end - 1}/{size}"} if is_range else about


async def bytes_response(
    headers: Mapping[str, str],
    size: int,
    etag: str,
    media_type: str,
    open_stream: Callable[[int, int], AsyncIterator[bytes]],
    further: Mapping[str, str] | None = None,
) -> Response:
    """Bytes that `open_stream(start, end)` yields, as a whole or the range that the caller wants.

    The first chunk is read before the response starts, so that what is missing or wrong in the store has its own code.
    """
    if is_unchanged(headers, etag):
        return not_modified(etag)
    wanted = parse_range(headers, size, etag)
    start, end = wanted or (0, size)
    about = {**_describe_bytes(start, end, size, etag, is_range=wanted is not None), **(further or {})}
    chunks = open_stream(start, end)
    first = await anext(chunks, b"")
    return StreamingResponse(_chain(first, chunks), 206 if wanted else 200, about, media_type)


async def _chain(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk

"""The reader over HTTP: what was tracked and stored, read with the user's rights."""

import json
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from flywheel.client.errors import FlywheelError
from flywheel.client.transport.endpoints import Endpoint, HTTPRequest
from flywheel.client.transport.retry_after import MAX_RETRIES, retry_seconds

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

Query = Sequence[tuple[str, str]]
API_SERVER = "API server"  # in `details` of an error that it gave in place of the server behind its proxy
PAGE_SIZE = 1000  # items of one request
MAX_JSON_BYTES = 256 << 20
MAX_ERROR_BYTES = 1 << 20
CHUNK_BYTES = 1 << 20
BUSY_SECONDS = 1.0  # until the next attempt, where a busy reader does not say


def path_of(*segments: str) -> str:
    """Returns a path of the reader with each segment quoted, so that no name can reach another path.

    Raises:
        FlywheelError: a segment is empty, `.` or `..`.
    """
    for each in segments:
        if each in ("", ".", ".."):
            raise FlywheelError(f"'{each}' is not a name; correct it", reason="BadName")
    return "/v1/namespaces/" + "/".join(quote(each, safe="") for each in segments)


def file_path(*segments: str, file: str) -> str:
    """Returns the path of a file of an artifact, whose own slashes stay.

    Raises:
        FlywheelError: the file's name would leave the artifact.
    """
    return path_of(*segments, *file.split("/"))


class BrokenResponse(FlywheelError):
    """The connection ended within a response."""


@dataclass(frozen=True)
class Download:
    """A response that is read in chunks. `start` is the position of its first byte, `size` that of the whole file, or None if it is not known."""

    chunks: Iterator[bytes]
    start: int
    size: int | None


@dataclass(frozen=True)
class Reader:
    """Requests to the reader. `renew` is called after a token was not accepted, before the one other attempt, and `notify` with what a list lacks."""

    endpoint: Endpoint
    renew: Callable[[], None] = lambda: None
    notify: Callable[[str], None] = warnings.warn
    sleep: Callable[[float], None] = time.sleep

    def get_json(self, path: str, query: Query = ()) -> dict[str, Any]:
        """Returns the JSON object at a path.

        Raises:
            FlywheelError: the reader refused, or gave no response.
        """
        raw = self.get_bytes(path, query)
        try:
            found = json.loads(raw)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise FlywheelError(f"{self.endpoint.place}: the response to {path} is not a JSON object", reason="Garbled")
        return found

    def get_bytes(self, path: str, query: Query = (), *, max_bytes: int = MAX_JSON_BYTES) -> bytes:
        """Returns what is at a path, of at most `max_bytes`; it is requested once more where the connection breaks within it.

        Raises:
            FlywheelError: the reader refused, or gave no response.
        """
        try:
            with closing(self._open(path, query)) as response:
                return read_bounded(response, max_bytes, self.endpoint.place)
        except BrokenResponse:
            with closing(self._open(path, query)) as response:
                return read_bounded(response, max_bytes, self.endpoint.place)

    def list_items(self, path: str, query: Query = (), limit: int | None = None) -> Iterator[dict[str, Any]]:
        """Yields the items of a list, page by page, at most `limit`."""
        remaining = limit
        token: str | None = None
        while remaining is None or remaining > 0:
            size = PAGE_SIZE if remaining is None else min(remaining, PAGE_SIZE)
            page = self.get_json(path, [*query, ("limit", str(size)), *([("page", token)] if token else [])])
            items = page.get("items") or []
            if page.get("message") and token is None:
                self.notify(str(page["message"]))
            yield from items
            remaining = None if remaining is None else remaining - len(items)
            before, token = token, page.get("next")
            if not token or token == before:
                return

    @contextmanager
    def download(self, path: str, query: Query = (), start: int = 0) -> Iterator[Download]:
        """Opens a file from the byte `start` on, in a `with` block. A server that ignores the range begins at 0."""
        with closing(self._open(path, query, {"Range": f"bytes={start}-"} if start else {})) as response:
            first, size = _position(response, start)
            yield Download(_chunks(response, self.endpoint.place), first, size)

    def _open(self, path: str, query: Query, headers: Mapping[str, str] | None = None) -> "BaseHTTPResponse":
        """Opens a response, once more with a new token where one was not accepted, and again while the reader is busy."""
        request, retries, is_renewed = HTTPRequest("GET", path, query, headers or {}), 0, False
        while True:
            response = self.endpoint.open(request)
            if response.status in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
                return response
            with closing(response):
                error = response_error(response, self.endpoint.place)
            if error.status == HTTPStatus.UNAUTHORIZED and not is_renewed:
                is_renewed = True
                self.renew()
            elif error.reason == "Busy" and retries < MAX_RETRIES:
                retries += 1
                self.sleep(retry_seconds(response) or BUSY_SECONDS)
            else:
                raise error


def read_bounded(response: "BaseHTTPResponse", max_bytes: int, place: str) -> bytes:
    """Returns the body.

    Raises:
        FlywheelError: it is longer, or the connection ended before it did.
    """
    found = bytearray()
    for chunk in _chunks(response, place):
        found += chunk
        if len(found) > max_bytes:
            raise FlywheelError(
                f"{place}: the response has more than {max_bytes:,} bytes; request less", reason="TooLarge"
            )
    return bytes(found)


def response_error(response: "BaseHTTPResponse", place: str) -> FlywheelError:
    """Returns the error of a refused request: of the reader, of a model server, or of the API server's proxy before them."""
    raw = read_bounded(response, MAX_ERROR_BYTES, place)
    try:
        body = json.loads(raw)
    except ValueError:
        body = None
    error = body.get("error") if isinstance(body, dict) else None
    status = response.status
    if isinstance(error, dict):
        message = str(error.get("message") or HTTPStatus(status).phrase)
        known = {key: value for key, value in body.items() if key != "error"}
        return FlywheelError(message, reason=str(error.get("reason") or status), status=status, details=known)
    if isinstance(error, str):
        return FlywheelError(f"{place}: {error}", reason=_phrase(status), status=status)
    if isinstance(body, dict) and body.get("kind") == "Status":
        return FlywheelError(
            _proxy_message(body, place),
            reason=str(body.get("reason") or _phrase(status)),
            status=status,
            details={"server": API_SERVER},
        )
    text = raw[:300].decode(errors="replace").strip()
    return FlywheelError(f"{place} responded with status {status}: {text}", reason=_phrase(status), status=status)


def _proxy_message(body: Mapping[str, Any], place: str) -> str:
    message = str(body.get("message"))
    if body.get("code") == HTTPStatus.FORBIDDEN:
        return f"the API server does not let you use {place}: {message}; ask for the right to get services/proxy, or use the address of its Ingress"
    if body.get("code") in (HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE):
        return f"{place} cannot be reached: {message}; see that it is installed and that its pod is ready"
    return f"{place}: {message}"


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase.replace(" ", "") if status in set(HTTPStatus) else str(status)


def _position(response: "BaseHTTPResponse", start: int) -> tuple[int, int | None]:
    """Returns the position of the first byte, and the size of the whole file."""
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if response.status == HTTPStatus.PARTIAL_CONTENT and found and int(found[1]) == start:
        return start, int(found[2]) if found[2] != "*" else None
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None


def _chunks(response: "BaseHTTPResponse", place: str) -> Iterator[bytes]:
    from urllib3.exceptions import HTTPError

    try:
        yield from response.stream(CHUNK_BYTES)
    except HTTPError as error:
        message = f"{place}: the response ended too early: {error}; try again"
        raise BrokenResponse(message, reason="Unreachable") from error

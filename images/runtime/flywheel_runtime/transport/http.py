"""The HTTP client of all commands: urllib3 without its retries, redirects and decoding, which each caller decides on itself."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from flywheel_runtime.contract.errors import Failure, HostUnreachable, connection_problem

MAX_REDIRECTS = 5
TIMEOUT_SECONDS = 30.0  # without a byte
CHUNK_BYTES = 1 << 20


def connect(url: SplitResult, allowed: tuple[str, ...], timeout: float = TIMEOUT_SECONDS) -> urllib3.HTTPConnectionPool:
    """A pool for an allowed host, which connects to the address that was checked. Raises HostUnknown, Failure."""
    host = url.hostname or ""
    if url.scheme not in ("http", "https") or not host:
        raise Failure("SourceInvalid", f"'{url.geturl()}' is no http or https URL")
    from flywheel_runtime.transport.hosts import check_host, resolve_address  # 1 ms that clients of a store do not need

    check_host(host, allowed)
    port = url.port or (443 if url.scheme == "https" else 80)
    address = resolve_address(host, port, allowed)
    if url.scheme == "https":
        return urllib3.HTTPSConnectionPool(
            address, port, timeout=timeout, cert_reqs="CERT_REQUIRED", server_hostname=host, assert_hostname=host
        )
    return urllib3.HTTPConnectionPool(address, port, timeout=timeout)


def send(
    pool: urllib3.HTTPConnectionPool,
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> urllib3.BaseHTTPResponse:
    """The response, whatever its status, with its body still to be read. Raises HostUnreachable."""
    try:
        return pool.urlopen(
            method,
            path,
            body=body,
            headers={"User-Agent": "flywheel", **(headers or {})},
            retries=False,
            redirect=False,
            assert_same_host=False,  # a proxy gets the whole URL
            preload_content=False,
            decode_content=False,
        )
    except (HTTPError, OSError) as error:
        raise HostUnreachable(connection_problem(error)) from error


def read(response: urllib3.BaseHTTPResponse, limit: int | None = None) -> bytes:
    """The body, or its first `limit` bytes. Its connection returns to the pool, or ends where more is left. Raises HostUnreachable."""
    try:
        return response.read(limit, decode_content=False)
    except (HTTPError, OSError) as error:
        raise HostUnreachable(connection_problem(error)) from error
    finally:
        response.close()


def read_chunks(response: urllib3.BaseHTTPResponse, size: int = CHUNK_BYTES) -> Iterator[bytes]:
    """The body, at most `size` bytes at a time. Raises HostUnreachable."""
    with closing(response):
        try:
            yield from response.stream(size, decode_content=False)
        except (HTTPError, OSError) as error:
            raise HostUnreachable(connection_problem(error)) from error


def path_of(url: SplitResult) -> str:
    """What a request line names."""
    return (url.path or "/") + (f"?{url.query}" if url.query else "")


@dataclass
class Download:
    """One URL. `size` is known once the first response's head is there, if the server says it."""

    url: str
    allowed: tuple[str, ...]
    size: int | None = None

    @property
    def name(self) -> str:
        """The file name: the last part of the path."""
        last = unquote(urlsplit(self.url).path.rpartition("/")[2])
        return last.replace("/", "_").replace("\\", "_") if last not in ("", ".", "..") else "data"

    def measure(self) -> None:
        """Learn the size without the body."""
        with closing(self._open(0)) as response:
            length = response.headers.get("Content-Length", "")
            self.size = int(length) if length.isdecimal() else None

    def stream(self, start: int) -> Iterator[bytes]:
        """The bytes from `start` on. Raises HostUnreachable, Failure."""
        response = self._open(start)
        skip = 0 if response.status == 206 else start  # a server without ranges sends the whole again
        for chunk in read_chunks(response):
            if chunk[skip:]:
                yield chunk[skip:]
            skip = max(0, skip - len(chunk))

    def _open(self, start: int) -> urllib3.BaseHTTPResponse:
        url = self.url
        for _ in range(MAX_REDIRECTS + 1):
            response = self._get(urlsplit(url), start)
            location = response.headers.get("Location")
            if response.status not in (301, 302, 303, 307, 308) or not location:
                _check_status(url, response, start)
                return response
            response.close()
            target = urljoin(url, location)
            if url.startswith("https:") and not target.startswith("https:"):
                raise Failure("HostNotAllowed", f"{url} redirects to {target}, which is not https")
            url = target
        raise Failure("SourceInvalid", f"{self.url} redirects more than {MAX_REDIRECTS} times")

    def _get(self, url: SplitResult, start: int) -> urllib3.BaseHTTPResponse:
        # Compressed files stay as they are; DuckDB reads them.
        headers = {"Host": url.netloc.rpartition("@")[2], "Accept-Encoding": "identity"}
        if start and self.size is not None:
            headers["Range"] = f"bytes={start}-"
        return send(connect(url, self.allowed), "GET", path_of(url), headers)


def _check_status(url: str, response: urllib3.BaseHTTPResponse, start: int) -> None:
    if response.status in (200, 206) and (start or response.status == 200):
        return
    if response.status >= 500 or response.status in (408, 429):
        raise HostUnreachable(f"it answered {response.status} {response.reason}")
    words = f"{url} answered {response.status} {response.reason}; correct the source's url"
    raise Failure("SourceMissing", words)

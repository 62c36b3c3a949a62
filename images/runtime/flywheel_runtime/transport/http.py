"""http and https sources: every hop's host and address checked, bytes streamed as they are, resumed with Range."""

import http.client
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from flywheel_runtime.contract.errors import Failure, HostUnreachable
from flywheel_runtime.transport.hosts import address_of, check_host

MOST_REDIRECTS = 5
TIMEOUT = 30.0  # seconds without a byte
CHUNK = 1 << 20


class _PinnedHTTPS(http.client.HTTPSConnection):
    """TLS for a host name on a connection that was made to a checked address."""

    def __init__(self, raw: socket.socket, host: str, port: int, timeout: float) -> None:
        super().__init__(host, port, timeout=timeout)
        self.sock = ssl.create_default_context().wrap_socket(raw, server_hostname=host)


@dataclass
class Download:
    """One URL. `size` is known once the first answer's head is there, if the server says it."""

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
        connection, answer = self._open(0)
        connection.close()
        self.size = _length(answer)

    def stream(self, start: int) -> Iterator[bytes]:
        """The bytes from `start` on. Raises NoAnswer, Failure."""
        connection, answer = self._open(start)
        skip = 0 if answer.status == 206 else start  # a server without ranges sends the whole again
        try:
            while chunk := _read(answer):
                if chunk[skip:]:
                    yield chunk[skip:]
                skip = max(0, skip - len(chunk))
        finally:
            connection.close()

    def _open(self, start: int) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        url = self.url
        for _ in range(MOST_REDIRECTS + 1):
            connection, answer = self._ask(urlsplit(url), start)
            location = answer.getheader("Location")
            if answer.status not in (301, 302, 303, 307, 308) or not location:
                _check_status(url, answer, start)
                return connection, answer
            connection.close()
            target = urljoin(url, location)
            if url.startswith("https:") and not target.startswith("https:"):
                raise Failure("HostNotAllowed", f"{url} redirects to {target}, which is not https")
            url = target
        raise Failure("SourceInvalid", f"{self.url} redirects more than {MOST_REDIRECTS} times")

    def _ask(self, url: SplitResult, start: int) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        connection = connect(url, self.allowed)
        # Compressed files stay as they are; DuckDB reads them.
        headers = {"Host": url.netloc.rpartition("@")[2], "Accept-Encoding": "identity", "User-Agent": "flywheel"}
        if start and self.size is not None:
            headers["Range"] = f"bytes={start}-"
        try:
            connection.request("GET", (url.path or "/") + (f"?{url.query}" if url.query else ""), headers=headers)
            return connection, connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise HostUnreachable(words(error)) from error


def connect(url: SplitResult, allowed: tuple[str, ...], timeout: float = TIMEOUT) -> http.client.HTTPConnection:
    """A connection to an allowed host at an address that was checked. Raises NoAnswer, NoSuchHost, Failure."""
    host = url.hostname or ""
    if url.scheme not in ("http", "https") or not host:
        raise Failure("SourceInvalid", f"'{url.geturl()}' is no http or https URL")
    check_host(host, allowed)
    port = url.port or (443 if url.scheme == "https" else 80)
    address = address_of(host, port, allowed)
    try:
        raw = socket.create_connection((address, port), timeout)
        if url.scheme == "https":
            return _PinnedHTTPS(raw, host, port, timeout)
    except OSError as error:
        raise HostUnreachable(words(error)) from error
    plain = http.client.HTTPConnection(host, port, timeout=timeout)
    plain.sock = raw
    return plain


def _check_status(url: str, answer: http.client.HTTPResponse, start: int) -> None:
    if answer.status in (200, 206) and (start or answer.status == 200):
        return
    if answer.status >= 500 or answer.status in (408, 429):
        raise HostUnreachable(f"it answered {answer.status} {answer.reason}")
    words = f"{url} answered {answer.status} {answer.reason}; correct the source's url"
    raise Failure("SourceMissing", words)


def _read(answer: http.client.HTTPResponse) -> bytes:
    try:
        chunk = answer.read1(CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise HostUnreachable(words(error)) from error
    if not chunk and answer.length:  # read1 does not tell a short body from a whole one
        raise HostUnreachable(f"the answer ended {answer.length} bytes early")
    return chunk


def _length(answer: http.client.HTTPResponse) -> int | None:
    return answer.length if answer.getheader("Content-Length") else None


def words(error: Exception) -> str:
    """Why there was no answer, in a few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return f"{type(error).__name__}: {error}"

"""JSON over HTTPS in threads: a few requests a minute, which need no client library in the image.

Connections, seconds and bytes are bounded. It follows no redirects and uses no proxies: requests go to the configured
host alone.
"""

import asyncio
import contextlib
import http.client
import ssl
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 5.0
MAX_RESPONSE_BYTES = 1_048_576
CHUNK_BYTES = 65_536

TlsContextFactory = Callable[[], ssl.SSLContext]
_Request = tuple[str, str, bytes | None, dict[str, str]]  # method, path, body, headers


class Unreachable(Exception):
    """No response came; the message names the host and the cause."""


@dataclass(frozen=True, slots=True)
class HttpsResponse:
    """A whole response."""

    status: int
    body: bytes


class HttpsClient:
    """Requests to one host, over connections that stay open: one for each thread."""

    def __init__(self, url: str, tls_context: TlsContextFactory, threads: int = 1) -> None:
        """`url` is https://HOST[:PORT]; `tls_context` is called for each new connection. Raises ValueError."""
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname or parts.username is not None:
            raise ValueError(f"{url[:200]!r} is not an https:// address")
        self._host, self._port = parts.hostname, parts.port or 443
        self._tls_context = tls_context
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="auth")
        self._idle: deque[http.client.HTTPSConnection] = deque()  # its methods are atomic
        self._is_closed = False

    async def request(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> HttpsResponse:
        """Raises Unreachable."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._request, (method, path, body, dict(headers)))

    def close(self) -> None:
        self._is_closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._close_idle()

    def _request(self, request: _Request) -> HttpsResponse:
        try:
            # The host may have closed an idle connection: a new one shows whether the host is reachable.
            with contextlib.suppress(IndexError, http.client.HTTPException, OSError):
                return self._exchange(self._idle.pop(), request)
            connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=TIMEOUT_SECONDS, context=self._tls_context()
            )
            return self._exchange(connection, request)
        except (http.client.HTTPException, OSError, ValueError) as error:
            cause = str(error) or type(error).__name__
            raise Unreachable(f"https://{self._host}:{self._port} does not respond: {cause[:300]}") from error

    def _exchange(self, connection: http.client.HTTPSConnection, request: _Request) -> HttpsResponse:
        try:
            connection.request(*request)
            with connection.getresponse() as response:
                content = _read(response)
        except BaseException:
            connection.close()
            raise
        if response.will_close:
            connection.close()
        else:
            self._idle.append(connection)
        if self._is_closed:
            self._close_idle()
        return HttpsResponse(response.status, content)

    def _close_idle(self) -> None:
        with contextlib.suppress(IndexError):
            while True:
                self._idle.pop().close()


def _read(response: http.client.HTTPResponse) -> bytes:
    """The whole body, within the bounds: a peer that sends slowly must not hold a thread forever."""
    deadline, chunks, size = time.monotonic() + TIMEOUT_SECONDS, [], 0
    while chunk := response.read1(CHUNK_BYTES):
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_RESPONSE_BYTES:
            raise ValueError(f"its response is longer than {MAX_RESPONSE_BYTES} bytes")
        if time.monotonic() > deadline:
            raise TimeoutError(f"its response was not complete after {TIMEOUT_SECONDS:g} s")
    return b"".join(chunks)

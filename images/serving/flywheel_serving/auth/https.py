"""JSON over HTTPS, asked from threads: a few questions a minute, which need no client library in the image.

Bounded: connections, seconds, bytes. No redirects and no proxies: what is asked is what was configured.
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

SECONDS = 5.0
ANSWER_BYTES = 1_048_576

Contexts = Callable[[], ssl.SSLContext]


class Unreachable(Exception):
    """No answer came; the message names who was asked and why none came."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes


class Https:
    """Asks one host, over connections that stay open: one for each of `threads`."""

    def __init__(self, url: str, contexts: Contexts, threads: int = 1) -> None:
        """`url` is https://HOST[:PORT]; `contexts` gives the authorities to trust, asked for each new connection.

        Raises:
            ValueError: it is not such an address.
        """
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname or parts.username is not None:
            raise ValueError(f"{url[:200]!r} is not an https:// address")
        self._host, self._port = parts.hostname, parts.port or 443
        self._contexts = contexts
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="auth")
        self._idle: deque[http.client.HTTPSConnection] = deque()  # its methods are atomic
        self._closed = False

    async def ask(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        """Raises Unreachable."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._ask, method, path, body, dict(headers))

    def close(self) -> None:
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._close_idle()

    def _ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        try:
            # One that was left idle may be closed at the other end: a new one tells whether somebody is there.
            with contextlib.suppress(IndexError, http.client.HTTPException, OSError):
                return self._exchange(self._idle.pop(), method, path, body, headers)
            connection = http.client.HTTPSConnection(self._host, self._port, timeout=SECONDS, context=self._contexts())
            return self._exchange(connection, method, path, body, headers)
        except (http.client.HTTPException, OSError, ValueError) as error:
            words = str(error) or type(error).__name__
            raise Unreachable(f"https://{self._host}:{self._port} gives no answer: {words[:300]}") from error

    def _exchange(
        self,
        connection: http.client.HTTPSConnection,
        method: str,
        path: str,
        body: bytes | None,
        headers: dict[str, str],
    ) -> Answer:
        try:
            connection.request(method, path, body, headers)
            with connection.getresponse() as response:
                content = _read(response)
        except BaseException:
            connection.close()
            raise
        if response.will_close:
            connection.close()
        else:
            self._idle.append(connection)
        if self._closed:
            self._close_idle()
        return Answer(response.status, content)

    def _close_idle(self) -> None:
        with contextlib.suppress(IndexError):
            while True:
                self._idle.pop().close()


def _read(response: http.client.HTTPResponse) -> bytes:
    """All of it, within the bounds: a peer that drips would hold a thread for ever."""
    end, parts, size = time.monotonic() + SECONDS, [], 0
    while part := response.read1(65_536):
        parts.append(part)
        size += len(part)
        if size > ANSWER_BYTES:
            raise ValueError(f"its answer is longer than {ANSWER_BYTES} bytes")
        if time.monotonic() > end:
            raise TimeoutError(f"its answer was not complete after {SECONDS:g} s")
    return b"".join(parts)

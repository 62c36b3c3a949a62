"""Sending responses: a request counts, and its bytes are in memory, until its caller has taken them or has given up."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from flywheel_reader.errors import Busy

MAX_REQUESTS = 64  # at a time; beyond it the reader says that it is busy
MAX_SHARE = 32  # of them, of one caller and of one namespace
MAX_HELD_BYTES = 48 << 20  # of responses that are not sent yet
MAX_HELD_SHARE = 24 << 20  # of them, of one caller
PIECE_BYTES = 64 << 10
GRACE_SECONDS = 30.0  # that all pieces of a response may wait for its caller, and more for each byte that was taken
MIN_BYTES_PER_SECOND = 64 << 10
log = logging.getLogger(__name__)


class RunningRequests:
    """The requests in work and the bytes of their responses, of all callers and of each."""

    def __init__(self) -> None:
        self.count = 0
        self.held_bytes = 0
        self._counts: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()

    @contextmanager
    def request(self, username: str, namespace: str) -> Iterator[None]:
        """Counts a request. Raises Busy if there are too many, or too many of its caller or namespace."""
        owners = (f"caller {username}", f"namespace {namespace}")
        if self.count >= MAX_REQUESTS:
            raise Busy(f"the reader works on {MAX_REQUESTS} requests already; retry in a few seconds")
        for owner in owners:
            if self._counts[owner] >= MAX_SHARE:
                raise Busy(f"the reader works on {MAX_SHARE} requests of {owner[:300]} already; retry in a few seconds")
        self.count += 1
        self._counts.update(owners)
        try:
            yield
        finally:
            self.count -= 1
            _subtract(self._counts, dict.fromkeys(owners, 1))

    @contextmanager
    def body(self, username: str, size: int) -> Iterator[None]:
        """Counts the bytes of a response. Raises Busy if too many are not sent yet."""
        if self.held_bytes + size > MAX_HELD_BYTES or self._bytes[username] + size > MAX_HELD_SHARE:
            raise Busy("the responses that are not read yet are too large; read them, and retry in a few seconds")
        self.held_bytes += size
        self._bytes[username] += size
        try:
            yield
        finally:
            self.held_bytes -= size
            _subtract(self._bytes, {username: size})


def _subtract(counter: Counter[str], amounts: dict[str, int]) -> None:
    counter.subtract(amounts)
    for key in amounts:
        if not counter[key]:
            del counter[key]


class PiecewiseSend:
    """Sends bodies in pieces, each once most of those before are taken. Raises TimeoutError for a caller who reads too slowly."""

    def __init__(self, send: Send) -> None:
        self.gave_up = False
        self._send = send
        self._sent = 0
        self._waited = 0.0

    async def __call__(self, message: Message) -> None:
        """Sends one message of the ASGI protocol."""
        body = message.get("body", b"")
        if len(body) <= PIECE_BYTES:
            return await self._send_piece(message, len(body))
        for start in range(0, len(body), PIECE_BYTES):
            piece = bytes(body[start : start + PIECE_BYTES])
            more = message.get("more_body", False) or start + PIECE_BYTES < len(body)
            await self._send_piece({"type": message["type"], "body": piece, "more_body": more}, len(piece))
        return None

    async def _send_piece(self, message: Message, size: int) -> None:
        started = time.monotonic()
        allowed = GRACE_SECONDS + self._sent / MIN_BYTES_PER_SECOND - self._waited
        try:
            async with asyncio.timeout(max(0.0, allowed)):
                await self._send(message)
        except TimeoutError:
            self.gave_up = True
            raise
        self._sent += size
        self._waited += time.monotonic() - started


async def deliver(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Sends a response. The connection of a caller who reads too slowly is closed."""
    pieces = PiecewiseSend(send)
    try:
        await response(scope, receive, pieces)
    except Exception:
        if not pieces.gave_up:
            raise
        log.warning("a response was not read within its time; its connection is closed")

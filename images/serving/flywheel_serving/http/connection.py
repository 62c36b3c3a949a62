"""One HTTP/1.1 connection: events of the parser are answered one after the other, in their order.

    bytes -> RequestParser -> queue -> `_answer_all` -> bytes
                              (reading pauses while it is long or the client does not read)

Every wait for the client has an end: `deadline`, on the loop's clock, is when the server's sweep calls `expire`.
"""

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from flywheel_serving.http.message import Request, Response, busy, error
from flywheel_serving.http.parser import Event, RequestParser

if TYPE_CHECKING:
    from flywheel_serving.http.server import HttpServer

PIPELINED = 16
LINGER_SECONDS = 2.0
NEVER = float("inf")


class Connection(asyncio.Protocol):
    def __init__(self, server: "HttpServer") -> None:
        self._server = server
        self._limits = server.limits
        self._transport: asyncio.Transport
        self._queue: deque[Event] = deque()
        self._parser = RequestParser(server.limits.body_bytes, self._queue.append)
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._half_closed = False
        self._lingering = False
        self._counted = 0  # body bytes of this connection in the server's budget
        self.deadline = NEVER

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's TCP transports are not asyncio.Transport
        self._server.opened(self)
        self._wait(self._limits.request_seconds)
        if self._server.full:
            self._parser.refuse(busy("too many connections are open"))
            self._start()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._task is not None:
            self._task.cancel()
        self._queue.clear()
        self._count(0)
        self._server.closed(self)

    def data_received(self, data: bytes) -> None:
        was_receiving = self._parser.receiving
        self._parser.feed(data)
        self._count_bodies()
        if self._server.buffered > self._limits.buffered_bytes:
            self._parser.refuse(busy("too many bytes of requests are under way"))
        if self._parser.receiving and not was_receiving and self._task is None:
            self._wait(self._limits.request_seconds)
        if self._queue:
            self._start()

    def eof_received(self) -> bool:
        """A client may close its half and still read: then the transport stays open until all is answered."""
        self._half_closed = True
        return self._task is not None

    def pause_writing(self) -> None:
        self._writable.clear()
        self._wait(self._limits.request_seconds)

    def resume_writing(self) -> None:
        self._writable.set()

    def expire(self) -> None:
        """The deadline has passed."""
        self.deadline = NEVER
        if self._task is not None or self._lingering:
            self._transport.abort()
        elif self._parser.receiving and not self._parser.ended:
            self._parser.refuse(
                error(408, f"the request was not complete after {self._limits.request_seconds:g} seconds")
            )
            self._start()
        else:
            self._transport.close()

    def close_if_idle(self) -> None:
        if self._task is None and not self._parser.receiving:
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def _start(self) -> None:
        if len(self._queue) >= PIPELINED:
            self._transport.pause_reading()
        if self._task is None and not self._transport.is_closing():
            self.deadline = NEVER
            self._task = self._server.loop.create_task(self._answer_all())

    async def _answer_all(self) -> None:
        keep_alive = True
        while self._queue and keep_alive:
            event = self._queue.popleft()
            if isinstance(event, bytes):
                self._transport.write(event)
            elif isinstance(event, Response):
                self._transport.write(event.encode(with_body=True, keep_alive=False))
                self._task = None
                self._linger()
                return
            else:
                keep_alive = await self._answer(event)
        self._task = None
        if not keep_alive or self._half_closed or self._parser.ended:
            self._transport.close()
        else:
            self._wait(self._limits.request_seconds if self._parser.receiving else self._limits.idle_seconds)

    async def _answer(self, request: Request) -> bool:
        response = await self._server.answer(request)
        last = not self._queue and (self._half_closed or self._parser.ended)
        keep_alive = request.keep_alive and not self._server.draining and not last
        self._transport.write(response.encode(with_body=request.method != "HEAD", keep_alive=keep_alive))
        self._count_bodies()
        if not self._writable.is_set():
            await self._writable.wait()
            self.deadline = NEVER
        if len(self._queue) < PIPELINED and not self._half_closed:
            self._transport.resume_reading()
        return keep_alive

    def _linger(self) -> None:
        # Closing with unread bytes makes the kernel send a reset, which can overtake the refusal just written.
        self._lingering = True
        self._wait(LINGER_SECONDS)
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._transport.resume_reading()

    def _wait(self, seconds: float) -> None:
        self.deadline = self._server.loop.time() + seconds

    def _count_bodies(self) -> None:
        queued = sum(len(event.body) for event in self._queue if isinstance(event, Request))
        self._count(queued + self._parser.held)

    def _count(self, size: int) -> None:
        self._server.buffered += size - self._counted
        self._counted = size

"""One HTTP/1.1 connection: events of the parser are answered one after the other, in their order.

    bytes -> RequestParser -> queue -> `_turn` -> application -> `_reply` -> bytes
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
        self._parser = RequestParser(server.limits.body_bytes, server.heads, self._queue.append)
        self._asked: Request | None = None  # whose answer is awaited
        self._turning = False
        self._writable = True
        self._paused = False
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
            self._turn()

    def connection_lost(self, exc: Exception | None) -> None:
        self._queue.clear()
        self._count(0)
        self._server.closed(self)

    def data_received(self, data: bytes) -> None:
        known = self._parser.whole(data)
        if known is None:
            self._feed(data)
        elif self._asked is None and self._writable and self._server.buffered <= self._limits.buffered_bytes:
            self.deadline = NEVER  # as most come: one request after the other
            self._asked = known
            self._server.answer(known, self._reply)
        else:
            self._queue.append(known)
            self._received()

    def _feed(self, data: bytes) -> None:
        was_receiving = self._parser.receiving
        self._parser.feed(data)
        if self._parser.receiving and not was_receiving and not self._is_answering:
            self._wait(self._limits.request_seconds)
        self._received()

    def _received(self) -> None:
        if self._counted or self._parser.held or len(self._queue) > 1:  # a single one is answered now
            self._count_bodies()
        if self._server.buffered > self._limits.buffered_bytes:
            self._parser.refuse(busy("too many bytes of requests are under way"))
        if self._queue:
            if len(self._queue) >= PIPELINED:
                self._paused = True
                self._transport.pause_reading()
            self._turn()

    def eof_received(self) -> bool:
        """A client may close its half and still read: then the transport stays open until all is answered."""
        self._half_closed = True
        return self._is_answering

    def pause_writing(self) -> None:
        self._writable = False
        self._wait(self._limits.request_seconds)

    def resume_writing(self) -> None:
        self._writable = True
        if self._asked is None:
            self._turn()

    def expire(self) -> None:
        """The deadline has passed."""
        self.deadline = NEVER
        if self._is_answering or self._lingering:
            self._transport.abort()
        elif self._parser.receiving and not self._parser.ended:
            self._parser.refuse(
                error(408, f"the request was not complete after {self._limits.request_seconds:g} seconds")
            )
            self._turn()
        else:
            self._transport.close()

    def close_if_idle(self) -> None:
        if not self._is_answering and not self._parser.receiving:
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    @property
    def _is_answering(self) -> bool:
        return self._asked is not None or not self._writable

    def _turn(self) -> None:
        """Answer what can be answered now; `_reply` and `resume_writing` come back for the rest."""
        if self._turning or self._is_answering:
            return
        self._turning = True
        while self._queue and self._asked is None and self._writable and not self._transport.is_closing():
            event = self._queue.popleft()
            if isinstance(event, Request):
                self.deadline = NEVER
                self._asked = event
                self._server.answer(event, self._reply)
            elif isinstance(event, bytes):
                self._transport.write(event)
            else:
                self._transport.write(event.encode(with_body=True, keep_alive=False))
                self._linger()
        self._turning = False
        if not self._queue and not self._is_answering and not self._lingering:
            self._rest()

    def _reply(self, response: Response) -> None:
        request, self._asked = self._asked, None
        if request is None or self._transport.is_closing():
            return  # the client did not wait for it
        last = not self._queue and (self._half_closed or self._parser.ended)
        keep_alive = request.keep_alive and not self._server.draining and not last
        self._transport.write(response.encode(with_body=request.method != "HEAD", keep_alive=keep_alive))
        if self._counted:
            self._count_bodies()
        if not keep_alive:
            self._queue.clear()
            self._transport.close()
            return
        if self._paused and len(self._queue) < PIPELINED and not self._half_closed:
            self._paused = False
            self._transport.resume_reading()
        if self._queue:
            self._turn()
        elif self._writable and not self._turning:
            self._rest()

    def _rest(self) -> None:
        """All that came is answered."""
        if self._half_closed or self._parser.ended:
            self._transport.close()
        else:
            self._wait(self._limits.request_seconds if self._parser.receiving else self._limits.idle_seconds)

    def _linger(self) -> None:
        # Closing with unread bytes makes the kernel send a reset, which can overtake the refusal just written.
        self._queue.clear()
        self._lingering = True
        self._wait(LINGER_SECONDS)
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._transport.resume_reading()

    def _wait(self, seconds: float) -> None:
        self.deadline = self._server.loop.time() + seconds

    def _count_bodies(self) -> None:
        held = self._parser.held
        for event in self._queue:
            if isinstance(event, Request):
                held += len(event.body)
        if held != self._counted:
            self._count(held)

    def _count(self, size: int) -> None:
        self._server.buffered += size - self._counted
        self._counted = size

"""One HTTP/1.1 connection: the parser's events are answered one after the other, in their order.

    bytes -> RequestParser -> queue -> `_process_queue` -> application -> `_send_response` -> bytes
                              (reading pauses while the queue is long or the client does not read)

Every wait for the client ends: at `deadline`, on the loop's clock, the server calls `expire`.
"""

import asyncio
from collections import deque
from typing import Protocol

from flywheel_serving.http.body_budget import BodyBudget
from flywheel_serving.http.config import HttpLimits
from flywheel_serving.http.connection_table import IN_HEAD, LINGERING, SILENT, USED, WAITING_FOR_CLIENT, Idleness
from flywheel_serving.http.head_cache import HeadCache
from flywheel_serving.http.message import Request, Response, SendResponse, busy_response, error_response
from flywheel_serving.http.parser import Event, RequestParser
from flywheel_serving.peers import UNKNOWN_PEER, peer_of_socket

MAX_PIPELINED_REQUESTS = 16
LINGER_SECONDS = 2.0
NEVER = float("inf")
EVICTED = (
    "the request was not complete when other clients needed its room, and this client had the most requests; "
    "retry in a second, and send fewer requests at once"
)


class ConnectionOwner(Protocol):
    """What a connection needs of the server that accepted it."""

    limits: HttpLimits
    head_cache: HeadCache
    loop: asyncio.AbstractEventLoop
    body_budget: BodyBudget
    is_draining: bool

    def add_connection(self, connection: "Connection") -> bool: ...

    def remove_connection(self, connection: "Connection") -> None: ...

    def answer(self, request: Request, send: SendResponse) -> None: ...


class Connection(asyncio.Protocol):
    """Answers the requests of one client, in their order."""

    def __init__(self, server: ConnectionOwner) -> None:
        self._server = server
        self._limits = server.limits
        self._transport: asyncio.Transport
        self._queue: deque[Event] = deque()
        self._parser = RequestParser(server.limits.body_bytes, server.head_cache, self._queue.append)
        self._request: Request | None = None  # whose response is awaited
        self._is_processing = False
        self._is_writable = True
        self._is_paused = False
        self._is_half_closed = False
        self._is_lingering = False
        self._has_answered = False
        self._requests_bytes = 0  # of the requests in the queue and the one being answered, since they were counted
        self._budgeted_bytes = 0  # of this connection, in the server's budget
        self.deadline = NEVER
        self.peer = UNKNOWN_PEER

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's TCP transports are not asyncio.Transport
        self.peer = peer_of_socket(transport.get_extra_info("peername"))
        self._set_deadline(self._limits.request_seconds)
        if not self._server.add_connection(self):
            self._parser.refuse(busy_response("too many connections are open"))
            self._process_queue()

    def connection_lost(self, exc: Exception | None) -> None:
        self._queue.clear()
        self._set_budgeted_bytes(0)
        self._server.remove_connection(self)

    def data_received(self, data: bytes) -> None:
        request, server = self._parser.find_cached(data), self._server
        if request is None:
            self._feed(data)
        elif self._request is None and self._is_writable and not server.body_budget.is_exceeded:
            self.deadline = NEVER  # most clients send one request after the other
            self._request = request
            request.peer = self.peer
            server.answer(request, self._send_response)
        else:
            self._queue.append(request)
            self._on_events()

    def _feed(self, data: bytes) -> None:
        was_receiving = self._parser.is_receiving
        self._parser.feed(data)
        if self._parser.is_receiving and not was_receiving and not self._is_answering:
            self._set_deadline(self._limits.request_seconds)
        self._on_events()

    def _on_events(self) -> None:
        # A single request is answered now, and need not be counted.
        if self._budgeted_bytes or self._parser.is_receiving or self._request is not None or len(self._queue) > 1:
            self._count_requests()
            self._update_budget()
        budget = self._server.body_budget
        holds_bytes = self._budgeted_bytes or budget.is_exceeded
        if holds_bytes and not budget.has_room(self):
            self._parser.refuse(busy_response("too many bytes of requests are in flight"))
            self._update_budget()
        if self._queue:
            if len(self._queue) >= MAX_PIPELINED_REQUESTS:
                self._is_paused = True
                self._transport.pause_reading()
            self._process_queue()

    def eof_received(self) -> bool:
        """Keeps the transport open until all is answered: a client may close its half and still read."""
        self._is_half_closed = True
        return self._is_answering

    def pause_writing(self) -> None:
        self._is_writable = False
        self._set_deadline(self._limits.request_seconds)
        self._update_budget()

    def resume_writing(self) -> None:
        self._is_writable = True
        self._update_budget()
        if self._request is None:
            self._process_queue()

    def expire(self) -> None:
        """Ends the wait whose deadline has passed."""
        self.deadline = NEVER
        if self._is_answering or self._is_lingering:
            self._transport.abort()
        elif self._parser.is_receiving and not self._parser.has_ended:
            seconds = self._limits.request_seconds
            self._parser.refuse(error_response(408, f"the request was not complete after {seconds:g} seconds"))
            self._process_queue()
        else:
            self._transport.close()

    def close_if_idle(self) -> None:
        if not self._is_answering and not self._parser.is_receiving:
            self._transport.close()

    @property
    def idleness(self) -> Idleness | None:
        """Connections that never sent a request come first, then those that wait longest, then those amid the head of one.

        The last ones are those whose clients send a body, or read a response.
        """
        if self._is_lingering:
            stage = LINGERING
        elif not self._is_writable:
            stage = WAITING_FOR_CLIENT
        elif self._request is not None or self._queue:
            return None
        elif not self._parser.is_in_head:
            stage = WAITING_FOR_CLIENT
        else:
            stage = IN_HEAD if self._parser.is_receiving else USED if self._has_answered else SILENT
        return stage, self.deadline

    def evict(self) -> None:
        """Makes room for another connection, or for the bytes of another client."""
        if self._is_lingering or not self._is_writable:
            self._transport.abort()
        elif self._parser.is_in_head:
            self._transport.close()
        else:
            self._parser.refuse(error_response(429, EVICTED, {"retry-after": "1"}))
            self._process_queue()
            self._server.loop.call_later(LINGER_SECONDS, self._transport.abort)  # the table has forgotten it
        self._set_budgeted_bytes(0)

    def abort(self) -> None:
        self._transport.abort()

    @property
    def _is_answering(self) -> bool:
        return self._request is not None or not self._is_writable

    def _process_queue(self) -> None:
        """Answers what can be answered now; `_send_response` and `resume_writing` continue with the rest."""
        if self._is_processing or self._is_answering:
            return
        self._is_processing = True
        while self._queue and self._request is None and self._is_writable and not self._transport.is_closing():
            event = self._queue.popleft()
            if isinstance(event, Request):
                self.deadline = NEVER
                self._request = event
                event.peer = self.peer
                self._server.answer(event, self._send_response)
            elif isinstance(event, bytes):
                self._transport.write(event)
            else:
                self._transport.write(event.encode(with_body=True, keep_alive=False))
                self._linger()
        self._is_processing = False
        if not self._queue and not self._is_answering and not self._is_lingering:
            self._on_idle()

    def _send_response(self, response: Response) -> None:
        request, self._request = self._request, None
        self._has_answered = True
        if request is None or self._transport.is_closing():
            return  # the client did not wait for it
        is_last = not self._queue and (self._is_half_closed or self._parser.has_ended)
        keep_alive = request.keep_alive and not self._server.is_draining and not is_last
        self._transport.write(response.encode(with_body=request.method != "HEAD", keep_alive=keep_alive))
        if self._budgeted_bytes:
            # Not counted anew: a pipeline may be long, and each of its responses comes here.
            self._requests_bytes = self._requests_bytes - request.held_bytes if self._queue else 0
            self._update_budget()
        if not keep_alive:
            self._queue.clear()
            self._transport.close()
            return
        if self._is_paused and len(self._queue) < MAX_PIPELINED_REQUESTS and not self._is_half_closed:
            self._is_paused = False
            self._transport.resume_reading()
        if self._queue:
            self._process_queue()
        elif self._is_writable and not self._is_processing:
            self._on_idle()

    def _on_idle(self) -> None:
        """Closes the connection, or waits for the next request: all that came is answered."""
        if self._is_half_closed or self._parser.has_ended:
            self._transport.close()
        else:
            limits = self._limits
            seconds = limits.request_seconds if self._parser.is_receiving else limits.idle_seconds
            self.deadline = self._server.loop.time() + seconds  # not by `_set_deadline`: each request ends here

    def _linger(self) -> None:
        # Closing with unread bytes makes the kernel send a reset, which can overtake the refusal just written.
        self._queue.clear()
        self._is_lingering = True
        self._set_deadline(LINGER_SECONDS)
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._transport.resume_reading()

    def _set_deadline(self, seconds: float) -> None:
        self.deadline = self._server.loop.time() + seconds

    def _count_requests(self) -> None:
        size = 0 if self._request is None else self._request.held_bytes
        for event in self._queue:
            if isinstance(event, Request):
                size += event.held_bytes
        self._requests_bytes = size

    def _update_budget(self) -> None:
        size = self._parser.held_bytes + self._requests_bytes
        if not self._is_writable:
            size += self._transport.get_write_buffer_size()
        self._set_budgeted_bytes(size)

    def _set_budgeted_bytes(self, size: int) -> None:
        if size != self._budgeted_bytes:
            self._budgeted_bytes = size
            self._server.body_budget.set_bytes(self, size)

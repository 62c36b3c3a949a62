"""HTTP/1.1 to one address over kept-alive connections, one request at a time on each (RFC 9112; parsed by httptools).

`send` always ends in one later call of `on_response` on the event loop: with the response, or with NoResponse. The
caller bounds the number of requests in flight, and so the number of connections. Each new connection resolves the host.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import httptools

from flywheel_serving.route.codec import UpstreamResponse

# Older connections are closed, so that the challenger's newer pods get their share.
MAX_CONNECTION_AGE_SECONDS = 60.0
MAX_HEAD_BYTES = 65_536


@dataclass(frozen=True)
class NoResponse:
    """Why no response came; `is_late` if the timeout passed, else the connection failed."""

    finding: str
    is_late: bool = False


ReceivedCallback = Callable[[UpstreamResponse | NoResponse], None]


@dataclass(slots=True, eq=False)
class _Exchange:
    """One request in flight: it waits for a connection that is being opened, or for its response on one."""

    payload: bytes
    on_response: ReceivedCallback
    timer: asyncio.TimerHandle = field(init=False)
    opening: "asyncio.Task[None] | None" = None
    connection: "_Connection | None" = None
    is_on_reused_connection: bool = False


class ConnectionPool:
    """Connections to one address."""

    def __init__(self, host: str, port: int, max_body_bytes: int) -> None:
        """`max_body_bytes` bounds one response's body."""
        self._host, self._port = host, port
        self._loop = asyncio.get_running_loop()
        self._idle: list[_Connection] = []
        self._in_flight: set[_Exchange] = set()
        self._is_closed = False
        self.max_response_bytes = max_body_bytes + MAX_HEAD_BYTES

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    def send(self, payload: bytes, timeout_seconds: float, on_response: ReceivedCallback) -> None:
        """Sends the request `payload`, and gives `on_response` what came back within the timeout."""
        exchange = _Exchange(payload, on_response)
        exchange.timer = self._loop.call_later(timeout_seconds, self._on_timeout, exchange, timeout_seconds)
        self._in_flight.add(exchange)
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closing:
                exchange.is_on_reused_connection = True
                connection.send(exchange)
                return
        self._open(exchange)

    def close(self) -> None:
        """Closes idle connections, and others once their request has ended."""
        self._is_closed = True
        for connection in self._idle:
            connection.abort()
        self._idle.clear()

    def _open(self, exchange: _Exchange) -> None:
        exchange.is_on_reused_connection = False
        exchange.opening = self._loop.create_task(self._connect(exchange))

    async def _connect(self, exchange: _Exchange) -> None:
        try:
            _, connection = await self._loop.create_connection(lambda: _Connection(self), self._host, self._port)
        except (OSError, UnicodeError) as error:  # UnicodeError: not a host name
            self._end(exchange, NoResponse(f"cannot connect: {error}"))
            return
        exchange.opening = None
        connection.send(exchange)

    def _on_timeout(self, exchange: _Exchange, seconds: float) -> None:
        if exchange.opening is not None:
            exchange.opening.cancel()
        if exchange.connection is not None:
            exchange.connection.abort()  # the response may still come, and must not be taken for another request's
        self._end(exchange, NoResponse(f"no response within {seconds:g} s", is_late=True))

    # called by connections

    def exchange_ended(
        self, exchange: _Exchange, received: UpstreamResponse | NoResponse, reusable: "_Connection | None"
    ) -> None:
        """`reusable` is the connection if another request may use it."""
        if reusable is not None:
            if self._is_closed or self._loop.time() - reusable.opened_at > MAX_CONNECTION_AGE_SECONDS:
                reusable.abort()
            else:
                self._idle.append(reusable)
        self._end(exchange, received)

    def connection_closed(self, connection: "_Connection", exchange: _Exchange | None, received_bytes: int) -> None:
        """The challenger closed `connection`, `received_bytes` into the response to `exchange`."""
        if exchange is None:
            if connection in self._idle:
                self._idle.remove(connection)
        elif exchange.is_on_reused_connection and not received_bytes:
            # Most likely closed for idleness as we wrote. An inference may be sent twice.
            self._open(exchange)
        else:
            self._end(exchange, NoResponse("the connection was closed before the response was complete"))

    def _end(self, exchange: _Exchange, received: UpstreamResponse | NoResponse) -> None:
        if exchange in self._in_flight:
            self._in_flight.discard(exchange)
            exchange.timer.cancel()
            exchange.on_response(received)


class _Connection(asyncio.Protocol):
    """One connection of the pool; `_exchange` is the request that waits for its response here."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._transport: asyncio.Transport
        self._exchange: _Exchange | None = None
        self.opened_at = asyncio.get_running_loop().time()

    @property
    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def send(self, exchange: _Exchange) -> None:
        exchange.connection, self._exchange = self, exchange
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[bytes, bytes] = {}
        self._body_parts: list[bytes] = []
        self._received_bytes = 0
        self._is_complete = self._keep_alive = False
        self._transport.write(exchange.payload)

    def abort(self) -> None:
        self._exchange = None
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's TCP transports are not asyncio.Transport

    def connection_lost(self, exc: Exception | None) -> None:
        exchange, self._exchange = self._exchange, None
        self._pool.connection_closed(self, exchange, self._received_bytes if exchange is not None else 0)

    def data_received(self, data: bytes) -> None:
        if self._exchange is None:  # no request waits: this could be taken for the next request's response
            self._transport.abort()
            return
        self._received_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(f"the response is not valid HTTP/1.1: {error}")
            return
        if self._received_bytes > self._pool.max_response_bytes:
            self._fail(f"the response is larger than {self._pool.max_response_bytes} bytes")
        elif self._is_complete:
            self._finish()

    def _fail(self, finding: str) -> None:
        exchange = self._exchange
        self.abort()
        if exchange is not None:
            self._pool.exchange_ended(exchange, NoResponse(finding), None)

    def _finish(self) -> None:
        exchange, self._exchange = self._exchange, None
        assert exchange is not None
        response = UpstreamResponse(self._parser.get_status_code(), self._headers, b"".join(self._body_parts))
        if not self._keep_alive:
            self._transport.close()
        self._pool.exchange_ended(exchange, response, self if self._keep_alive else None)

    # called by httptools

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        self._body_parts.append(body)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() < 200:  # such as 100 Continue: the response is still to come
            self._headers.clear()
        else:
            self._is_complete = True
            self._keep_alive = self._parser.should_keep_alive()  # llhttp forgets it after this

    def on_message_begin(self) -> None:
        if self._is_complete:
            raise ValueError("two responses to one request")

"""HTTP/1.1 to one address over kept-alive connections, one request at a time on each (RFC 9112; llhttp through httptools parses).

`ask` always ends in one call of `received`, later, on the event loop: a Reply, or the Trouble that kept it away. Who asks bounds how many
requests are under way, and so how many connections there are. The host is looked up for each new connection.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import httptools

from flywheel_serving.route.wire import Reply

OLDEST_SECONDS = 60.0  # then a connection is made anew, so that the challenger's newer pods get their share
HEAD_BYTES = 65_536


@dataclass(frozen=True)
class Trouble:
    """No answer: `late` if time was over, else the connection failed."""

    finding: str
    late: bool = False


Received = Callable[[Reply | Trouble], None]


@dataclass(slots=True, eq=False)
class _Asked:
    """One request under way: it waits for a connection that is being opened, or for its answer on one."""

    payload: bytes
    received: Received
    timer: asyncio.TimerHandle = field(init=False)
    opening: "asyncio.Task[None] | None" = None
    connection: "_Connection | None" = None
    reused: bool = False  # the connection was there before


class Pool:
    def __init__(self, host: str, port: int, most_bytes: int) -> None:
        """`most_bytes` bounds one answer's body."""
        self._host, self._port = host, port
        self._loop = asyncio.get_running_loop()
        self._idle: list[_Connection] = []
        self._under_way: set[_Asked] = set()
        self._closed = False
        self.most_bytes = most_bytes + HEAD_BYTES

    @property
    def under_way(self) -> int:
        return len(self._under_way)

    def ask(self, payload: bytes, seconds: float, received: Received) -> None:
        """Sends the request `payload`; what came back within `seconds` is given to `received`."""
        asked = _Asked(payload, received)
        asked.timer = self._loop.call_later(seconds, self._late, asked, seconds)
        self._under_way.add(asked)
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closing:
                asked.reused = True
                connection.send(asked)
                return
        self._open(asked)

    def close(self) -> None:
        """Nothing is kept from now on; what is under way may still end."""
        self._closed = True
        for connection in self._idle:
            connection.abort()
        self._idle.clear()

    def _open(self, asked: _Asked) -> None:
        asked.reused = False
        asked.opening = self._loop.create_task(self._connect(asked))

    async def _connect(self, asked: _Asked) -> None:
        try:
            _, connection = await self._loop.create_connection(lambda: _Connection(self), self._host, self._port)
        except (OSError, UnicodeError) as error:  # UnicodeError: what is no host name
            self._end(asked, Trouble(f"cannot connect: {error}"))
            return
        asked.opening = None
        connection.send(asked)

    def _late(self, asked: _Asked, seconds: float) -> None:
        if asked.opening is not None:
            asked.opening.cancel()
        if asked.connection is not None:
            asked.connection.abort()  # its answer may still come: nobody else must read it
        self._end(asked, Trouble(f"no answer within {seconds:g} s", late=True))

    # called by connections

    def ended(self, asked: _Asked, found: Reply | Trouble, connection: "_Connection | None") -> None:
        """`connection` is given if it can be used again."""
        if connection is not None:
            if self._closed or self._loop.time() - connection.born > OLDEST_SECONDS:
                connection.abort()
            else:
                self._idle.append(connection)
        self._end(asked, found)

    def lost(self, connection: "_Connection", asked: _Asked | None, untouched: bool) -> None:
        """The other side closed; `untouched` if not one byte of an answer had come."""
        if asked is None:
            if connection in self._idle:
                self._idle.remove(connection)
        elif (
            asked.reused and untouched
        ):  # closed for idleness as we wrote, most likely; an inference may be asked twice
            self._open(asked)
        else:
            self._end(asked, Trouble("the connection was closed before the answer was whole"))

    def _end(self, asked: _Asked, found: Reply | Trouble) -> None:
        if asked in self._under_way:
            self._under_way.discard(asked)
            asked.timer.cancel()
            asked.received(found)


class _Connection(asyncio.Protocol):
    """One connection of the pool; `_asked` is the request whose answer it waits for."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._transport: asyncio.Transport
        self._asked: _Asked | None = None
        self.born = asyncio.get_running_loop().time()

    @property
    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def send(self, asked: _Asked) -> None:
        asked.connection, self._asked = self, asked
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[bytes, bytes] = {}
        self._parts: list[bytes] = []
        self._size = 0
        self._whole = self._keep = False
        self._transport.write(asked.payload)

    def abort(self) -> None:
        self._asked = None
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's TCP transports are not asyncio.Transport

    def connection_lost(self, exc: Exception | None) -> None:
        asked, self._asked = self._asked, None
        self._pool.lost(self, asked, asked is not None and self._size == 0)

    def data_received(self, data: bytes) -> None:
        if self._asked is None:  # nobody asked: what comes next could be taken for the next request's answer
            self._transport.abort()
            return
        self._size += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(f"the answer is not valid HTTP/1.1: {error}")
            return
        if self._size > self._pool.most_bytes:
            self._fail(f"the answer is larger than {self._pool.most_bytes} bytes")
        elif self._whole:
            self._answer()

    def _fail(self, finding: str) -> None:
        asked = self._asked
        self.abort()
        if asked is not None:
            self._pool.ended(asked, Trouble(finding), None)

    def _answer(self) -> None:
        asked, self._asked = self._asked, None
        assert asked is not None
        reply = Reply(self._parser.get_status_code(), self._headers, b"".join(self._parts))
        if not self._keep:
            self._transport.close()
        self._pool.ended(asked, reply, self if self._keep else None)

    # called by httptools

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() < 200:  # such as 100 Continue: the answer is still to come
            self._headers.clear()
        else:
            self._whole = True
            self._keep = self._parser.should_keep_alive()  # afterwards llhttp has forgotten it

    def on_message_begin(self) -> None:
        if self._whole:
            raise ValueError("two answers to one request")

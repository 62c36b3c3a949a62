"""Connections: bounded in all and for each peer, idle ones make room, and a head has a deadline."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

import pytest
import uvicorn
from starlette.types import Message, Receive, Scope, Send

from flywheel_reader.server import protocol
from flywheel_reader.server.connections import ConnectionTable
from flywheel_reader.server.probes import MAX_PROBES, ProbeServer
from flywheel_reader.server.protocol import BoundedProtocol
from tests.runtime.s3_server import free_port

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HEAD_SECONDS = 0.3
Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


@dataclass(eq=False)
class Connection:
    """One that does nothing."""

    peer: str
    is_idle: bool = True
    evicted: list[str] = field(default_factory=list)

    def evict(self) -> None:
        self.evicted.append(self.peer)


def test_an_idle_connection_of_the_largest_peer_makes_room() -> None:
    table = ConnectionTable(max_connections=4, max_of_peer=3)
    busy, idle = Connection("a", is_idle=False), Connection("a")
    assert all(table.add(each) for each in (busy, idle, Connection("a"), Connection("b")))

    assert table.add(Connection("c"))

    assert (idle.evicted, busy.evicted, len(table)) == (["a"], [], 4)


def test_one_peer_has_a_share_and_busy_connections_stay() -> None:
    table = ConnectionTable(max_connections=4, max_of_peer=3)
    busy = [Connection("a", is_idle=False) for _ in range(3)]
    assert all(map(table.add, busy))

    assert not table.add(Connection("a"))
    assert table.add(Connection("b"))
    assert not any(each.evicted for each in busy)

    for each in (*busy, Connection("a")):
        table.remove(each)
    assert len(table) == 1


@pytest.fixture
def bounded(monkeypatch: pytest.MonkeyPatch) -> Iterator[ConnectionTable]:
    """The protocol with a short deadline and a table of its own."""
    table = ConnectionTable(max_connections=4, max_of_peer=3)
    monkeypatch.setattr(protocol, "HEAD_SECONDS", HEAD_SECONDS)
    monkeypatch.setattr(protocol, "CLOSING_SECONDS", HEAD_SECONDS)
    monkeypatch.setattr(BoundedProtocol, "table", table)
    yield table
    assert len(table) == 0


async def _respond(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["path"] == "/slow":
        await asyncio.sleep(3 * HEAD_SECONDS)
    if scope["path"] == "/left":  # as delivery leaves a response that nobody reads
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * (16 << 20), "more_body": True})
        return
    start: Message = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
    await send(start)
    await send({"type": "http.response.body", "body": b"ok"})


def serve(test: Callable[[Connect], Awaitable[None]]) -> None:
    """Runs a test with a server on loopback."""

    async def run() -> None:
        port = free_port()
        config = uvicorn.Config(_respond, port=port, http=BoundedProtocol, lifespan="off", log_config=None, ws="none")
        server = uvicorn.Server(config)
        task = asyncio.create_task(server._serve())
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            await test(lambda: asyncio.open_connection("127.0.0.1", port))
        finally:
            server.should_exit = True
            await task

    asyncio.run(asyncio.wait_for(run(), 30))


@pytest.mark.integration
@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost:",
        REQUEST + b"GET / HT",
        REQUEST.replace(b"\r\n\r\n", b"\r\nContent-Length: 9\r\n\r\nx"),
    ],
    ids=["nothing", "half a head", "half a second head", "half a body"],
)
def test_a_head_that_does_not_end_is_given_up(bounded: ConnectionTable, sent: bytes) -> None:
    async def test(connect: Connect) -> None:
        reader, writer = await connect()
        writer.write(sent)
        started = time.monotonic()
        while await reader.read(1000):
            writer.write(b"y")  # a byte now and then does not extend it
        assert time.monotonic() - started < 20 * HEAD_SECONDS
        writer.close()

    serve(test)


@pytest.mark.integration
def test_a_slow_response_and_a_second_request_are_served(bounded: ConnectionTable) -> None:
    async def test(connect: Connect) -> None:
        reader, writer = await connect()
        for path in (b"/slow", b"/", b"/slow"):
            writer.write(REQUEST.replace(b"/ ", path + b" ", 1))
            assert b"ok" in await reader.readuntil(b"ok")
        writer.close()

    serve(test)


@pytest.mark.integration
def test_a_connection_that_is_closed_does_not_wait_for_a_peer_who_does_not_read(bounded: ConnectionTable) -> None:
    async def test(connect: Connect) -> None:
        _, writer = await connect()
        writer.write(REQUEST.replace(b"/ ", b"/left ", 1))
        await asyncio.sleep(HEAD_SECONDS / 2)
        assert len(bounded) == 1
        await asyncio.sleep(4 * HEAD_SECONDS)
        assert len(bounded) == 0
        writer.close()

    serve(test)


@pytest.mark.integration
def test_more_connections_than_a_peer_may_have_are_refused_while_its_others_work(bounded: ConnectionTable) -> None:
    async def test(connect: Connect) -> None:
        working = [await connect() for _ in range(3)]
        for _, writer in working:
            writer.write(REQUEST.replace(b"/ ", b"/slow ", 1))
        await asyncio.sleep(HEAD_SECONDS / 2)
        reader, further = await connect()
        further.write(REQUEST)
        with pytest.raises((asyncio.IncompleteReadError, OSError)):
            await reader.readuntil(b"ok")
        further.close()
        for reader, writer in working:
            assert b"ok" in await reader.readuntil(b"ok")
            writer.close()

    serve(test)


@pytest.mark.integration
def test_probes_have_their_own_connections() -> None:
    async def run() -> None:
        port, probes = free_port(), ProbeServer()
        await probes.start("127.0.0.1", port)
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MAX_PROBES - 1)]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK")
        for _, each in (*silent, (reader, writer)):
            each.close()
        probes.close()

    asyncio.run(asyncio.wait_for(run(), 30))

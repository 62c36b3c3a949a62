"""Connections to a challenger are kept, replaced when they are lost, and never carry another request's answer."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from flywheel_serving.route.codec import UpstreamResponse
from flywheel_serving.route.connection_pool import ConnectionPool, NoResponse

REQUEST = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter, int], Awaitable[None]]
Ask = Callable[..., Awaitable[UpstreamResponse | NoResponse]]
Story = Callable[[Ask, ConnectionPool], Awaitable[None]]


def play(serve: Serve, story: Story) -> int:
    """Runs `story` against a server whose connections are each given to `serve` with their number; how many came."""

    async def played() -> int:
        serving: list[asyncio.Task[None]] = []

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            serving.append(task)
            try:
                await serve(reader, writer, len(serving))
            except (asyncio.IncompleteReadError, ConnectionError):
                return  # the client closed
            finally:
                writer.close()

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        pool = ConnectionPool("127.0.0.1", server.sockets[0].getsockname()[1], 1_000)

        async def ask(seconds: float = 30.0) -> UpstreamResponse | NoResponse:
            ended: asyncio.Future[UpstreamResponse | NoResponse] = asyncio.get_running_loop().create_future()
            pool.send(REQUEST, seconds, ended.set_result)
            return await ended

        try:
            await story(ask, pool)
            assert pool.in_flight == 0
        finally:
            pool.close()
            server.close()
            await asyncio.wait(serving, timeout=10)
            await asyncio.sleep(0.01)  # until the transports have closed their sockets
        return len(serving)

    return asyncio.run(played())


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: str, *headers: str) -> None:
    await reader.readuntil(b"\r\n\r\n")
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(text)}", *headers, "", text]
    writer.write("\r\n".join(lines).encode())


def body(found: UpstreamResponse | NoResponse) -> str:
    assert isinstance(found, UpstreamResponse), found
    return found.body.decode()


def test_one_connection_serves_one_request_after_the_other() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        for count in range(10):
            await answer(reader, writer, f"{number} {count}")

    async def story(ask: Ask, _: ConnectionPool) -> None:
        assert [body(await ask()) for _ in range(3)] == ["1 0", "1 1", "1 2"]

    assert play(serve, story) == 1


def test_requests_at_the_same_time_have_a_connection_each() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        while True:
            await answer(reader, writer, str(number))

    async def story(ask: Ask, _: ConnectionPool) -> None:
        for _round in range(2):
            waits = [asyncio.ensure_future(ask()) for _ in range(5)]
            assert sorted([body(await each) for each in waits]) == ["1", "2", "3", "4", "5"]

    assert play(serve, story) == 5


@pytest.mark.parametrize("header", ["Connection: close", "X-Nothing: said"], ids=["as announced", "without a word"])
def test_a_kept_connection_that_was_closed_is_replaced(header: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        await answer(reader, writer, str(number), header)
        if header.startswith("X"):
            await reader.readuntil(b"\r\n\r\n")  # the next request meets a closing connection

    async def story(ask: Ask, _: ConnectionPool) -> None:
        assert [body(await ask()) for _ in range(3)] == ["1", "2", "3"]

    assert play(serve, story) == 3


def test_a_new_connection_that_closes_is_trouble() -> None:
    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter, number: int) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async def story(ask: Ask, _: ConnectionPool) -> None:
        assert await ask() == NoResponse("the connection was closed before the response was complete")

    assert play(serve, story) == 1


def test_the_answer_to_a_late_request_is_not_taken_for_another() -> None:
    go_on = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        if number == 1:
            await reader.readuntil(b"\r\n\r\n")
            await go_on.wait()
        await answer(reader, writer, str(number))

    async def story(ask: Ask, _: ConnectionPool) -> None:
        assert await ask(0.02) == NoResponse("no response within 0.02 s", is_late=True)
        go_on.set()
        assert body(await ask()) == "2"

    assert play(serve, story) == 2


def test_what_nobody_asked_for_ends_the_connection() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        await answer(reader, writer, str(number))
        await asyncio.sleep(0.01)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong")
        await reader.read()

    async def story(ask: Ask, _: ConnectionPool) -> None:
        assert body(await ask()) == "1"
        await asyncio.sleep(0.1)
        assert body(await ask()) == "2"

    assert play(serve, story) == 2


def test_closed_it_keeps_nothing_and_what_is_under_way_ends() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        while True:
            await answer(reader, writer, str(number))

    async def story(ask: Ask, pool: ConnectionPool) -> None:
        first = asyncio.ensure_future(ask())
        await asyncio.sleep(0)
        pool.close()
        assert body(await first) == "1"
        assert body(await ask()) == "2"

    assert play(serve, story) == 2

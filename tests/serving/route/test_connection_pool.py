"""Connections to a challenger are reused, replaced when they are lost, and never carry another request's response."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from flywheel_serving.route.codec import UpstreamResponse
from flywheel_serving.route.connection_pool import ConnectionPool, NoResponse

REQUEST = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter, int], Awaitable[None]]
Send = Callable[..., Awaitable[UpstreamResponse | NoResponse]]
Story = Callable[[Send, ConnectionPool], Awaitable[None]]


def play(serve: Serve, scenario: Story) -> int:
    """Runs `scenario` against a server that gives each connection to `serve` with its number; the number of connections."""

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

        async def send(seconds: float = 30.0) -> UpstreamResponse | NoResponse:
            ended: asyncio.Future[UpstreamResponse | NoResponse] = asyncio.get_running_loop().create_future()
            pool.send(REQUEST, seconds, ended.set_result)
            return await ended

        try:
            await scenario(send, pool)
            assert pool.in_flight == 0
        finally:
            pool.close()
            server.close()
            await asyncio.wait(serving, timeout=10)
            await asyncio.sleep(0.01)  # until the transports have closed their sockets
        return len(serving)

    return asyncio.run(played())


async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: str, *headers: str) -> None:
    await reader.readuntil(b"\r\n\r\n")
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(text)}", *headers, "", text]
    writer.write("\r\n".join(lines).encode())


def body(found: UpstreamResponse | NoResponse) -> str:
    assert isinstance(found, UpstreamResponse), found
    return found.body.decode()


def test_one_connection_serves_one_request_after_the_other() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        for count in range(10):
            await respond(reader, writer, f"{number} {count}")

    async def scenario(send: Send, _: ConnectionPool) -> None:
        assert [body(await send()) for _ in range(3)] == ["1 0", "1 1", "1 2"]

    assert play(serve, scenario) == 1


def test_requests_at_the_same_time_have_a_connection_each() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        while True:
            await respond(reader, writer, str(number))

    async def scenario(send: Send, _: ConnectionPool) -> None:
        for _round in range(2):
            waits = [asyncio.ensure_future(send()) for _ in range(5)]
            assert sorted([body(await each) for each in waits]) == ["1", "2", "3", "4", "5"]

    assert play(serve, scenario) == 5


@pytest.mark.parametrize("header", ["Connection: close", "X-Nothing: said"], ids=["as announced", "without a word"])
def test_a_reused_connection_that_was_closed_is_replaced(header: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        await respond(reader, writer, str(number), header)
        if header.startswith("X"):
            await reader.readuntil(b"\r\n\r\n")  # the next request meets a closing connection

    async def scenario(send: Send, _: ConnectionPool) -> None:
        assert [body(await send()) for _ in range(3)] == ["1", "2", "3"]

    assert play(serve, scenario) == 3


def test_a_new_connection_that_closes_is_a_failure() -> None:
    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter, number: int) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async def scenario(send: Send, _: ConnectionPool) -> None:
        assert await send() == NoResponse("the connection was closed before the response was complete")

    assert play(serve, scenario) == 1


def test_the_response_to_a_late_request_is_not_given_to_another() -> None:
    go_on = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        if number == 1:
            await reader.readuntil(b"\r\n\r\n")
            await go_on.wait()
        await respond(reader, writer, str(number))

    async def scenario(send: Send, _: ConnectionPool) -> None:
        assert await send(0.02) == NoResponse("no response within 0.02 s", is_late=True)
        go_on.set()
        assert body(await send()) == "2"

    assert play(serve, scenario) == 2


def test_an_unexpected_response_ends_the_connection() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        await respond(reader, writer, str(number))
        await asyncio.sleep(0.01)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong")
        await reader.read()

    async def scenario(send: Send, _: ConnectionPool) -> None:
        assert body(await send()) == "1"
        await asyncio.sleep(0.1)
        assert body(await send()) == "2"

    assert play(serve, scenario) == 2


def test_a_closed_pool_has_no_connection_and_ends_requests_in_flight() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        while True:
            await respond(reader, writer, str(number))

    async def scenario(send: Send, pool: ConnectionPool) -> None:
        first = asyncio.ensure_future(send())
        await asyncio.sleep(0)
        pool.close()
        assert body(await first) == "1"
        assert body(await send()) == "2"

    assert play(serve, scenario) == 2

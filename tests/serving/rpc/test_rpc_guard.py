"""Tokens over gRPC: one client's made-up tokens delay no other client, and what a call does after its token was reviewed."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import grpc
import grpc.aio
import pytest

from flywheel_serving.auth.authenticator import Authenticator
from flywheel_serving.auth.verdict import ALLOWED, Verdict, unauthenticated_verdict
from flywheel_serving.metrics.server_metrics import ServerMetrics
from flywheel_serving.rpc.rpc_guard import RpcGuard
from tests.serving.rpc.tcp_relay import relay

SERVICE = "test.Echo"
REVIEW_SECONDS = 0.005
FLOODING_CLIENTS = 100
MAX_CALLS = 8
OTHER = "127.0.0.2"


class Reviewer:
    """Knows the tokens that begin with `good`, and needs a while."""

    token_hint = "send a token"
    concurrency = 4

    async def start(self) -> None:
        pass

    async def review(self, token: str, verb: str) -> Verdict:
        await asyncio.sleep(10 if token == "slow" else REVIEW_SECONDS)
        return ALLOWED if token.startswith("good") else unauthenticated_verdict("the token is not known")

    def close(self) -> None:
        pass


async def unary(messages: AsyncIterator[bytes], _context: Any) -> bytes:
    return b"".join([message async for message in messages])


async def stream(messages: AsyncIterator[bytes], _context: Any) -> AsyncIterator[bytes]:
    async for message in messages:
        yield message


def run(scenario: Callable[[int], Awaitable[None]], max_calls: int = 4096) -> None:
    """Runs `scenario` with the port of a guarded server."""

    async def serve() -> None:
        authenticator = Authenticator(Reviewer())
        server = grpc.aio.server(interceptors=[RpcGuard(authenticator, ServerMetrics("m", "1"), max_calls)])
        handlers = {
            "Unary": grpc.stream_unary_rpc_method_handler(unary),
            "Stream": grpc.stream_stream_rpc_method_handler(stream),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            await scenario(port)
        finally:
            await server.stop(0)
            authenticator.close()

    asyncio.run(serve())


async def call(channel: grpc.aio.Channel, token: str, method: str = "Unary") -> tuple[grpc.StatusCode, object]:
    """The code, and the response or the message of the error."""
    metadata = (("authorization", f"Bearer {token}"),)
    name = f"/{SERVICE}/{method}"
    try:
        if method == "Stream":
            return grpc.StatusCode.OK, [each async for each in channel.unary_stream(name)(b"a", metadata=metadata)]
        return grpc.StatusCode.OK, await channel.unary_unary(name)(b"a", metadata=metadata, timeout=30)
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details()


def test_made_up_tokens_of_one_client_delay_no_other_client() -> None:
    numbers = itertools.count()

    async def flood(channel: grpc.aio.Channel) -> None:
        while True:
            code, _ = await call(channel, f"made-up-{next(numbers)}")
            assert code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNAVAILABLE)

    async def scenario(port: int) -> None:
        with relay(port, OTHER) as address:
            async with grpc.aio.insecure_channel(address) as bad, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as own:
                floods = [asyncio.create_task(flood(bad)) for _ in range(FLOODING_CLIENTS)]
                await asyncio.sleep(0.5)
                begun = time.monotonic()
                assert await call(own, "good-1") == (grpc.StatusCode.OK, b"a")
                waited = time.monotonic() - begun
                assert not any(task.done() for task in floods)
                for task in floods:
                    task.cancel()
                await asyncio.wait(floods)
        assert waited < 1.0

    run(scenario)


def test_reviews_of_one_client_leave_room_for_anothers() -> None:
    """Of 8 calls whose tokens are being reviewed, 6 may be one client's."""

    async def scenario(port: int) -> None:
        with relay(port, OTHER) as address:
            async with grpc.aio.insecure_channel(address) as bad, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as own:
                slow = [asyncio.create_task(call(bad, "slow")) for _ in range(MAX_CALLS)]
                done, _ = await asyncio.wait(slow, timeout=0.4)
                assert [task.result()[0] for task in done] == [grpc.StatusCode.UNAVAILABLE] * 2
                assert await call(own, "good-1") == (grpc.StatusCode.OK, b"a")
                for task in slow:
                    task.cancel()
                with suppress(asyncio.CancelledError):
                    await asyncio.gather(*slow)

    run(scenario, MAX_CALLS)


@pytest.mark.parametrize(
    ("token", "method", "code", "found"),
    [
        pytest.param("good", "Unary", grpc.StatusCode.OK, b"a", id="a unary method"),
        pytest.param("good", "Stream", grpc.StatusCode.OK, [b"a"], id="a stream"),
        pytest.param("good", "Other", grpc.StatusCode.UNIMPLEMENTED, None, id="no method"),
        pytest.param("bad", "Unary", grpc.StatusCode.UNAUTHENTICATED, "the token is not known", id="a bad token"),
        pytest.param("bad", "Stream", grpc.StatusCode.UNAUTHENTICATED, None, id="a bad token for a stream"),
        pytest.param("bad", "Other", grpc.StatusCode.UNAUTHENTICATED, None, id="a bad token and no method"),
    ],
)
def test_a_call_is_answered_after_its_review_and_from_the_cache(
    token: str, method: str, code: grpc.StatusCode, found: object
) -> None:
    async def scenario(port: int) -> None:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            for _ in range(2):
                status, content = await call(channel, token, method)
                assert status is code
                assert found is None or content == found

    run(scenario)

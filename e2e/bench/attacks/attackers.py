"""One attacker, in a process of its own with nice 19: python -m e2e.bench.attacks.attackers KIND PORT SECONDS.

All of them come from 127.0.0.2, so that the server can tell them from the good client, and end by themselves. Each prints a line once
its attack has its full size.

| KIND | |
|---|---|
| idle | 10,000 connections that send nothing, opened at 1,000 a second; those that the server closes are opened again at 200 a second |
| tokens | 300 connections, each with a new made-up token twice a second: 600 requests a second |
| rpc_tokens | one gRPC connection with 100 calls at once, each followed by another after half a second, with new made-up tokens: 200 calls a second |
| stuck | 8 connections, each with a request that computes until its limit, and the next one after it |
"""

import asyncio
import contextlib
import json
import os
import resource
import sys
from collections.abc import Callable, Coroutine, Mapping
from itertools import count

import grpc
import grpc.aio

from tests.serving.rpc.tcp_relay import relay

SOURCE = ("127.0.0.2", 0)
IDLE_CONNECTIONS, OPENED_PER_SECOND, REOPENED_PER_SECOND, TICKS_PER_SECOND = 10_000, 1_000, 200, 100
TOKEN_CONNECTIONS, TOKEN_INTERVAL_SECONDS = 300, 0.5
RPC_CALLS = 100
STUCK_CONNECTIONS, STUCK_STEPS = 8, 3_000_000  # a few seconds, where nothing ends it
NUMBERS = count()
INFER_METHOD = "/inference.GRPCInferenceService/ModelInfer"


async def open_connection(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port, local_addr=SOURCE), 10)


async def idle(port: int) -> None:
    """Opens connections and says nothing."""
    held: list[asyncio.StreamWriter] = []
    readers: list[asyncio.StreamReader] = []
    is_established = False
    while True:
        is_full = len(held) >= IDLE_CONNECTIONS
        if is_full and not is_established:
            is_established = True
            print("established", flush=True)
        for _ in range((REOPENED_PER_SECOND if is_full else OPENED_PER_SECOND) // TICKS_PER_SECOND):
            with contextlib.suppress(OSError, TimeoutError):
                reader, writer = await open_connection(port)
                held.append(writer)
                readers.append(reader)
        while len(held) > IDLE_CONNECTIONS:
            readers.pop(0)
            held.pop(0).close()
        await asyncio.sleep(1 / TICKS_PER_SECOND)


def request(target: str, body: Mapping[str, object], headers: str = "") -> bytes:
    content = json.dumps(body).encode()
    return f"POST {target} HTTP/1.1\r\nhost: a\r\n{headers}content-length: {len(content)}\r\n\r\n".encode() + content


async def read_response(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Head and body."""
    head = await reader.readuntil(b"\r\n\r\n")
    return head, await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))


async def repeat(port: int, make: Callable[[], bytes], pause_seconds: float) -> None:
    """Sends one request after the other, over a connection that is opened again when it was closed."""
    while True:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            reader, writer = await open_connection(port)
            while True:
                writer.write(make())
                await read_response(reader)
                await asyncio.sleep(pause_seconds)
        await asyncio.sleep(0.1)


async def tokens(port: int) -> None:
    """Sends made-up tokens."""

    def make() -> bytes:
        token = f"authorization: Bearer made-up-{os.getpid()}-{next(NUMBERS)}\r\n"
        return request("/v2/models/m/infer", {"inputs": []}, token)

    print("established", flush=True)
    await asyncio.gather(*(repeat(port, make, TOKEN_INTERVAL_SECONDS) for _ in range(TOKEN_CONNECTIONS)))


async def rpc_tokens(port: int) -> None:
    """Sends made-up tokens over gRPC, whose clients cannot choose their address: through a relay."""

    async def repeat_call(call: grpc.aio.UnaryUnaryMultiCallable) -> None:
        while True:
            metadata = (("authorization", f"Bearer made-up-{os.getpid()}-{next(NUMBERS)}"),)
            with contextlib.suppress(grpc.aio.AioRpcError):
                await call(b"", metadata=metadata, timeout=30)
            await asyncio.sleep(TOKEN_INTERVAL_SECONDS)

    with relay(port, SOURCE[0]) as address:
        async with grpc.aio.insecure_channel(address) as channel:
            print("established", flush=True)
            await asyncio.gather(*(repeat_call(channel.unary_unary(INFER_METHOD)) for _ in range(RPC_CALLS)))


async def stuck(port: int) -> None:
    """Sends requests that compute for long."""
    body = {"inputs": [{"name": "n", "datatype": "INT64", "shape": [1], "data": [STUCK_STEPS]}]}
    content = request("/v2/models/m/infer", body)
    print("established", flush=True)
    await asyncio.gather(*(repeat(port, lambda: content, 0.0) for _ in range(STUCK_CONNECTIONS)))


KINDS: dict[str, Callable[[int], Coroutine[None, None, None]]] = {
    "idle": idle,
    "tokens": tokens,
    "rpc_tokens": rpc_tokens,
    "stuck": stuck,
}


async def attack(kind: str, port: int, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(KINDS[kind](port), seconds)


if __name__ == "__main__":
    os.setpriority(os.PRIO_PROCESS, 0, 19)  # whatever the parent has
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(attack(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))

"""The same small application on our HTTP layer and on uvicorn with h11, each in a thread of this process."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
import uvloop

from flywheel_serving.http.config import HttpLimits
from flywheel_serving.http.http_server import HttpServer
from flywheel_serving.http.message import Request, Response, SendResponse

LIMITS = HttpLimits(body_bytes=1 << 20)
HEAD_BYTES = 65_536  # of both servers


def echo(request: Request, reply: SendResponse) -> None:
    """Responds with the parsed method, target and body."""
    reply(Response(200, b" ".join((request.method.encode(), request.target, request.body)), "text/plain"))


async def echo_asgi(
    scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    body = b" ".join((scope["method"].encode(), scope["raw_path"] + query, b"".join(parts)))
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def own_server() -> Iterator[int]:
    """A server; yields its port."""
    started: list[int] = []
    listening, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        server = HttpServer(echo, LIMITS)
        started.append(await server.start(("127.0.0.1", 0)))
        listening.set()
        await asyncio.to_thread(stop.wait)
        await server.stop(0.1)

    thread = threading.Thread(target=lambda: uvloop.run(serve()))
    thread.start()
    listening.wait(20)
    try:
        yield started[0]
    finally:
        stop.set()
        thread.join(20)


@contextmanager
def oracle() -> Iterator[int]:
    """A server; yields its port."""
    config = uvicorn.Config(
        echo_asgi,
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_level="critical",
        h11_max_incomplete_event_size=HEAD_BYTES,
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(20)

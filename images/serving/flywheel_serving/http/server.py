"""Listens, keeps track of connections, and closes those whose time is up."""

import asyncio
import logging

from flywheel_serving.http.connection import Connection
from flywheel_serving.http.heads import Heads
from flywheel_serving.http.message import Application, Reply, Request, error
from flywheel_serving.settings import Address, Limits

SWEEP_SECONDS = 0.5
BACKLOG = 1024

log = logging.getLogger(__name__)


class HttpServer:
    """`application` answers each request; whatever it raises is logged and answered with 500."""

    def __init__(self, application: Application, limits: Limits) -> None:
        self._application = application
        self._connections: set[Connection] = set()
        self._server: asyncio.Server
        self._sweeper: asyncio.TimerHandle
        self.limits = limits
        self.heads = Heads()
        self.loop = asyncio.get_running_loop()
        self.buffered = 0
        self.draining = False
        self._last_post = float("-inf")

    async def start(self, address: Address) -> int:
        """Listens on `address` and returns its port. Raises OSError if it is taken."""
        host, port = address
        self._server = await self.loop.create_server(lambda: Connection(self), host, port, backlog=BACKLOG)
        self._sweeper = self.loop.call_later(SWEEP_SECONDS, self._sweep)
        return int(self._server.sockets[0].getsockname()[1])

    def drain(self) -> None:
        """Answers on, but closes each connection with its next answer, so that its client finds another server."""
        self.draining = True

    @property
    def quiet_seconds(self) -> float:
        """Since the last POST while draining: whoever asks now was sent here by endpoints. Probes, which are GET, do not count."""
        return self.loop.time() - self._last_post

    async def stop(self, seconds: float) -> None:
        """Takes no new connection, lets requests in flight end for `seconds`, then cuts what is left."""
        self.drain()
        self._server.close()
        deadline = self.loop.time() + seconds
        while self._connections and self.loop.time() < deadline:
            for connection in list(self._connections):
                connection.close_if_idle()
            await asyncio.sleep(0.02)
        self._sweeper.cancel()
        if self._connections:
            log.warning("%d connections were cut after %g seconds of grace", len(self._connections), seconds)
        for connection in list(self._connections):
            connection.abort()

    def answer(self, request: Request, reply: Reply) -> None:
        if self.draining and request.method == "POST":
            self._last_post = self.loop.time()
        try:
            self._application(request, reply)
        except Exception:  # the last door: one request's bug must not take the connection's other requests along
            log.exception("%s %s failed", request.method, request.path[:200].decode("latin-1"))
            reply(error(500, "the server failed on this request; its log says why"))

    @property
    def full(self) -> bool:
        return len(self._connections) > self.limits.connections

    def opened(self, connection: Connection) -> None:
        self._connections.add(connection)

    def closed(self, connection: Connection) -> None:
        self._connections.discard(connection)

    def _sweep(self) -> None:
        now = self.loop.time()
        for connection in [c for c in self._connections if c.deadline <= now]:
            connection.expire()
        self._sweeper = self.loop.call_later(SWEEP_SECONDS, self._sweep)

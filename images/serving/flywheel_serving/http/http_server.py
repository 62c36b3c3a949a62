"""Listens, tracks connections, and closes those whose deadline has passed."""

import asyncio
import logging

from flywheel_serving.flag_types import Address
from flywheel_serving.http.body_budget import BodyBudget
from flywheel_serving.http.config import HttpLimits
from flywheel_serving.http.connection import Connection
from flywheel_serving.http.connection_table import ConnectionTable
from flywheel_serving.http.head_cache import HeadCache
from flywheel_serving.http.message import Application, Request, SendResponse, error_response

EXPIRY_INTERVAL_SECONDS = 0.5
# Thousands may expire at once; other clients wait for at most so many.
MAX_EXPIRIES, EXPIRY_PAUSE_SECONDS = 64, 0.01
STOP_POLL_SECONDS = 0.02
BACKLOG_CONNECTIONS = 1024

log = logging.getLogger(__name__)


class HttpServer:
    """`application` answers each request; an exception of it is logged and answered with 500."""

    def __init__(self, application: Application, limits: HttpLimits) -> None:
        self._application = application
        self._connections: ConnectionTable[Connection] = ConnectionTable(limits.connections)
        self._server: asyncio.Server
        self._expiry_timer: asyncio.TimerHandle
        self.limits = limits
        self.head_cache = HeadCache()
        self.loop = asyncio.get_running_loop()
        self.body_budget = BodyBudget(limits.buffered_bytes)
        self.is_draining = False
        self._last_post_at = float("-inf")

    async def start(self, address: Address) -> int:
        """Listens on `address` and returns its port. Raises OSError if it is taken."""
        host, port = address
        self._server = await self.loop.create_server(lambda: Connection(self), host, port, backlog=BACKLOG_CONNECTIONS)
        self._expiry_timer = self.loop.call_later(EXPIRY_INTERVAL_SECONDS, self._expire_connections)
        return int(self._server.sockets[0].getsockname()[1])

    def drain(self) -> None:
        """Closes each connection with its next response, so that its client finds another server."""
        self.is_draining = True

    @property
    def seconds_since_post(self) -> float:
        """Time since the last POST while draining, which endpoints sent here. Probes are GET and do not count."""
        return self.loop.time() - self._last_post_at

    async def stop(self, seconds: float) -> None:
        """Accepts no connection, lets requests in flight end for `seconds`, then cuts the others."""
        self.drain()
        self._server.close()
        deadline = self.loop.time() + seconds
        while self._connections and self.loop.time() < deadline:
            for connection in self._connections.all():
                connection.close_if_idle()
            await asyncio.sleep(STOP_POLL_SECONDS)
        self._expiry_timer.cancel()
        if self._connections:
            log.warning("%d connections were cut after %g seconds of grace", len(self._connections), seconds)
        for connection in self._connections.all():
            connection.abort()

    def answer(self, request: Request, send: SendResponse) -> None:
        """Lets the application answer."""
        if self.is_draining and request.method == "POST":
            self._last_post_at = self.loop.time()
        try:
            self._application(request, send)
        except Exception:  # one request's bug must not end the connection's other requests
            log.exception("%s %s failed", request.method, request.path[:200].decode("latin-1"))
            send(error_response(500, "the server failed on this request; its log says why"))

    def add_connection(self, connection: Connection) -> bool:
        """Whether there is room for it."""
        return self._connections.add(connection)

    def remove_connection(self, connection: Connection) -> None:
        self._connections.remove(connection)

    def _expire_connections(self) -> None:
        now = self.loop.time()
        expired = [each for each in self._connections.all() if each.deadline <= now]
        for connection in expired[:MAX_EXPIRIES]:
            connection.expire()
        pause = EXPIRY_INTERVAL_SECONDS if len(expired) <= MAX_EXPIRIES else EXPIRY_PAUSE_SECONDS
        self._expiry_timer = self.loop.call_later(pause, self._expire_connections)

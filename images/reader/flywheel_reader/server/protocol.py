"""HTTP/1.1 of uvicorn with what it lacks: a deadline for each head, and a bounded number of connections for each peer."""

import asyncio
import functools
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from flywheel_reader.server.connections import ConnectionTable

HEAD_SECONDS = 10.0  # for the head of a request, from the connection or from what follows the response before
CLOSING_SECONDS = (
    10.0  # between two looks at whether a connection is being closed, and is not since nobody reads what it still has
)


class BoundedProtocol(H11Protocol):
    """One connection. Its table is that of the process; a test sets another one."""

    table = ConnectionTable()

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._head_timer: asyncio.TimerHandle | None = None
        self._closing_timer: asyncio.TimerHandle | None = None
        self._was_refused = False

    @property
    def peer(self) -> str:
        """The address of the client."""
        return self.client[0] if self.client else ""

    @property
    def is_idle(self) -> bool:
        """Whether no request of it is in work."""
        return self.cycle is None or self.cycle.response_complete or self.transport.is_closing()

    def evict(self) -> None:
        """Closes the connection at once."""
        self._cancel_head_timer()
        self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Takes a new connection if the table has room for it."""
        super().connection_made(transport)
        if self.table.add(self):
            self._start_head_timer()
            self._abort_if_closing(was_closing=False)
        else:
            self._was_refused = True
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the connection."""
        self._cancel_head_timer()
        if self._closing_timer is not None:
            self._closing_timer.cancel()
        self.table.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Reads on. Bytes between two requests, those of a body that nobody reads too, start the time of the next head."""
        if self._was_refused:
            return
        super().data_received(data)
        if self.is_idle and not self.transport.is_closing():
            self._start_head_timer()
        else:
            self._cancel_head_timer()

    def _abort_if_closing(self, *, was_closing: bool) -> None:
        """Ends a connection whose peer has not read what was sent before it was closed, which would wait for ever."""
        if was_closing:
            self.transport.abort()
        else:
            is_closing = self.transport.is_closing()
            self._closing_timer = self.loop.call_later(
                CLOSING_SECONDS, functools.partial(self._abort_if_closing, was_closing=is_closing)
            )

    def _start_head_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self.evict)

    def _cancel_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

"""The bounded connection to the sink. Nothing here blocks: messages wait for the socket, up to a bound.

send --> waiting (bytes bounded) --> socket --> sink's writer --> store
                                     sent: forgotten when the writer acknowledges, dropped when the connection ends
"""

import asyncio
import contextlib
import logging
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

import orjson

from flywheel_serving.prediction_log.metrics import LogMetrics

MAX_WAITING_BYTES = 4 * 1024 * 1024
FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 1.0, 60.0
HEALTHY_SECONDS = 60.0  # after which the pauses begin anew
CHUNK_BYTES = 65_536

log = logging.getLogger(__name__)

AcknowledgementCallback = Callable[[dict[str, Any]], None]


class SinkConnection:
    """Connects to the sink, again with growing pauses, and knows which rows are on their way. Belongs to one event loop."""

    def __init__(
        self,
        path: str,
        greeting: bytes,
        metrics: LogMetrics,
        on_start: Callable[[], None],
        on_written: AcknowledgementCallback,
    ) -> None:
        """`greeting` is the first message of each connection; `on_start` is called after it, and `on_written` for windows and labels."""
        self._path, self._greeting = path, greeting
        self._metrics = metrics
        self._on_start, self._on_written = on_start, on_written
        self._greeting_rest = memoryview(b"")  # what this connection has not sent of it
        self._waiting: deque[tuple[memoryview, int]] = deque()  # the rest of a message, and its rows
        self._waiting_bytes = 0
        self._is_first_partly_sent = False
        self._socket: socket.socket | None = None
        self._unparsed = b""
        self._is_waiting_for_socket = False
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self._is_closing = False
        self._ended = asyncio.Event()
        self._restart_timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Connects, now or later."""
        self._restart_timer = None
        self._loop = asyncio.get_running_loop()
        self._started_at = self._loop.time()
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.setblocking(False)
            connection.connect(self._path)
        except OSError as error:
            connection.close()
            self._restart_later(f"cannot be reached at {self._path}: {error}", 0)
            return
        self._socket, self._greeting_rest = connection, memoryview(self._greeting)
        self._metrics.sink_starts += 1
        self._metrics.is_sink_connected = True
        self._loop.add_reader(connection.fileno(), self._read)
        self._on_start()
        self._write()

    def send(self, message: bytes, rows: int) -> bool:
        """Whether the message was accepted; False if the bound is reached. Its `rows` are counted if it is lost later."""
        if self._waiting_bytes + len(message) > MAX_WAITING_BYTES or self._is_closing:
            return False
        self._waiting.append((memoryview(message), rows))
        self._waiting_bytes += len(message)
        self._metrics.waiting_rows += rows
        if not self._is_waiting_for_socket:
            self._write()
        return True

    def _write(self) -> None:
        connection = self._socket
        if connection is None:
            return
        try:
            while self._greeting_rest:
                self._greeting_rest = self._greeting_rest[connection.send(self._greeting_rest[:CHUNK_BYTES]) :]
            while self._waiting:
                rest, rows = self._waiting[0]
                written = connection.send(rest[:CHUNK_BYTES])
                self._waiting_bytes -= written
                if not self._is_first_partly_sent:
                    self._is_first_partly_sent = True
                    self._metrics.waiting_rows -= rows
                    self._metrics.sent_rows += rows
                if written < len(rest):
                    self._waiting[0] = (rest[written:], rows)
                else:
                    self._waiting.popleft()
                    self._is_first_partly_sent = False
            if self._is_closing:
                connection.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            if not self._is_waiting_for_socket:
                self._is_waiting_for_socket = True
                self._loop.add_writer(connection.fileno(), self._write)
            return
        except OSError:
            return  # the sink died; the end of its acknowledgements shows it too
        self._stop_waiting_for(connection)

    def _stop_waiting_for(self, connection: socket.socket) -> None:
        if self._is_waiting_for_socket:
            self._is_waiting_for_socket = False
            self._loop.remove_writer(connection.fileno())

    def _read(self) -> None:
        assert self._socket is not None
        try:
            received = self._socket.recv(CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        if not received:
            self._on_end(self._socket)
            return
        *lines, self._unparsed = (self._unparsed + received).split(b"\n")
        for line in lines:
            self._on_acknowledgement(orjson.loads(line))

    def _on_acknowledgement(self, acknowledgement: dict[str, Any]) -> None:
        if "rows" in acknowledgement:
            self._metrics.sent_rows -= acknowledgement["rows"]
            self._metrics.rows += acknowledgement["rows"]
            self._metrics.bytes += acknowledgement["bytes"]
        else:
            self._on_written(acknowledgement)

    def _on_end(self, connection: socket.socket) -> None:
        self._socket, self._unparsed = None, b""
        self._metrics.is_sink_connected = False
        self._loop.remove_reader(connection.fileno())
        self._stop_waiting_for(connection)
        connection.close()
        if self._is_first_partly_sent:  # a new writer could not read the rest of a message
            rest, _ = self._waiting.popleft()
            self._waiting_bytes -= len(rest)
            self._is_first_partly_sent = False
        lost, self._metrics.sent_rows = self._metrics.sent_rows, 0
        self._metrics.dropped["shutdown" if self._is_closing else "sink_died"] += lost
        if self._is_closing:
            self._ended.set()
            return
        if self._loop.time() - self._started_at > HEALTHY_SECONDS:
            self._pause_seconds = FIRST_PAUSE_SECONDS
        self._restart_later("has ended", lost)

    def _restart_later(self, finding: str, lost_rows: int) -> None:
        facts = {"rowsLost": lost_rows, "againAfterSeconds": self._pause_seconds}
        message = "the sink of logged predictions %s; it is connected again, and the server keeps answering"
        log.warning(message, finding, extra={"facts": facts})
        self._restart_timer = self._loop.call_later(self._pause_seconds, self.start)
        self._pause_seconds = min(2 * self._pause_seconds, MAX_PAUSE_SECONDS)

    async def close(self, seconds: float) -> None:
        """Lets the sink finish for `seconds`; rows that are not in the store then count as dropped."""
        self._is_closing = True
        if self._restart_timer is not None:
            self._restart_timer.cancel()
        if self._socket is not None:
            self._write()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), seconds)
            if self._socket is not None:
                self._on_end(self._socket)
        self._metrics.dropped["shutdown"] += self._metrics.waiting_rows
        self._metrics.waiting_rows = 0

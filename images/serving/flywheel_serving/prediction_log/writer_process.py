"""The writer's process and the bounded pipe to it. Nothing here blocks: messages wait for the pipe, up to a bound.

send --> waiting (bytes bounded) --> pipe --> writer --> store
                                     sent: forgotten when the writer acknowledges, dropped when it dies
"""

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from typing import Any

import orjson

from flywheel_serving.prediction_log.metrics import LogMetrics

MAX_WAITING_BYTES = 4 * 1024 * 1024
FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 1.0, 60.0
HEALTHY_SECONDS = 60.0  # after which the pauses begin anew
CHUNK_BYTES = 65_536
EXIT_POLL_SECONDS = 0.01

log = logging.getLogger(__name__)

AcknowledgementCallback = Callable[[dict[str, Any]], None]


class WriterProcess:
    """Starts the writer, restarts it with growing pauses, and knows which rows are on their way."""

    def __init__(
        self,
        argument: str,
        metrics: LogMetrics,
        on_start: Callable[[], None],
        on_count_written: AcknowledgementCallback,
    ) -> None:
        """`argument` is the writer's command line; `on_start` is called at each start."""
        self._argument = argument
        self._metrics = metrics
        self._on_start, self._on_count_written = on_start, on_count_written
        self._waiting: deque[tuple[memoryview, int]] = deque()  # the rest of a message, and its rows
        self._waiting_bytes = 0
        self._is_first_partly_sent = False
        self._process: subprocess.Popen[bytes] | None = None
        self._unparsed = b""
        self._is_waiting_for_pipe = False
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self._is_closing = False
        self._ended = asyncio.Event()
        self._restart_timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Starts a process in a session of its own: Ctrl-C reaches the server alone, which lets the writer finish."""
        self._restart_timer = None
        command = [sys.executable, "-m", "flywheel_serving.prediction_log.writer", self._argument]
        # The store's keys come from its Secret's folder; AWS_ variables for the model's own use stay out.
        env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        env |= {"PYTHONPATH": os.pathsep.join(sys.path), "TOKIO_WORKER_THREADS": "2"}
        self._loop = asyncio.get_running_loop()
        self._started_at = self._loop.time()
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, start_new_session=True
            )
        except OSError as error:
            self._restart_later(f"cannot be started: {error}", 0)
            return
        self._process = process
        assert process.stdin is not None
        assert process.stdout is not None
        for end in (process.stdin, process.stdout):
            os.set_blocking(end.fileno(), False)
        self._metrics.writer_starts += 1
        self._loop.add_reader(process.stdout.fileno(), self._read)
        self._on_start()
        self._write()

    def send(self, message: bytes, rows: int) -> bool:
        """Whether the message was accepted; False if the bound is reached. Its `rows` are counted if it is lost later."""
        if self._waiting_bytes + len(message) > MAX_WAITING_BYTES or self._is_closing:
            return False
        self._waiting.append((memoryview(message), rows))
        self._waiting_bytes += len(message)
        self._metrics.waiting_rows += rows
        if not self._is_waiting_for_pipe:
            self._write()
        return True

    def _write(self) -> None:
        process = self._process
        if process is None or process.stdin is None or process.stdin.closed:
            return
        pipe = process.stdin.fileno()
        try:
            while self._waiting:
                rest, rows = self._waiting[0]
                written = os.write(pipe, rest[:CHUNK_BYTES])
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
        except BlockingIOError:
            if not self._is_waiting_for_pipe:
                self._is_waiting_for_pipe = True
                self._loop.add_writer(pipe, self._write)
            return
        except OSError:
            return  # the writer died; the end of its output shows it too
        self._stop_waiting_for(pipe)
        if self._is_closing:
            process.stdin.close()

    def _stop_waiting_for(self, pipe: int) -> None:
        if self._is_waiting_for_pipe:
            self._is_waiting_for_pipe = False
            self._loop.remove_writer(pipe)

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            received = os.read(self._process.stdout.fileno(), CHUNK_BYTES)
        except BlockingIOError:
            return
        if not received:
            self._on_end()
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
            self._on_count_written(acknowledgement)

    def _on_end(self) -> None:
        process, self._process, self._unparsed = self._process, None, b""
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        self._loop.remove_reader(process.stdout.fileno())
        if not process.stdin.closed:
            self._stop_waiting_for(process.stdin.fileno())
        with contextlib.suppress(OSError):
            process.stdin.close()
        process.stdout.close()
        if self._is_first_partly_sent:  # a new writer could not read the rest of a message
            rest, _ = self._waiting.popleft()
            self._waiting_bytes -= len(rest)
            self._is_first_partly_sent = False
        lost, self._metrics.sent_rows = self._metrics.sent_rows, 0
        self._metrics.dropped["shutdown" if self._is_closing else "sink_died"] += lost
        self._loop.create_task(self._reap(process, lost))

    async def _reap(self, process: "subprocess.Popen[bytes]", lost_rows: int) -> None:
        code = process.poll()
        while code is None:
            await asyncio.sleep(EXIT_POLL_SECONDS)
            code = process.poll()
        if self._is_closing:
            self._ended.set()
            return
        if self._loop.time() - self._started_at > HEALTHY_SECONDS:
            self._pause_seconds = FIRST_PAUSE_SECONDS
        self._restart_later(f"ended with {code}", lost_rows)

    def _restart_later(self, finding: str, lost_rows: int) -> None:
        facts = {"rowsLost": lost_rows, "againAfterSeconds": self._pause_seconds}
        message = "the writer of logged predictions %s; it is restarted, and the server keeps answering"
        log.warning(message, finding, extra={"facts": facts})
        self._restart_timer = self._loop.call_later(self._pause_seconds, self.start)
        self._pause_seconds = min(2 * self._pause_seconds, MAX_PAUSE_SECONDS)

    async def close(self, seconds: float) -> None:
        """Lets the writer finish for `seconds`, then kills it; rows that are not in the store then count as dropped."""
        self._is_closing = True
        if self._restart_timer is not None:
            self._restart_timer.cancel()
        if self._process is not None:
            if not self._waiting and self._process.stdin is not None:
                self._process.stdin.close()
            else:
                self._write()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), seconds)
            if self._process is not None:
                self._process.kill()
                await self._ended.wait()
        self._metrics.dropped["shutdown"] += self._metrics.waiting_rows
        self._metrics.waiting_rows = 0

"""The sink's process and the bounded way to it. Nothing here blocks: what the pipe does not take waits, and what does not fit is dropped.

send ─▶ waiting (bytes bounded) ─▶ pipe ─▶ sink ─▶ store
                                   handed over: forgotten when the sink acknowledges, dropped when it dies
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

from flywheel_serving.record.metrics import RecordMetrics

WAITING_BYTES = 4 * 1024 * 1024
FIRST_PAUSE, LONGEST_PAUSE, HEALTHY_SECONDS = 1.0, 60.0, 60.0
CHUNK = 65_536

log = logging.getLogger(__name__)

Acknowledged = Callable[[dict[str, Any]], None]


class Pipe:
    """Starts the sink, starts it again with growing pauses, and knows which rows are on their way."""

    def __init__(
        self, arguments: list[str], metrics: RecordMetrics, on_start: Callable[[], None], on_count: Acknowledged
    ) -> None:
        self._arguments = arguments
        self._metrics = metrics
        self._on_start, self._on_count = on_start, on_count
        self._waiting: deque[tuple[memoryview, int]] = deque()  # a frame's bytes that are left, and its rows
        self._bytes = 0
        self._begun = False  # the first frame is partly in the pipe
        self._process: subprocess.Popen[bytes] | None = None
        self._answers = b""
        self._writing = False
        self._pause = FIRST_PAUSE
        self._closing = False
        self._ended = asyncio.Event()
        self._retry: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """A process of its own session, so that a person's Ctrl-C reaches the server alone, which then lets the sink finish."""
        self._retry = None
        command = [sys.executable, "-m", "flywheel_serving.record.sink", *self._arguments]
        # The store's keys come from its Secret's folder; whatever AWS_ variables are for the model's own use stay out.
        env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        env |= {"PYTHONPATH": os.pathsep.join(sys.path), "TOKIO_WORKER_THREADS": "2"}
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.time()
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, start_new_session=True
            )
        except OSError as error:
            self._again(f"cannot be started: {error}", 0)
            return
        self._process = process
        assert process.stdin is not None
        assert process.stdout is not None
        for end in (process.stdin, process.stdout):
            os.set_blocking(end.fileno(), False)
        self._metrics.sink_starts += 1
        self._loop.add_reader(process.stdout.fileno(), self._read)
        self._on_start()
        self._write()

    def send(self, frame: bytes, rows: int) -> bool:
        """Whether it may go; False if the bound is reached. `rows` are counted when they get lost later."""
        if self._bytes + len(frame) > WAITING_BYTES or self._closing:
            return False
        self._waiting.append((memoryview(frame), rows))
        self._bytes += len(frame)
        self._metrics.waiting += rows
        if not self._writing:
            self._write()
        return True

    def _write(self) -> None:
        process = self._process
        if process is None or process.stdin is None or process.stdin.closed:
            return
        number = process.stdin.fileno()
        try:
            while self._waiting:
                left, rows = self._waiting[0]
                written = os.write(number, left[:CHUNK])
                self._bytes -= written
                if not self._begun:
                    self._begun = True
                    self._metrics.waiting -= rows
                    self._metrics.handed += rows
                if written < len(left):
                    self._waiting[0] = (left[written:], rows)
                else:
                    self._waiting.popleft()
                    self._begun = False
        except BlockingIOError:
            if not self._writing:
                self._writing = True
                self._loop.add_writer(number, self._write)
            return
        except OSError:
            return  # it died; the end of its answers says so too
        self._stop_writing(number)
        if self._closing:
            process.stdin.close()

    def _stop_writing(self, number: int) -> None:
        if self._writing:
            self._writing = False
            self._loop.remove_writer(number)

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            found = os.read(self._process.stdout.fileno(), CHUNK)
        except BlockingIOError:
            return
        if not found:
            self._died()
            return
        *lines, self._answers = (self._answers + found).split(b"\n")
        for line in lines:
            self._heard(orjson.loads(line))

    def _heard(self, answer: dict[str, Any]) -> None:
        if "rows" in answer:
            self._metrics.handed -= answer["rows"]
            self._metrics.rows += answer["rows"]
            self._metrics.bytes += answer["bytes"]
        else:
            self._on_count(answer)

    def _died(self) -> None:
        process, self._process, self._answers = self._process, None, b""
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        self._loop.remove_reader(process.stdout.fileno())
        if not process.stdin.closed:
            self._stop_writing(process.stdin.fileno())
        with contextlib.suppress(OSError):
            process.stdin.close()
        process.stdout.close()
        if self._begun:  # the rest of a frame is nothing to a new sink
            left, _ = self._waiting.popleft()
            self._bytes -= len(left)
            self._begun = False
        lost, self._metrics.handed = self._metrics.handed, 0
        self._metrics.dropped["shutdown" if self._closing else "sink_died"] += lost
        self._loop.create_task(self._reap(process, lost))

    async def _reap(self, process: "subprocess.Popen[bytes]", lost: int) -> None:
        code = process.poll()
        while code is None:
            await asyncio.sleep(0.01)
            code = process.poll()
        if self._closing:
            self._ended.set()
            return
        if self._loop.time() - self._started > HEALTHY_SECONDS:
            self._pause = FIRST_PAUSE
        self._again(f"ended with {code}", lost)

    def _again(self, finding: str, lost: int) -> None:
        facts = {"rowsLost": lost, "againAfterSeconds": self._pause}
        words = "the sink of logged predictions %s; it is started again, and serving goes on meanwhile"
        log.warning(words, finding, extra={"facts": facts})
        self._retry = self._loop.call_later(self._pause, self.start)
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

    async def close(self, seconds: float) -> None:
        """Lets the sink finish for so long, then ends it; what was not in the store by then is counted as dropped."""
        self._closing = True
        if self._retry is not None:
            self._retry.cancel()
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
        self._metrics.dropped["shutdown"] += self._metrics.waiting
        self._metrics.waiting = 0

"""`python3 -m flywheel_serving.record.sink`: frames from standard input into the store, acknowledged on standard output.

One thread reads, the other writes; between them at most QUEUE_BYTES wait. While the store does not answer, the reader stops, the pipe fills, and
the server drops and counts. Every attempt reads the store's Secret again, so that a repaired or rotated one is used at once.
"""

import contextlib
import json
import logging
import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from flywheel_serving import logs
from flywheel_serving.record import frames, order
from flywheel_serving.record.layout import Layout
from flywheel_serving.record.store import Store, StoreFailed, secret
from flywheel_serving.record.table import Tables

QUEUE_BYTES = 16 * 1024 * 1024
MEMORY_BYTES = 512 * 1024 * 1024
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0
SAY_AGAIN_SECONDS = 60.0

log = logging.getLogger(__name__)


@dataclass
class Waiting:
    """What the reader has read and the writer has not written."""

    rows: list[bytes]
    counts: list[bytes]
    row_count: int = 0
    bytes: int = 0
    oldest: float = 0.0  # monotonic, of the first frame of rows
    ended: float | None = None  # when the server closed the pipe


class Sink:
    """`say` writes one acknowledgement."""

    def __init__(self, told: dict[str, Any], say: Callable[[dict[str, Any]], None]) -> None:
        self._order = order.parse(told["order"])
        self._told, self._say = told, say
        self._waiting = Waiting([], [])
        self._change = threading.Condition()
        self._closing = threading.Event()
        self._name = f"{self._order.pod}-{os.urandom(4).hex()}"
        self._files = 0
        self._said = 0.0

    def read(self, pipe: BinaryIO) -> None:
        """Until the server closes it."""
        while len(prefix := pipe.read(4)) == 4:
            length = int.from_bytes(prefix, "little")
            content = pipe.read(length)
            if len(content) < length:
                break  # the server was killed in the middle of it
            head, _ = frames.unpack(content)
            with self._change:
                self._change.wait_for(lambda: self._waiting.bytes < QUEUE_BYTES)
                self._keep(content, head)
                self._change.notify_all()
        with self._change:
            self._waiting.ended = time.monotonic()
            self._closing.set()
            self._change.notify_all()

    def _keep(self, content: bytes, head: dict[str, Any]) -> None:
        waiting = self._waiting
        waiting.bytes += len(content)
        if head["kind"] == "counts":
            waiting.counts.append(content)
            return
        if not waiting.rows:
            waiting.oldest = time.monotonic()
        waiting.rows.append(content)
        waiting.row_count += len(head["id"]) * head["rows"]

    def write(self) -> None:
        """Until everything is written, or the time after the server's end is over."""
        while True:
            with self._change:
                self._change.wait_for(self._is_due, timeout=self._patience())
                counts = self._waiting.counts[:]
                rows, row_count = (self._waiting.rows[:], self._waiting.row_count) if self._rows_are_due() else ([], 0)
            for content in counts:
                self._attempt(partial(self._write_counts, content))
            if rows:
                self._attempt(partial(self._write_rows, rows, row_count))
            with self._change:
                if self._waiting.ended is not None and not self._waiting.rows and not self._waiting.counts:
                    return

    def _is_due(self) -> bool:
        return bool(self._waiting.counts) or self._waiting.ended is not None or self._rows_are_due()

    def _rows_are_due(self) -> bool:
        waiting, told = self._waiting, self._order
        if not waiting.rows:
            return False
        full = waiting.row_count >= told.rows or waiting.bytes >= told.bytes
        return full or waiting.ended is not None or time.monotonic() - waiting.oldest >= told.seconds

    def _patience(self) -> float | None:
        if not self._waiting.rows:
            return None
        return max(0.0, self._waiting.oldest + self._order.seconds - time.monotonic())

    def _attempt(self, write: Callable[[], None]) -> None:
        """Again and again until the store takes it; gives up only when the server has gone and its time is over."""
        pause = FIRST_PAUSE
        while True:
            try:
                write()
            except StoreFailed as error:
                self._complain(str(error))
            else:
                self._recovered()
                return
            if self._closing.wait(pause):
                self._give_up_in_time()
            pause = min(2 * pause, LONGEST_PAUSE)

    def _give_up_in_time(self) -> None:
        assert self._waiting.ended is not None
        if time.monotonic() + FIRST_PAUSE > self._waiting.ended + self._order.drain_seconds:
            log.error("the server ended before the store took what was logged; it is lost")
            logging.shutdown()
            os._exit(1)
        time.sleep(FIRST_PAUSE)

    def _complain(self, finding: str) -> None:
        if not self._said or time.monotonic() - self._said > SAY_AGAIN_SECONDS:
            self._said = time.monotonic()
            words = "predictions cannot be written to the store, which is asked again; serving is not affected: %s"
            log.warning(words, finding)

    def _recovered(self) -> None:
        if self._said:
            self._said = 0.0
            log.info("predictions are written to the store again")

    def _store(self) -> Store:
        folder = Path(self._order.store)
        return Store(secret(folder), self._order.namespace, folder)

    def _tables(self) -> Tables:
        key = None
        if self._order.hmac_file:
            try:
                key = Path(self._order.hmac_file).read_bytes()
            except OSError as error:
                raise StoreFailed(f"the secret of HMAC columns cannot be read: {error}") from error
            if not key:
                raise StoreFailed(f"the secret of HMAC columns is empty: {self._order.hmac_file}")
        return Tables(self._order, Layout.of(self._told["layout"]), self._told["version"], key)

    def _write_rows(self, contents: list[bytes], count: int) -> None:
        head, _ = frames.unpack(contents[0])
        content = self._tables().parquet(contents)
        key = f"rows/{_partition(head['time'][0] / 1e6)}/pod={self._order.pod}/{self._name}-{self._files:06}.parquet"
        self._store().put_new(self._key(key), content)
        self._files += 1
        with self._change:
            waiting = self._waiting
            del waiting.rows[: len(contents)]
            waiting.row_count -= count
            waiting.bytes -= sum(map(len, contents))
            waiting.oldest = time.monotonic()
            self._change.notify_all()
        self._say({"rows": count, "bytes": len(content)})

    def _write_counts(self, content: bytes) -> None:
        head, _ = frames.unpack(content)
        name = f"{self._order.pod}-{self._told['boot']}-{head['window']:06}.json"
        document = json.dumps(head["document"], sort_keys=True, separators=(",", ":")).encode()
        written = self._store().put_new(self._key(f"counts/{_partition(head['from'])}/{name}"), document)
        with self._change:
            self._waiting.counts.remove(content)
            self._waiting.bytes -= len(content)
            self._change.notify_all()
        self._say({"window": head["window"], "outcome": "written" if written else "repeated"})

    def _key(self, name: str) -> str:
        return f"predictions/{self._order.service}/{name}"


def _partition(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("dt=%Y-%m-%d/hour=%H")


def _be_modest() -> None:
    """The server's work goes first, and this process is the first to go where memory is short."""
    os.nice(10)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def main() -> None:
    logs.start()
    _be_modest()
    out = sys.stdout.buffer

    def say(answer: dict[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):  # the server was killed; what it sent is written all the same
            out.write(orjson.dumps(answer) + b"\n")
            out.flush()

    sink = Sink(orjson.loads(sys.argv[1]), say)
    reader = threading.Thread(target=sink.read, args=(sys.stdin.buffer,), daemon=True)
    reader.start()
    sink.write()
    logging.shutdown()
    os._exit(0)


if __name__ == "__main__":
    main()

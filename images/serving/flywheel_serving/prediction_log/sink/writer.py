"""`python3 -m flywheel_serving.prediction_log.sink.writer JSON`: writes messages from standard input into the store.

The configuration is the operator's. What comes from the server is not trusted: it names no file, key or folder.

One thread reads, the other writes; between them at most MAX_QUEUE_BYTES wait. While the store does not respond, the
reader stops, the pipe fills, and the server drops and counts. Every attempt reads the store's Secret again, so that a
repaired or rotated one takes effect at once. What was written is acknowledged on standard output.
"""

import contextlib
import json
import logging
import os
import re
import resource
import select
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from flywheel_serving import logs
from flywheel_serving.prediction_log.batches import LENGTH_BYTES, decode_message
from flywheel_serving.prediction_log.config import LogConfig, parse_log_config
from flywheel_serving.prediction_log.schema import RowSchema
from flywheel_serving.prediction_log.sink.message_queue import MessageBatch, Queue, RecentNumbers
from flywheel_serving.prediction_log.sink.parquet import ParquetEncoder
from flywheel_serving.prediction_log.sink.store import Store, StoreFailed, read_secret

MAX_QUEUE_BYTES = 16 * 1024 * 1024
MAX_LABEL_BYTES = 512 * 1024  # that are written at once: less than one client may have the server hold
MAX_MEMORY_BYTES = 512 * 1024 * 1024
FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.5, 15.0
HANG_UP_CHECK_SECONDS = 0.5  # while the reader waits for room
LOG_INTERVAL_SECONDS = 60.0  # between two log lines while the store fails
NICENESS = 10
OUT_OF_MEMORY_SCORE = "1000"
MAX_MESSAGE_BYTES = 8 * 1024 * 1024
BOOT_ID = re.compile("[0-9a-f]{1,32}")

log = logging.getLogger(__name__)


class Writer:
    """`greeting` is the server's first message; `acknowledge` sends one acknowledgement to the server."""

    def __init__(
        self, config: LogConfig, greeting: dict[str, Any], acknowledge: Callable[[dict[str, Any]], None]
    ) -> None:
        self._config = config
        self._greeting, self._acknowledge = greeting, acknowledge
        if not BOOT_ID.fullmatch(str(greeting["boot"])):
            raise ValueError("the server's boot id is no name")
        self._queue = Queue()
        self._label_numbers = RecentNumbers()  # of the messages read: a server may send one again
        self._queue_changed = threading.Condition()
        self._hung_up = threading.Event()
        self._file_prefix = f"{self._config.pod}-{os.urandom(4).hex()}"
        self._files = 0
        self._failure_logged_at = 0.0

    def read(self, pipe: BinaryIO) -> None:
        """Reads messages until the server closes the connection."""
        while content := read_message(pipe):
            head, _ = decode_message(content)
            with self._queue_changed:
                while not self._queue_changed.wait_for(self._has_room, HANG_UP_CHECK_SECONDS):
                    if _is_hung_up(pipe):
                        self._note_hang_up()
                self._add(content, head)
                self._queue_changed.notify_all()
        with self._queue_changed:
            self._note_hang_up()
            self._queue.is_complete = True
            self._queue_changed.notify_all()

    def _has_room(self) -> bool:
        return self._queue.size < MAX_QUEUE_BYTES

    def _note_hang_up(self) -> None:
        """From the first call on, the time to write what is left counts."""
        if self._queue.ended_at is None:
            self._queue.ended_at = time.monotonic()
            self._hung_up.set()

    def _add(self, content: bytes, head: dict[str, Any]) -> None:
        queue, kind = self._queue, head["kind"]
        if kind == "labels":
            if not self._label_numbers.add(head["number"]):
                return
            queue.batches[kind].add(content, len(head["label"]))
        elif kind == "rows":
            queue.batches[kind].add(content, len(head["id"]) * head["rows"])
        else:
            queue.counts.append(content)
        queue.size += len(content)

    def write(self) -> None:
        """Writes until the input has ended and everything is written, or the time after the input's end has passed."""
        queue = self._queue
        while True:
            with self._queue_changed:
                while not self._is_due():  # anew after each message: the first one of a batch decides when it is due
                    self._queue_changed.wait(self._seconds_until_due())
                counts = queue.counts[:]
                due = [
                    (kind, batch.contents[:], batch.items)
                    for kind, batch in queue.batches.items()
                    if self._batch_is_due(kind, batch)
                ]
            for content in counts:
                self._retry(partial(self._write_counts, content))
            for kind, contents, items in due:
                self._retry(partial(self._write_batch, kind, contents, items))
            with self._queue_changed:
                if queue.is_complete and queue.is_empty:
                    return

    def _is_due(self) -> bool:
        queue = self._queue
        is_due = any(self._batch_is_due(kind, batch) for kind, batch in queue.batches.items())
        return is_due or bool(queue.counts) or queue.is_complete

    def _batch_is_due(self, kind: str, batch: MessageBatch) -> bool:
        config = self._config
        max_bytes = config.bytes if kind == "rows" else MAX_LABEL_BYTES
        is_due = batch.is_due(config.rows, max_bytes, config.seconds)
        return is_due or (self._queue.is_complete and bool(batch.contents))

    def _seconds_until_due(self) -> float | None:
        oldest = min((batch.oldest_at for batch in self._queue.batches.values() if batch.contents), default=None)
        return None if oldest is None else max(0.0, oldest + self._config.seconds - time.monotonic())

    def _retry(self, write: Callable[[], None]) -> None:
        """Calls `write` until the store accepts it. Once the server has ended, the process exits after its time."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                write()
            except StoreFailed as error:
                self._log_failure(str(error))
            else:
                self._log_recovery()
                return
            if self._hung_up.wait(pause):
                self._pause_or_exit()
            pause = min(2 * pause, MAX_PAUSE_SECONDS)

    def _pause_or_exit(self) -> None:
        assert self._queue.ended_at is not None
        if time.monotonic() + FIRST_PAUSE_SECONDS > self._queue.ended_at + self._config.drain_seconds:
            log.error("the server ended before the store accepted what was logged; it is lost")
            logging.shutdown()
            os._exit(1)
        time.sleep(FIRST_PAUSE_SECONDS)

    def _log_failure(self, finding: str) -> None:
        if not self._failure_logged_at or time.monotonic() - self._failure_logged_at > LOG_INTERVAL_SECONDS:
            self._failure_logged_at = time.monotonic()
            message = "predictions cannot be written to the store and are retried; serving is not affected: %s"
            log.warning(message, finding)

    def _log_recovery(self) -> None:
        if self._failure_logged_at:
            self._failure_logged_at = 0.0
            log.info("predictions are written to the store again")

    def _store(self) -> Store:
        folder = Path(self._config.store)
        return Store(read_secret(folder), self._config.namespace, folder)

    def _parquet_encoder(self) -> ParquetEncoder:
        key = None
        if self._config.hmac_file:
            try:
                key = Path(self._config.hmac_file).read_bytes()
            except OSError as error:
                raise StoreFailed(f"the secret of HMAC columns cannot be read: {error}") from error
            if not key:
                raise StoreFailed(f"the secret of HMAC columns is empty: {self._config.hmac_file}")
        schema = RowSchema.from_document(self._greeting["schema"])
        return ParquetEncoder(self._config, schema, self._greeting["version"], key)

    def _write_batch(self, kind: str, contents: list[bytes], items: int) -> None:
        encoder = self._parquet_encoder()
        if kind == "rows":
            content, first_us = encoder.encode(contents), decode_message(contents[0])[0]["time"][0]
            acknowledgement: dict[str, Any] = {"rows": items, "bytes": len(content)}
        else:
            heads = [decode_message(content)[0] for content in contents]
            content, first_us = encoder.encode_labels(heads), heads[0]["time"]
            acknowledgement = {"labels": [head["number"] for head in heads]}
        folder = f"{kind}/{_hour_partition(first_us / 1e6)}/pod={self._config.pod}"
        self._store().put_new(self._key(f"{folder}/{self._file_prefix}-{self._files:06}.parquet"), content)
        self._files += 1
        with self._queue_changed:
            self._queue.size -= self._queue.batches[kind].remove(contents, items)
            self._queue_changed.notify_all()
        self._acknowledge(acknowledgement)

    def _write_counts(self, content: bytes) -> None:
        head, _ = decode_message(content)
        name = f"{self._config.pod}-{self._greeting['boot']}-{int(head['window']):06}.json"
        document = json.dumps(head["document"], sort_keys=True, separators=(",", ":")).encode()
        is_new = self._store().put_new(self._key(f"counts/{_hour_partition(head['from'])}/{name}"), document)
        with self._queue_changed:
            self._queue.counts.remove(content)
            self._queue.size -= len(content)
            self._queue_changed.notify_all()
        self._acknowledge({"window": head["window"], "outcome": "written" if is_new else "repeated"})

    def _key(self, name: str) -> str:
        return f"predictions/{self._config.service}/{name}"


def read_message(pipe: BinaryIO) -> bytes:
    """The next message without its length; empty at the end, or if the server was killed in the middle of a message."""
    prefix = pipe.read(LENGTH_BYTES)
    length = int.from_bytes(prefix, "little") if len(prefix) == LENGTH_BYTES else 0
    if length > MAX_MESSAGE_BYTES:
        raise ValueError(f"a message of {length} bytes; at most {MAX_MESSAGE_BYTES} are accepted")
    content = pipe.read(length)
    return content if len(content) == length else b""


def _is_hung_up(pipe: BinaryIO) -> bool:
    """Whether the server has closed the connection, of which there may still be something to read."""
    poll = select.poll()
    poll.register(pipe, select.POLLRDHUP)
    return bool(poll.poll(0))


def _read(writer: Writer, pipe: BinaryIO) -> None:
    try:
        writer.read(pipe)
    except Exception:
        log.exception("what the server sent cannot be read")
        os._exit(1)  # the other thread would wait for more


def _hour_partition(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("dt=%Y-%m-%d/hour=%H")


def _lower_priority() -> None:
    """Gives the server's work precedence, and makes this process the first to end if memory runs out."""
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(OUT_OF_MEMORY_SCORE)


def main() -> None:
    logs.configure()
    _lower_priority()
    output = sys.stdout.buffer

    def acknowledge(acknowledgement: dict[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):  # the server was killed; what it sent is written all the same
            output.write(orjson.dumps(acknowledgement) + b"\n")
            output.flush()

    pipe = sys.stdin.buffer
    greeting = read_message(pipe)
    if not greeting:
        return  # a connection without a word, such as a probe
    writer = Writer(parse_log_config(sys.argv[1]), decode_message(greeting)[0], acknowledge)
    threading.Thread(target=_read, args=(writer, pipe), daemon=True).start()
    writer.write()
    logging.shutdown()
    os._exit(0)


if __name__ == "__main__":
    main()

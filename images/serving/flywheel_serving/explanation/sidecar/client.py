"""The server's side of explanations: a bounded connection to the explainer, of which nothing blocks.

explain --> socket --> explainer's worker --> on_result, once: the rows, or the reason why there are none
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from flywheel_serving.explanation.sidecar.config import ExplainConfig
from flywheel_serving.model.datatypes import Array
from flywheel_serving.workers.frames import encode_message

MAX_ROWS = 100  # of one request
# What the explainer has not answered. Clients that ask by header may fill half, so that they keep no logged row out.
MAX_WAITING, MAX_WAITING_BYTES = 64, 2 * 1024 * 1024
MAX_WAITING_OF_CLIENTS, MAX_WAITING_BYTES_OF_CLIENTS = MAX_WAITING // 2, MAX_WAITING_BYTES // 2
MAX_LINE_BYTES = 16 * 1024 * 1024
FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.5, 60.0
HEALTHY_SECONDS = 60.0  # after which the pauses begin anew

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Explained:
    """An object for each row, as images/README.md has them under "Explanations"; or, without rows, why there are none."""

    rows: list[dict[str, Any]] | None
    reason: str = ""
    message: str = ""


OnExplained = Callable[[Explained], None]
STARTING = Explained(None, "ExplainerStarting", "the explainer loads the model; ask again in a moment")
UNREACHABLE = Explained(
    None, "ExplainerUnreachable", "the explainer does not run now; the log of container 'explain' says why"
)
ENDED = Explained(
    None, "ExplainerEnded", "the explainer ended while it explained; the log of container 'explain' says why"
)
BUSY = Explained(
    None, "ExplainerBusy", "the explainer has more requests than it can take; ask again later, or explain fewer"
)
LATE = Explained(None, "Late", "the explainer did not answer in time; explain fewer rows at once")
TOO_MANY_ROWS = Explained(None, "TooManyRows", f"at most {MAX_ROWS} rows of a request are explained; send fewer")
DAMAGED = Explained(None, "Damaged", "the explainer's answer cannot be read")
# Other reasons come from a process that is not trusted, and would be as many series of metrics as it likes.
EXPLAINED, OTHER = "Explained", "NotExplained"
OUTCOMES = (EXPLAINED, *(each.reason for each in (STARTING, UNREACHABLE, ENDED, BUSY, LATE, TOO_MANY_ROWS)), OTHER)


@dataclass(slots=True)
class _Waiting:
    on_result: OnExplained
    rows: int
    timer: asyncio.TimerHandle


@dataclass(slots=True)
class _Unanswered:
    """Requests that the explainer has not answered, late ones too: the bytes of each by its number."""

    max_requests: int
    max_bytes: int
    sizes: dict[int, int] = field(default_factory=dict)

    def has_room(self, size: int) -> bool:
        return len(self.sizes) < self.max_requests and sum(self.sizes.values()) + size <= self.max_bytes


class ExplainerClient(asyncio.Protocol):
    """Connects to the explainer, again with growing pauses. Belongs to one event loop."""

    def __init__(self, config: ExplainConfig) -> None:
        self._path = config.socket
        self.outcomes: Counter[str] = Counter(dict.fromkeys(OUTCOMES, 0))
        self.method = ""  # empty while there is none
        self._refusal: Explained = UNREACHABLE  # why nothing is asked, while `method` is empty
        self._transport: asyncio.WriteTransport | None = None
        self._numbers = 0
        self._waiting: dict[int, _Waiting] = {}
        self._unanswered = _Unanswered(MAX_WAITING, MAX_WAITING_BYTES)
        self._of_clients = _Unanswered(MAX_WAITING_OF_CLIENTS, MAX_WAITING_BYTES_OF_CLIENTS)
        self._unparsed = b""
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self._is_closing = False
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_connected(self) -> bool:
        """Whether the explainer can be reached."""
        return self._transport is not None

    def start(self) -> None:
        """Connects, now or later."""
        self._timer = None
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._connect())

    async def _connect(self) -> None:
        try:
            await self._loop.create_unix_connection(lambda: self, self._path)
        except OSError as error:
            self._connect_later(f"cannot be reached at {self._path}: {error}")

    def _connect_later(self, finding: str) -> None:
        if self._is_closing:
            return
        facts = {"againAfterSeconds": self._pause_seconds}
        log.warning("the explainer %s; predictions are answered without it", finding, extra={"facts": facts})
        self._timer = self._loop.call_later(self._pause_seconds, self.start)
        self._pause_seconds = min(2 * self._pause_seconds, MAX_PAUSE_SECONDS)

    def explain(
        self, inputs: dict[str, Array], rows: int, seconds: float, on_result: OnExplained, *, for_client: bool = False
    ) -> None:
        """Calls `on_result` once, at once or at most `seconds` later, with the explanation of rows as the model takes them.

        Those that are asked `for_client`, by a header, have a part of the places only.
        """
        if (refusal := self._refuse(rows, seconds)) is not None:
            self._count_and_call(on_result, refusal)
            return
        self._numbers = number = self._numbers + 1
        content = {"number": number, "deadline": time.monotonic() + seconds}
        blocks = encode_message(content, inputs)
        size = sum([len(block) for block in blocks])
        taken = [self._unanswered, self._of_clients] if for_client else [self._unanswered]
        if not all(each.has_room(size) for each in taken):
            self._count_and_call(on_result, BUSY)
            return
        assert self._transport is not None
        self._transport.writelines(blocks)
        timer = self._loop.call_later(seconds, self._finish, number, LATE)
        self._waiting[number] = _Waiting(on_result, rows, timer)
        for each in taken:
            each.sizes[number] = size

    def _refuse(self, rows: int, seconds: float) -> Explained | None:
        if not self.method:
            return self._refusal
        if rows > MAX_ROWS:
            return TOO_MANY_ROWS
        if not self._unanswered.has_room(0):
            return BUSY  # before its rows are copied
        return LATE if seconds <= 0 else None

    def _count_and_call(self, on_result: OnExplained, result: Explained) -> None:
        outcome = result.reason or EXPLAINED
        self.outcomes[outcome if outcome in OUTCOMES else OTHER] += 1
        try:
            on_result(result)
        except Exception:  # a fault of one request must not reach the others
            log.exception("an explanation was not passed on")

    def _finish(self, number: int, result: Explained) -> None:
        waiting = self._waiting.pop(number, None)
        if waiting is None:
            return  # it was late
        waiting.timer.cancel()
        if result.rows is not None and len(result.rows) != waiting.rows:
            result = DAMAGED
        self._count_and_call(waiting.on_result, result)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._is_closing:
            transport.close()
            return
        self._transport = transport  # type: ignore[assignment]  # uvloop's transports are not asyncio.WriteTransport
        self._refusal = STARTING
        self._connected_at = self._loop.time()

    def data_received(self, data: bytes) -> None:
        *lines, self._unparsed = (self._unparsed + data).split(b"\n")
        for line in lines:
            try:
                self._read(orjson.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError):
                log.warning("the explainer's answer cannot be read; it is started again")
                self._end()
                return
        if len(self._unparsed) > MAX_LINE_BYTES:
            log.warning("the explainer's answer is too long; it is started again")
            self._end()

    def _end(self) -> None:
        self._unparsed = b""
        if self._transport is not None:
            self._transport.abort()

    def _read(self, answer: dict[str, Any]) -> None:
        """One line of the explainer, whose model may have overwritten its memory: no byte of it is trusted."""
        if "number" not in answer:
            self.method = str(answer.get("method") or "")[:64]
            if not self.method:
                self._refusal = _without_rows(answer)
                log.warning("predictions are not explained: %s: %s", self._refusal.reason, self._refusal.message)
            return
        number = answer["number"]
        del self._unanswered.sizes[number]
        self._of_clients.sizes.pop(number, None)
        rows = answer.get("rows")
        if rows is None:
            self._finish(number, _without_rows(answer))
        elif isinstance(rows, list) and all(isinstance(row, dict) for row in rows):
            self._finish(number, Explained(rows))
        else:
            self._finish(number, DAMAGED)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport, self.method, self._unparsed = None, "", b""
        self._refusal = UNREACHABLE
        for number in [*self._waiting]:
            self._finish(number, ENDED)
        self._unanswered.sizes.clear()
        self._of_clients.sizes.clear()
        if self._loop.time() - self._connected_at > HEALTHY_SECONDS:
            self._pause_seconds = FIRST_PAUSE_SECONDS
        self._connect_later("has ended")

    async def close(self, seconds: float) -> None:
        """Waits so long for what is asked, and ends the connection; the rest is told that there is none."""
        self._is_closing = True
        deadline = time.monotonic() + seconds
        while self._waiting and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
        if self._transport is not None:
            self._transport.close()
        for number in [*self._waiting]:
            self._finish(number, ENDED)


def _without_rows(answer: dict[str, Any]) -> Explained:
    return Explained(None, str(answer["reason"])[:64] or "Failed", str(answer["message"])[:1000])

"""Requests that wait at the same time go through the model in one call.

    submit -> queue -> `_flush` (in the same turn of the event loop, or when a thread is free) -> one call -> rows back to their requests

What was decoded in one turn of the loop, or came while the threads were busy, runs together: eight rows cost a small model little more
than one. Nobody waits for company, unless the server is told to let them (`wait_seconds`), for models that gain much from it.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from flywheel_serving.admission import Admission
from flywheel_serving.datatypes import Array
from flywheel_serving.errors import ModelFailed, Overloaded, RequestError
from flywheel_serving.metrics import Metrics
from flywheel_serving.runner import Runner

Outputs = list[Array] | RequestError


@dataclass(slots=True, eq=False)  # compared by identity: arrays have no one answer to ==
class Call:
    """One request's tensors, as the model takes them; `answer` gets an array for each name in `outputs`, in that order."""

    feeds: dict[str, Array]
    outputs: list[str]
    rows: int
    expires: float  # on time.perf_counter's clock: when nobody waits for it any more
    answer: Callable[[Outputs], None]
    submitted: float = 0.0  # on the same clock, and so is `started`
    started: float = 0.0
    # Calls of one form have inputs of the same names, types and shapes, and all their numbers in `block`, [input, row, ...].
    form: object = None
    block: Array | None = None
    counted: bool = False  # with the others of its run, by `Batcher.count`

    @property
    def shape(self) -> tuple[tuple[int, ...], ...]:
        """Calls fit together where all axes but the first are the same."""
        return tuple([array.shape[1:] for array in self.feeds.values()])


@dataclass(slots=True)
class Run:
    """One call of the model for several requests; `form` and `block` as a Call has them, where all have that form."""

    calls: list[Call]
    feeds: dict[str, Array]
    outputs: list[str]
    rows: int
    form: object
    block: Array | None


class Batcher:
    """`max_rows` in one call of the model; 1: every request by itself. `alike`: all rows have one shape.

    A request waits at most `wait_seconds` for others to fill such a call.
    """

    def __init__(
        self,
        runner: Runner,
        metrics: Metrics,
        admission: Admission,
        max_rows: int,
        *,
        alike: bool = False,
        wait_seconds: float = 0.0,
    ) -> None:
        self._alike = alike
        self._wait_seconds = wait_seconds
        self._timer: asyncio.TimerHandle | None = None
        self._admission = admission
        self._runner = runner
        self._metrics = metrics
        self._queue: deque[Call] = deque()
        self._due = False
        self.max_rows = max_rows
        self.count: Callable[[Run, list[Array]], None] | None = None  # told of each run that succeeded

    def submit(self, call: Call) -> None:
        """Its answer comes later, on the event loop; Overloaded if it is still waiting when it expires."""
        call.submitted = time.perf_counter()
        self._queue.append(call)
        if self._runner.is_full:
            asyncio.get_running_loop().call_later(max(0.0, call.expires - time.perf_counter()), self._drop, call)
        else:
            self._soon()

    def _soon(self) -> None:
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _drop(self, call: Call) -> None:
        """What nobody waits for must not take the time of those who still do."""
        if call in self._queue:
            self._queue.remove(call)
            self._metrics.statistics.failed(time.perf_counter() - call.submitted)
            call.answer(Overloaded("the model was not free in time; ask again in a second"))

    def _flush(self) -> None:
        self._due = False
        if self._wait_seconds:
            self._flush_full()
            return
        waited = len(self._queue)
        while self._queue and not self._runner.is_full:
            self._run(self._take())
        if self._runner.is_idle:  # else the model is slow, and gains more from many rows than a short queue would
            self._admission.emptied(waited)

    def _flush_full(self) -> None:
        """Calls that are full, and the one whose first request has waited long enough; a timer sees to the rest."""
        while self._queue and not self._runner.is_full:
            first = self._queue[0]
            left = min(first.submitted + self._wait_seconds, first.expires) - time.perf_counter()
            if left > 0 and sum([call.rows for call in self._queue]) < self.max_rows:
                if self._timer is None:
                    self._timer = asyncio.get_running_loop().call_later(left, self._time_is_up)
                return
            self._run(self._take())

    def _time_is_up(self) -> None:
        self._timer = None
        self._soon()

    def _take(self) -> list[Call]:
        first = self._queue.popleft()
        batch, rows = [first], first.rows
        while self._queue:
            following = self._queue[0]
            rows += following.rows
            if rows > self.max_rows or not (self._alike or following.shape == first.shape):
                break
            batch.append(self._queue.popleft())
        return batch

    def _run(self, batch: list[Call]) -> None:
        now = time.perf_counter()
        for call in batch:
            call.started = now
        run = _together(batch)
        self._metrics.batch_rows.observe(run.rows)
        self._runner.run(run.feeds, run.outputs, lambda found: self._ended(run, found))

    def _ended(self, run: Run, found: Outputs) -> None:
        batch = run.calls
        self._note(batch, found)
        if isinstance(found, ModelFailed) and len(batch) > 1:
            for call in batch:  # one request's row must not spoil the others' answers
                self._run([call])
        elif isinstance(found, RequestError):
            for call in batch:
                call.answer(found)
        else:
            self._hand_out(run, found)
            if self.count is not None:
                self.count(run, found)
        if self._queue:
            self._soon()

    def _note(self, batch: list[Call], found: Outputs) -> None:
        statistics, now = self._metrics.statistics, time.perf_counter()
        if not isinstance(found, RequestError):
            many, began = len(batch), batch[0].started
            waited = many * began - sum([call.submitted for call in batch])
            statistics.succeeded(many, sum([call.rows for call in batch]), waited, many * (now - began))
        elif len(batch) == 1 or not isinstance(found, ModelFailed):  # else each is tried by itself
            for call in batch:
                statistics.failed(now - call.submitted)

    def _hand_out(self, run: Run, found: list[Array]) -> None:
        if len(run.calls) == 1:
            run.calls[0].answer(found)
            return
        start = 0
        by_name = dict(zip(run.outputs, found, strict=True))
        for call in run.calls:
            end = start + call.rows
            given = found if call.outputs == run.outputs else [by_name[name] for name in call.outputs]
            call.answer([array[start:end] for array in given])
            start = end


def _together(batch: list[Call]) -> Run:
    first = batch[0]
    if len(batch) == 1:
        return Run(batch, first.feeds, first.outputs, first.rows, first.form, first.block)
    outputs = list(dict.fromkeys([name for call in batch for name in call.outputs]))
    rows = sum([call.rows for call in batch])
    blocks = [call.block for call in batch if call.block is not None and call.form is first.form]
    if len(blocks) == len(batch):  # thirty columns are copied as quickly as one
        block = np.concatenate(blocks, axis=1)
        return Run(batch, dict(zip(first.feeds, block, strict=True)), outputs, rows, first.form, block)
    feeds = {name: np.concatenate([call.feeds[name] for call in batch]) for name in first.feeds}
    return Run(batch, feeds, outputs, rows, None, None)

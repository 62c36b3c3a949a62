"""Requests that wait at the same time go through the model in one call.

    submit -> queue -> `_flush` (in the same turn of the event loop, or when a thread is free) -> one call -> rows back to their requests

Nobody waits for company: what was decoded in one turn of the loop, or came while the threads were busy, runs together. Eight rows cost a
small model little more than one.
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

    @property
    def shape(self) -> tuple[tuple[int, ...], ...]:
        """Calls fit together where all axes but the first are the same."""
        return tuple([array.shape[1:] for array in self.feeds.values()])


class Batcher:
    """`max_rows` in one call of the model; 1: every request by itself. `alike`: all rows have one shape."""

    def __init__(
        self, runner: Runner, metrics: Metrics, admission: Admission, max_rows: int, *, alike: bool = False
    ) -> None:
        self._alike = alike
        self._admission = admission
        self._runner = runner
        self._metrics = metrics
        self._queue: deque[Call] = deque()
        self._due = False
        self.max_rows = max_rows

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
        waited = len(self._queue)
        while self._queue and not self._runner.is_full:
            self._run(self._take())
        if not self._queue:
            self._admission.emptied(waited)

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
        if len(batch) == 1:
            call = batch[0]
            self._metrics.batch_rows.observe(call.rows)
            self._runner.run(call.feeds, call.outputs, lambda found: self._ended([call], call.outputs, found))
            return
        outputs = list(dict.fromkeys([name for call in batch for name in call.outputs]))
        feeds = {name: np.concatenate([call.feeds[name] for call in batch]) for name in batch[0].feeds}
        self._metrics.batch_rows.observe(sum([call.rows for call in batch]))
        self._runner.run(feeds, outputs, lambda found: self._ended(batch, outputs, found))

    def _ended(self, batch: list[Call], outputs: list[str], found: Outputs) -> None:
        self._note(batch, found)
        if len(batch) == 1:
            batch[0].answer(found)
        elif isinstance(found, ModelFailed):
            for call in batch:  # one request's row must not spoil the others' answers
                self._run([call])
        elif isinstance(found, RequestError):
            for call in batch:
                call.answer(found)
        else:
            self._hand_out(batch, dict(zip(outputs, found, strict=True)))
        if self._queue:
            self._soon()

    def _note(self, batch: list[Call], found: Outputs) -> None:
        statistics, now = self._metrics.statistics, time.perf_counter()
        if not isinstance(found, RequestError):
            statistics.ran()
            for call in batch:
                statistics.succeeded(call.rows, call.started - call.submitted, now - call.started)
        elif len(batch) == 1 or not isinstance(found, ModelFailed):  # else each is tried by itself
            for call in batch:
                statistics.failed(now - call.submitted)

    def _hand_out(self, batch: list[Call], found: dict[str, Array]) -> None:
        start = 0
        arrays = list(found.values())
        names = list(found)
        for call in batch:
            end = start + call.rows
            given = arrays if call.outputs == names else [found[name] for name in call.outputs]
            call.answer([array[start:end] for array in given])
            start = end

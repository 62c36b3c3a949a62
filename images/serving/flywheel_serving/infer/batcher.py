"""Dynamic batching: requests that wait at the same time share one call of the model.

    submit -> queue -> `_flush` (in the same turn of the event loop, or when a thread is free) -> one call -> rows back to their requests

Requests decoded in one turn of the loop, or while the threads were busy, run together: eight rows cost a small model
little more than one. No request waits for others unless `wait_seconds` says so, for models that gain much from it.

The queue is first come, first served, but for requests of a client that has as many calls running as one client may have.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from flywheel_serving.errors import ModelFailed, Overloaded, RequestError, RequestTooLarge, TimeLimitExceeded
from flywheel_serving.infer.admission import Admission
from flywheel_serving.infer.requests import InputLayout
from flywheel_serving.infer.runner import ModelResult, Runner
from flywheel_serving.metrics.server_metrics import ServerMetrics
from flywheel_serving.model.datatypes import Array
from flywheel_serving.peers import UNKNOWN_PEER

# A call that failed, took too long or was too large for several requests is repeated for each alone; they may wait so
# long for their turn.
REPEATED = ModelFailed | TimeLimitExceeded | RequestTooLarge
REPEAT_SECONDS = 5.0


@dataclass(slots=True, eq=False)  # compared by identity: == of arrays is an array
class BatchItem:
    """One request's tensors, as the model takes them. `on_result` gets an array for each of `outputs`, in that order.

    `deadline` is when its client stops waiting; it and the other times are of time.perf_counter's clock.
    """

    feeds: dict[str, Array]
    outputs: list[str]
    rows: int
    deadline: float
    on_result: Callable[[ModelResult], None]
    submitted: float = 0.0
    peer: str = UNKNOWN_PEER
    started: float = 0.0
    # Items of one layout have inputs of the same names, types and shapes, and all numbers in `block`, [input, row, ...].
    layout: InputLayout | None = None
    block: Array | None = None
    counted: bool = False  # with the others of its batch, by `Batcher.on_batch`
    alone: bool = False  # it was in a batch that failed, and shares no call any more
    has_timer: bool = False  # that drops it at its deadline

    @property
    def row_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of all inputs without the first axis: items share a call if these are equal."""
        return tuple([array.shape[1:] for array in self.feeds.values()])


@dataclass(slots=True)
class Batch:
    """One call of the model for several items; `layout` and `block` as in BatchItem, if all items have that layout."""

    items: list[BatchItem]
    feeds: dict[str, Array]
    outputs: list[str]
    rows: int
    layout: InputLayout | None
    block: Array | None


class Batcher:
    """At most `max_rows` in one call of the model; 1 gives every request a call of its own.

    `fixed_row_shape`: all rows have one shape. `has_row_axis`: every output must have a row for each row. A request waits at most `wait_seconds` for others to fill its call.
    """

    def __init__(
        self,
        runner: Runner,
        metrics: ServerMetrics,
        admission: Admission,
        max_rows: int,
        *,
        fixed_row_shape: bool = False,
        wait_seconds: float = 0.0,
        has_row_axis: bool = True,
    ) -> None:
        self._fixed_row_shape = fixed_row_shape
        self._has_row_axis = has_row_axis
        self._wait_seconds = wait_seconds
        self._timer: asyncio.TimerHandle | None = None
        self._admission = admission
        self._runner = runner
        self._metrics = metrics
        self._queue: deque[BatchItem] = deque()
        self._is_flush_due = False
        self.max_rows = max_rows
        self.on_batch: Callable[[Batch, list[Array]], None] | None = None  # called for each batch that succeeded
        runner.on_late_end = self._flush_soon
        admission.count_queued = self._count_queued

    def submit(self, item: BatchItem) -> None:
        """Queues `item`: its result comes later, on the event loop; Overloaded if it still waits at its deadline."""
        item.submitted = time.perf_counter()
        self._queue.append(item)
        if self._is_flush_due:
            return  # it runs the item, or starts its timer
        if self._runner.is_full:
            self._start_timer(item)
        else:
            self._flush_soon()

    def _count_queued(self, peer: str) -> int:
        return sum([item.peer == peer for item in self._queue])

    def _start_timer(self, item: BatchItem) -> None:
        if not item.has_timer:
            item.has_timer = True
            seconds_left = max(0.0, item.deadline - time.perf_counter())
            asyncio.get_running_loop().call_later(seconds_left, self._expire, item)

    def _flush_soon(self) -> None:
        if not self._is_flush_due:
            self._is_flush_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _expire(self, item: BatchItem) -> None:
        """Drops an item whose client has stopped waiting, so that it takes no time of the others."""
        item.has_timer = False
        if item not in self._queue:
            return
        if time.perf_counter() < item.deadline:
            self._start_timer(item)  # it waits for a second call
        else:
            self._queue.remove(item)
            self._metrics.statistics.add_failure(time.perf_counter() - item.submitted)
            item.on_result(Overloaded("the model was not free in time; retry in a second"))

    def _flush(self) -> None:
        self._is_flush_due = False
        if self._wait_seconds:
            self._flush_full()
            return
        length = len(self._queue)
        while self._queue and not self._runner.is_full:
            items = self._next_items()
            if not items:
                break
            self._run(items)
        if self._runner.is_idle:  # else the model is slow, and gains more from many rows than from a short queue
            self._admission.queue_drained(length)
        else:
            self._start_timers()

    def _start_timers(self) -> None:
        for item in self._queue:
            self._start_timer(item)

    def _flush_full(self) -> None:
        """Runs full batches, and one whose first item has waited long enough; a timer runs the rest."""
        while self._queue and not self._runner.is_full:
            first = self._queue[0]
            seconds_left = min(first.submitted + self._wait_seconds, first.deadline) - time.perf_counter()
            if seconds_left > 0 and sum([item.rows for item in self._queue]) < self.max_rows:
                if self._timer is None:
                    self._timer = asyncio.get_running_loop().call_later(seconds_left, self._on_timer)
                return
            items = self._next_items()
            if not items:
                break
            self._run(items)
        self._start_timers()

    def _on_timer(self) -> None:
        self._timer = None
        self._flush_soon()

    def _next_items(self) -> list[BatchItem]:
        """The items of the next call, which leave the queue; none if no client that waits may have another call."""
        skipped: list[BatchItem] = []
        if not self._runner.is_idle:
            while self._queue and not self._runner.may_start(self._queue[0].peer):
                skipped.append(self._queue.popleft())
        items = self._pop_batch() if self._queue else []
        if skipped:
            self._queue.extendleft(reversed(skipped))
        return items

    def _pop_batch(self) -> list[BatchItem]:
        first = self._queue.popleft()
        items, rows, any_peer = [first], first.rows, self._runner.mixes_peers
        while self._queue and not first.alone:
            following = self._queue[0]
            rows += following.rows
            if rows > self.max_rows or not (self._fixed_row_shape or following.row_shapes == first.row_shapes):
                break
            if following.alone or not (any_peer or following.peer == first.peer):
                break
            items.append(self._queue.popleft())
        return items

    def _run(self, items: list[BatchItem]) -> None:
        now = time.perf_counter()
        for item in items:
            item.started = now
        batch = _merge(items)
        self._metrics.batch_rows.observe(batch.rows)
        self._runner.run(batch.feeds, batch.outputs, lambda result: self._on_result(batch, result), items[0].peer)

    def _on_result(self, batch: Batch, result: ModelResult) -> None:
        items = batch.items
        if self._has_row_axis and not isinstance(result, RequestError):
            result = _check_rows(batch, result)
        self._update_statistics(batch, result)
        if isinstance(result, REPEATED) and len(items) > 1:
            self._repeat_alone(items)
        elif isinstance(result, RequestError):
            for item in items:
                item.on_result(result)
        else:
            _distribute(batch, result)
            if self.on_batch is not None:
                self.on_batch(batch, result)
        if self._queue:
            self._flush_soon()

    def _repeat_alone(self, items: list[BatchItem]) -> None:
        """One request's row must not fail the other requests."""
        deadline = time.perf_counter() + REPEAT_SECONDS
        for item in items:
            item.alone, item.deadline = True, max(item.deadline, deadline)
        self._queue.extendleft(reversed(items))

    def _update_statistics(self, batch: Batch, result: ModelResult) -> None:
        items, statistics, now = batch.items, self._metrics.statistics, time.perf_counter()
        if not isinstance(result, RequestError):
            requests, started = len(items), items[0].started
            queued_seconds = requests * started - sum([item.submitted for item in items])
            statistics.add_success(requests, batch.rows, queued_seconds, requests * (now - started))
        elif len(items) == 1 or not isinstance(result, REPEATED):  # else each item runs again by itself
            for item in items:
                statistics.add_failure(now - item.submitted)


def _check_rows(batch: Batch, outputs: list[Array]) -> ModelResult:
    """`outputs`, or ModelFailed if one of them has not one row for each row of the batch."""
    rows = batch.rows
    for name, array in zip(batch.outputs, outputs, strict=True):
        shape = array.shape
        if not shape or shape[0] != rows:
            finding = f"output {name[:100]!r} of the model has the shape {list(shape)} for {rows} rows"
            return ModelFailed(
                f"{finding}, and each row must have a row of its own; export the model with rows along the first axis"
            )
    return outputs


def _distribute(batch: Batch, outputs: list[Array]) -> None:
    """Gives each item its rows of `outputs`."""
    if len(batch.items) == 1:
        batch.items[0].on_result(outputs)
        return
    start = 0
    by_name = dict(zip(batch.outputs, outputs, strict=True))
    for item in batch.items:
        end = start + item.rows
        own = outputs if item.outputs is batch.outputs else [by_name[name] for name in item.outputs]
        item.on_result([array[start:end] for array in own])
        start = end


def _merge(items: list[BatchItem]) -> Batch:
    first = items[0]
    if len(items) == 1:
        return Batch(items, first.feeds, first.outputs, first.rows, first.layout, first.block)
    outputs = first.outputs
    for item in items:  # most clients want all outputs, which are one list
        if item.outputs is not outputs:
            outputs = list(dict.fromkeys([name for each in items for name in each.outputs]))
            break
    rows = sum([item.rows for item in items])
    blocks = [item.block for item in items if item.block is not None and item.layout is first.layout]
    if len(blocks) == len(items):  # one copy for all inputs: thirty inputs are copied as fast as one
        block = np.concatenate(blocks, axis=1)
        return Batch(items, dict(zip(first.feeds, block, strict=True)), outputs, rows, first.layout, block)
    feeds = {name: np.concatenate([item.feeds[name] for item in items]) for name in first.feeds}
    return Batch(items, feeds, outputs, rows, None, None)

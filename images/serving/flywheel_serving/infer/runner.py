"""Runs the model: on the event loop while its calls are known to be short, else in threads, each for a limited time.

A thread computes by itself, or waits for a worker process that does. A client has at most one call less in
threads than there may be, so that its long calls leave room for the calls of others.
"""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

from flywheel_serving.errors import ModelCrashed, ModelFailed, Overloaded, RequestError, TimeLimitExceeded
from flywheel_serving.model.datatypes import Array
from flywheel_serving.model.loaded_model import LoadedModel
from flywheel_serving.peers import UNKNOWN_PEER

# A hop to a thread and back costs about 0.1 ms on a busy core, several times a small model's own work. Other connections
# wait for at most one call of 1 ms.
MAX_INLINE_SECONDS = 0.001
MAX_INLINE_BYTES = 65_536
# A call on the event loop has no time limit, so its input is at most so many times as large as one that a thread computed
# in MAX_INLINE_SECONDS. A call on the event loop that took this long halves that size.
INLINE_GROWTH = 2
LONG_INLINE_SECONDS = 0.01
MAX_INLINE_SHAPES = 256  # of models whose rows have any shape; further shapes go to threads
# Weights of the moving estimate of a call's time. A preempted or throttled process measures long times that are not the
# model's, so long times weigh little and short ones much. A model that is really slow passes the limit within ten calls.
SLOWER_WEIGHT, FASTER_WEIGHT = 0.02, 0.5
# After its time limit, a call has so long to end before its client is answered without it, and the call counts as stuck.
GRACE_SECONDS = 2.0

log = logging.getLogger(__name__)

ModelResult = list[Array] | RequestError  # one array for each requested output
ResultCallback = Callable[[ModelResult], None]
Lease = Callable[[], AbstractContextManager[LoadedModel]]
Run = Callable[[dict[str, Array], list[str], float | None], list[Array]]
RowShapes = tuple[tuple[int, ...], ...]
ANY_SHAPE: RowShapes = ()


@dataclass(frozen=True)
class Concurrency:
    """How a model may be called: at most `max_calls` in threads, each for `run_seconds`.

    `inline`: short calls may run on the event loop. `fixed_row_shape`: all rows have one shape, so that the bytes of an input
    say how much work it is; otherwise each shape is measured by itself. `lease` gives the worker that computes a call; its start is not part of
    the call's time. `restore` is called in the thread after a call that ended a worker, or got none.
    """

    max_calls: int
    run_seconds: float = 60.0
    inline: bool = True
    fixed_row_shape: bool = True
    lease: Lease | None = None
    restore: Callable[[], None] | None = None


@dataclass(eq=False, slots=True)
class _Call:
    peer: str
    on_result: ResultCallback | None
    size: int  # bytes of its inputs
    shapes: RowShapes
    is_small: bool
    late: asyncio.TimerHandle | None = None
    started: float | None = None  # time.perf_counter's clock; None while it waits for the start of a worker


class Runner:
    """Runs a model's calls and estimates how long a small call takes. Belongs to one event loop."""

    def __init__(self, model: LoadedModel, concurrency: Concurrency) -> None:
        self._model = model
        self._concurrency = concurrency
        self._max_calls, self._inline = concurrency.max_calls, concurrency.inline
        # Whether requests of several clients may share a call: only where none of them can make it long, or end it.
        self.mixes_peers = concurrency.inline
        self._pool = ThreadPoolExecutor(concurrency.max_calls, thread_name_prefix="infer")
        self._calls: set[_Call] = set()  # in threads
        self._calls_of_peer: Counter[str] = Counter()
        self._small_call_seconds = MAX_INLINE_SECONDS  # until measured, a call goes to the pool
        self._fixed_row_shape = concurrency.fixed_row_shape
        self._inline_bytes: dict[RowShapes, int] = {}  # the largest input that may run on the event loop
        # Called when a call ends after its result was delivered, so that another one may start.
        self.on_late_end: Callable[[], None] = lambda: None
        self.ended: Counter[str] = Counter()  # calls that ended otherwise than by themselves, by TimeLimit and Crashed

    @property
    def is_full(self) -> bool:
        """Whether a call that needs a thread would have to wait for one."""
        return len(self._calls) >= self._max_calls

    @property
    def is_idle(self) -> bool:
        """Whether no call is running; a call on the event loop has ended by the time this is read."""
        return not self._calls

    @property
    def stuck_calls(self) -> int:
        """The number of calls that run on although their time limit has passed."""
        longest = self._concurrency.run_seconds + GRACE_SECONDS
        now = time.perf_counter()
        return sum(call.started is not None and now - call.started > longest for call in self._calls)

    @property
    def is_stuck(self) -> bool:
        """Whether as many calls are stuck as may run."""
        return self.stuck_calls >= self._max_calls

    def may_start(self, peer: str) -> bool:
        """Whether the client may have one more call in a thread."""
        return self._calls_of_peer[peer] < max(1, self._max_calls - 1)

    def run(
        self, feeds: dict[str, Array], outputs: list[str], on_result: ResultCallback, peer: str = UNKNOWN_PEER
    ) -> None:
        """Gives `on_result` one array for each of `outputs`, or an error: at once, or later on the event loop."""
        size = _input_bytes(feeds)
        shapes = ANY_SHAPE if self._fixed_row_shape else tuple([array.shape[1:] for array in feeds.values()])
        is_small = self._inline and size <= self._inline_bytes.get(shapes, 0)
        if is_small and self._small_call_seconds < MAX_INLINE_SECONDS:
            on_result(self._run_inline(feeds, outputs, size, shapes))
        else:
            self._run_in_thread(feeds, outputs, _Call(peer, on_result, size, shapes, is_small))

    def _run_inline(self, feeds: dict[str, Array], outputs: list[str], size: int, shapes: RowShapes) -> ModelResult:
        result, seconds = _timed_run(self._model.run, feeds, outputs, None)
        if seconds is not None:
            self._add_small_call(seconds)
            if seconds > LONG_INLINE_SECONDS:
                self._inline_bytes[shapes] = min(self._inline_bytes[shapes], size // INLINE_GROWTH)
        return result

    def _add_small_call(self, seconds: float) -> None:
        excess = seconds - self._small_call_seconds
        self._small_call_seconds += (SLOWER_WEIGHT if excess > 0 else FASTER_WEIGHT) * excess

    def _add_thread_call(self, call: _Call, seconds: float) -> None:
        if call.is_small:
            self._add_small_call(seconds)
        known = self._inline_bytes
        if seconds < MAX_INLINE_SECONDS and (call.shapes in known or len(known) < MAX_INLINE_SHAPES):
            largest = min(INLINE_GROWTH * call.size, MAX_INLINE_BYTES)
            known[call.shapes] = max(known.get(call.shapes, 0), largest)

    def _run_in_thread(self, feeds: dict[str, Array], outputs: list[str], call: _Call) -> None:
        loop, seconds, restore = asyncio.get_running_loop(), self._concurrency.run_seconds, self._concurrency.restore
        lease, run = self._concurrency.lease, self._model.run
        if lease is None:
            call.started = time.perf_counter()
        else:
            run = partial(_leased_run, lease, call)
        self._calls.add(call)
        self._calls_of_peer[call.peer] += 1
        self._limit(call, seconds + GRACE_SECONDS)

        def finish(result: ModelResult, seconds: float | None) -> None:
            if call.late is not None:
                call.late.cancel()
            if seconds is not None and self._inline:
                self._add_thread_call(call, seconds)
            self._release(call)
            if call.on_result is None:
                self.on_late_end()
            else:
                self._deliver(call, result)

        def work() -> None:
            result, taken = _timed_run(run, feeds, outputs, seconds)
            with contextlib.suppress(RuntimeError):  # the loop is closed: no client waits any more
                if restore is not None and isinstance(result, ModelCrashed | TimeLimitExceeded | Overloaded):
                    # The client learns it at once, and its call counts until a new worker has loaded the model.
                    loop.call_soon_threadsafe(self._deliver, call, result)
                    call.started = None
                    restore()
                loop.call_soon_threadsafe(finish, result, taken)

        self._pool.submit(work)

    def _limit(self, call: _Call, seconds: float) -> None:
        """Answers the call without its result after `seconds`, or later by as long as it waited for its worker."""

        def end() -> None:
            limit = self._concurrency.run_seconds
            if call.started is None:
                self._deliver(call, Overloaded("a worker of the model is still being started; retry in a second"))
            elif (remaining := call.started + limit + GRACE_SECONDS - time.perf_counter()) > 0:
                self._limit(call, remaining)
            else:
                self._deliver(call, TimeLimitExceeded(limit))

        call.late = asyncio.get_running_loop().call_later(seconds, end)

    def _release(self, call: _Call) -> None:
        self._calls.discard(call)
        self._calls_of_peer[call.peer] -= 1
        if not self._calls_of_peer[call.peer]:
            del self._calls_of_peer[call.peer]

    def _deliver(self, call: _Call, result: ModelResult) -> None:
        on_result, call.on_result = call.on_result, None
        if on_result is None:
            return  # delivered before
        if isinstance(result, TimeLimitExceeded):
            self.ended["TimeLimit"] += 1
        elif isinstance(result, ModelCrashed):
            self.ended["Crashed"] += 1
        on_result(result)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def _timed_run(
    run: Run, feeds: dict[str, Array], outputs: list[str], limit: float | None
) -> tuple[ModelResult, float | None]:
    """The result, and the seconds that it took; None where it failed, since errors say nothing about the model's time."""
    start = time.perf_counter()
    try:
        return run(feeds, outputs, limit), time.perf_counter() - start
    except RequestError as error:
        return error, None
    except Exception:  # after any error its thread must be free again
        log.exception("a call of the model failed")
        return ModelFailed("the call of the model failed; the log of container 'server' says why"), None


def _leased_run(
    lease: Lease, call: _Call, feeds: dict[str, Array], outputs: list[str], seconds: float | None
) -> list[Array]:
    with lease() as worker:
        call.started = time.perf_counter()
        return worker.run(feeds, outputs, seconds)


def _input_bytes(feeds: dict[str, Array]) -> int:
    """Bytes of all inputs; a text counts with its length, since a few long texts can be much work."""
    total = 0
    for array in feeds.values():
        total += array.nbytes
        if array.dtype.kind == "O" and total <= MAX_INLINE_BYTES:
            total += sum(map(len, array.ravel()))
    return total

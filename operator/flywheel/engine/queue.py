"""Which resource is reconciled next: a work queue with priorities, delays and backoff, as plain data with an injected clock."""

import heapq
import random
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from flywheel.core.resource.api import Reference

MIN_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS = 0.5, 300.0
MAX_DOUBLINGS = 30  # 2.0 ** 1100 would overflow after some days of failures
JITTER = 0.2


@dataclass(frozen=True)
class Result:
    """How a reconciliation ended, and in how many seconds the next one is due; a failure without that number backs off."""

    failed: bool = False
    requeue_after: float | None = None


DONE = Result()
REQUEUE = Result(requeue_after=0.0)
RETRY = Result(failed=True)


class Queue:
    """Holds each key at most once, and at most one reconciliation of it is in flight; what is added in flight is queued once more
    afterwards.

    A reconciliation supersedes what was scheduled for later, since it sees the current state and schedules again.
    Not thread-safe: it belongs to the event loop.
    """

    def __init__(self, clock: Callable[[], float], random: Callable[[], float] = random.random) -> None:
        self._clock = clock
        self._random = random
        self._high: OrderedDict[Reference, float] = OrderedDict()  # when each was added
        self._low: OrderedDict[Reference, float] = OrderedDict()
        self._in_flight: dict[Reference, float] = {}  # when each was started
        self._dirty: set[Reference] = set()
        self._due: dict[Reference, float] = {}
        self._heap: list[tuple[float, Reference]] = []
        self._failures: dict[Reference, int] = {}

    def add(self, key: Reference, *, low_priority: bool = False) -> None:
        """Queues a key; all others go before one of low priority."""
        if key in self._in_flight:
            self._dirty.add(key)
        elif key in self._high:
            return
        elif low_priority:
            self._low.setdefault(key, self._clock())
        else:
            self._high[key] = self._low.pop(key, self._clock())

    def add_after(self, key: Reference, seconds: float) -> None:
        """Queues a key then, unless it is reconciled before. The earliest time takes precedence."""
        due = self._clock() + seconds
        if due < self._due.get(key, float("inf")):
            self._due[key] = due
            heapq.heappush(self._heap, (due, key))

    def take(self) -> tuple[Reference, float] | None:
        """Returns the next key and how many seconds it has waited, or None. The key is in flight until `finish`."""
        self._promote_due()
        for queue in (self._high, self._low):
            if queue:
                key, added = queue.popitem(last=False)
                self._in_flight[key] = self._clock()
                self._due.pop(key, None)
                return key, self._clock() - added
        return None

    def finish(self, key: Reference, result: Result) -> None:
        """Ends a reconciliation and schedules the next one."""
        del self._in_flight[key]
        if result.failed:
            self._failures[key] = self._failures.get(key, 0) + 1
            self.add_after(key, self._backoff(key) if result.requeue_after is None else result.requeue_after)
        else:
            self._failures.pop(key, None)
            if result.requeue_after is not None:
                self.add_after(key, result.requeue_after)
        if key in self._dirty:
            self._dirty.discard(key)
            self.add(key)

    def next_due(self) -> float | None:
        """Returns the seconds until `take` returns a key if nothing is added; None means never."""
        if self._high or self._low:
            return 0.0
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return max(0.0, self._heap[0][0] - self._clock()) if self._heap else None

    @property
    def depth(self) -> int:
        """How many keys can be taken."""
        return len(self._high) + len(self._low)

    @property
    def in_flight(self) -> dict[Reference, float]:
        """The keys in flight, and for how many seconds. It may be read from any thread."""
        now = self._clock()
        return {key: now - started for key, started in self._in_flight.copy().items()}

    def _promote_due(self) -> None:
        now = self._clock()
        while self._heap and self._heap[0][0] <= now:
            due, key = heapq.heappop(self._heap)
            if self._due.get(key) == due:
                del self._due[key]
                self.add(key)

    def _backoff(self, key: Reference) -> float:
        doubled = MIN_BACKOFF_SECONDS * 2.0 ** min(self._failures[key] - 1, MAX_DOUBLINGS)
        return min(doubled, MAX_BACKOFF_SECONDS) * (1 - JITTER + 2 * JITTER * self._random())

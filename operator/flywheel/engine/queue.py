"""Which resource is looked at next. Plain data and a clock that is handed in: no thread, no loop, no waiting."""

import heapq
import random
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from flywheel.core.resource.api import Reference

MIN_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS = 0.5, 300.0  # seconds
JITTER = 0.2


@dataclass(frozen=True)
class Result:
    """How a look ended. `after`: seconds until the next one, where something says so; a failure without it backs off."""

    failed: bool = False
    after: float | None = None


DONE = Result()
REQUEUE = Result(after=0.0)
RETRY = Result(failed=True)


class Queue:
    """Each key at most once in the queue and at most once in flight; what is added in flight is looked at once more afterwards.

    A look supersedes what was planned for later: it sees the world as it is and says anew when to come back.
    Not thread-safe: it belongs to the event loop.
    """

    def __init__(self, clock: Callable[[], float], random: Callable[[], float] = random.random) -> None:
        self._clock = clock
        self._random = random
        self._high: OrderedDict[Reference, float] = OrderedDict()  # since when
        self._low: OrderedDict[Reference, float] = OrderedDict()
        self._flying: dict[Reference, float] = {}
        self._dirty: set[Reference] = set()
        self._due: dict[Reference, float] = {}
        self._heap: list[tuple[float, Reference]] = []
        self._failures: dict[Reference, int] = {}

    def add(self, key: Reference, *, low: bool = False) -> None:
        """Look at it soon; `low` lets others pass."""
        if key in self._flying:
            self._dirty.add(key)
        elif key in self._high:
            return
        elif low:
            self._low.setdefault(key, self._clock())
        else:
            self._high[key] = self._low.pop(key, self._clock())

    def add_after(self, key: Reference, seconds: float) -> None:
        """Look at it then, unless it is looked at before. The earliest wish wins."""
        due = self._clock() + seconds
        if due < self._due.get(key, float("inf")):
            self._due[key] = due
            heapq.heappush(self._heap, (due, key))

    def take(self) -> tuple[Reference, float] | None:
        """The next key and how many seconds it has waited; None if nothing is to be done now. Ends with `done`."""
        self._ripen()
        for queue in (self._high, self._low):
            if queue:
                key, since = queue.popitem(last=False)
                self._flying[key] = self._clock()
                self._due.pop(key, None)
                return key, self._clock() - since
        return None

    def done(self, key: Reference, outcome: Result) -> None:
        """The look has ended."""
        del self._flying[key]
        if outcome.failed:
            self._failures[key] = self._failures.get(key, 0) + 1
            self.add_after(key, self._backoff(key) if outcome.after is None else outcome.after)
        else:
            self._failures.pop(key, None)
            if outcome.after is not None:
                self.add_after(key, outcome.after)
        if key in self._dirty:
            self._dirty.discard(key)
            self.add(key)

    def next_due(self) -> float | None:
        """Seconds until `take` has something again if nothing is added; None: never."""
        if self._high or self._low:
            return 0.0
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return max(0.0, self._heap[0][0] - self._clock()) if self._heap else None

    @property
    def waiting(self) -> int:
        """How many keys are ready to be taken."""
        return len(self._high) + len(self._low)

    @property
    def flying(self) -> dict[Reference, float]:
        """What is being looked at, and for how many seconds. May be asked from any thread."""
        now = self._clock()
        return {key: now - since for key, since in self._flying.copy().items()}

    def failures(self, key: Reference) -> int:
        """How often in a row it has failed."""
        return self._failures.get(key, 0)

    def _ripen(self) -> None:
        now = self._clock()
        while self._heap and self._heap[0][0] <= now:
            due, key = heapq.heappop(self._heap)
            if self._due.get(key) == due:
                del self._due[key]
                self.add(key)

    def _backoff(self, key: Reference) -> float:
        # The exponent is bounded, since 2.0 ** 1100 overflows after some days of failing.
        doubled = MIN_BACKOFF_SECONDS * 2.0 ** min(self._failures[key] - 1, 30)
        return min(doubled, MAX_BACKOFF_SECONDS) * (1 - JITTER + 2 * JITTER * self._random())

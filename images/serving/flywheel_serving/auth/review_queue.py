"""Which token is reviewed next: few at once, in turn for all peers, and slowly for peers that send made-up tokens.

    add --> renewals of tokens that were admitted before ------> at most `concurrency` reviews
        `-> the peers' queues, one token of each in turn ---'    (half of them for one peer)

Each peer has a budget of refusals, of which it regains few in a second. Where it is spent, the peer's tokens wait.
"""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

MAX_WAITING, MAX_WAITING_OF_PEER = 512, 128
MAX_WAIT_SECONDS = 5.0
CHECK_INTERVAL_SECONDS = 0.25
MAX_REFUSALS, REFUSALS_PER_SECOND = 20.0, 2.0
MAX_PEERS = 4096  # whose budgets are known


@dataclass(frozen=True, slots=True, eq=False)
class PendingReview:
    """A token whose review for a verb waits or runs; `added` is of the queue's clock."""

    key: bytes
    authorization: bytes
    verb: str
    peer: str
    added: float


class RefusalBudgets:
    """How many unknown tokens of each peer may still be refused now: a token bucket for each peer."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = (
            OrderedDict()
        )  # by peer: what is left, and when it was so much

    def count(self, peer: str) -> float:
        left, since = self._left.get(peer, (MAX_REFUSALS, 0.0))
        return min(MAX_REFUSALS, left + REFUSALS_PER_SECOND * (self._clock() - since))

    def add(self, peer: str, count: float) -> None:
        """Adds to, or takes from, the budget of a peer."""
        self._left[peer] = (min(MAX_REFUSALS, self.count(peer) + count), self._clock())
        self._left.move_to_end(peer)
        if len(self._left) > MAX_PEERS:
            self._left.popitem(last=False)


class ReviewQueue:
    """Calls `start` with what is to be reviewed next, and `drop` with what waited in vain. Belongs to one event loop."""

    def __init__(
        self,
        start: Callable[[PendingReview], None],
        drop: Callable[[PendingReview], None],
        concurrency: int,
        clock: Callable[[], float],
    ) -> None:
        self._start, self._drop = start, drop
        self._concurrency = concurrency
        self._clock = clock
        self._renewals: deque[PendingReview] = deque()
        self._waiting: OrderedDict[str, deque[PendingReview]] = OrderedDict()  # by peer; the first is next
        self._count = 0  # in `_waiting`
        self._running: Counter[str] = Counter()
        self._timer: asyncio.TimerHandle | None = None
        self.budgets = RefusalBudgets(clock)

    def add(self, key: bytes, authorization: bytes, verb: str, peer: str, *, is_renewal: bool) -> bool:
        """Whether it will be reviewed, or dropped later; False if its peer has too many that wait."""
        pending = PendingReview(key, authorization, verb, peer, self._clock())
        if is_renewal:
            self._renewals.append(pending)
        elif not self._add_in_turn(pending):
            return False
        self._start_next()
        return True

    def _add_in_turn(self, pending: PendingReview) -> bool:
        queue = self._waiting.setdefault(pending.peer, deque())
        queue.append(pending)
        self._count += 1
        greediest = max(self._waiting, key=lambda peer: len(self._waiting[peer])) if self._count > MAX_WAITING else ""
        if len(queue) > MAX_WAITING_OF_PEER or (
            self._count > MAX_WAITING and len(queue) >= len(self._waiting[greediest])
        ):
            self._remove(pending.peer, last=True)
            return False
        if self._count > MAX_WAITING:
            self._drop(self._remove(greediest, last=True))
        return True

    def _remove(self, peer: str, *, last: bool = False) -> PendingReview:
        queue = self._waiting[peer]
        pending = queue.pop() if last else queue.popleft()
        self._count -= 1
        if not queue:
            del self._waiting[peer]
        return pending

    def finish(self, pending: PendingReview, *, is_refused: bool) -> None:
        """Notes the end of a review. A token that identifies no caller is charged to its peer's budget."""
        self._running[pending.peer] -= 1
        if not self._running[pending.peer]:
            del self._running[pending.peer]
        if not is_refused:
            self.budgets.add(pending.peer, 1.0)
        self._start_next()

    def _start_next(self) -> None:
        while self._running.total() < self._concurrency:
            pending = self._next()
            if pending is None:
                break
            self._running[pending.peer] += 1
            self.budgets.add(pending.peer, -1.0)
            self._start(pending)
        if self._waiting and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(CHECK_INTERVAL_SECONDS, self._on_timer)

    def _next(self) -> PendingReview | None:
        if self._renewals:
            return self._renewals.popleft()
        share = max(1, self._concurrency // 2)
        for peer in list(self._waiting):
            self._waiting.move_to_end(peer)
            if self._running[peer] < share and self.budgets.count(peer) >= 1:
                return self._remove(peer)
        return None

    def _on_timer(self) -> None:
        self._timer = None
        oldest = self._clock() - MAX_WAIT_SECONDS
        for peer in list(self._waiting):
            while peer in self._waiting and self._waiting[peer][0].added < oldest:
                self._drop(self._remove(peer))
        self._start_next()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

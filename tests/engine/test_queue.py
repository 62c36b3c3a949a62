"""The queue against a model of what it promises, under a clock that only moves when told."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from flywheel.core.resource.api import Reference
from flywheel.engine.queue import DONE, REQUEUE, RETRY, Queue, Result
from tests.engine.widget import WIDGETS
from tests.examples import examples

KEYS = [Reference(WIDGETS, "shop", name) for name in ("a", "b", "c")]
A, B, C = KEYS


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class QueueMachine(RuleBasedStateMachine):
    """`wanted` are keys that must be reconciled without anything else happening; `due` those that must be then."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.queue = Queue(self.clock, random=lambda: 0.5)
        self.wanted: set[Reference] = set()
        self.in_flight: set[Reference] = set()
        self.due: dict[Reference, float] = {}
        self.failures: dict[Reference, int] = {}

    @rule(key=st.sampled_from(KEYS), low_priority=st.booleans())
    def add(self, key: Reference, low_priority: bool) -> None:
        self.queue.add(key, low_priority=low_priority)
        self.wanted.add(key)

    @rule(key=st.sampled_from(KEYS), seconds=st.floats(0, 1000))
    def add_after(self, key: Reference, seconds: float) -> None:
        self.queue.add_after(key, seconds)
        self.due[key] = min(self.due.get(key, float("inf")), self.clock.now + seconds)

    @rule(seconds=st.floats(0, 400))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def take(self) -> None:
        due_keys = {key for key, due in self.due.items() if due <= self.clock.now}
        takeable = (self.wanted | due_keys) - self.in_flight
        taken = self.queue.take()
        for key in due_keys:
            del self.due[key]
        self.wanted |= due_keys
        if taken is None:
            assert not takeable
            return
        key, waited = taken
        assert key in takeable
        assert waited >= 0
        self.wanted.discard(key)
        self.due.pop(key, None)
        self.in_flight.add(key)

    @precondition(lambda self: self.in_flight)
    @rule(
        data=st.data(), outcome=st.sampled_from([DONE, REQUEUE, RETRY, Result(requeue_after=60.0), Result(True, 7.0)])
    )
    def done(self, data: st.DataObject, outcome: Result) -> None:
        key = data.draw(st.sampled_from(sorted(self.in_flight)))
        self.queue.finish(key, outcome)
        self.in_flight.discard(key)
        self.failures[key] = self.failures.get(key, 0) + 1 if outcome.failed else 0
        after = outcome.requeue_after
        if after is None and outcome.failed:
            after = min(300.0, 0.5 * 2 ** (self.failures[key] - 1))
        if after is not None:
            self.due[key] = min(self.due.get(key, float("inf")), self.clock.now + after)

    @invariant()
    def says_when_there_is_something_to_do(self) -> None:
        ready = self.wanted - self.in_flight
        promised = self.queue.next_due()
        if ready:
            assert promised == 0.0
        elif self.due:
            assert promised is not None
            assert promised <= max(0.0, min(self.due.values()) - self.clock.now) + 1e-6
        else:
            assert promised is None

    @invariant()
    def flies_each_key_once(self) -> None:
        assert set(self.queue.in_flight) == self.in_flight


QueueMachine.TestCase.settings = settings(max_examples=examples(200, ci=30), stateful_step_count=40, deadline=None)
TestQueue = QueueMachine.TestCase


def drained(queue: Queue) -> list[Reference]:
    found = []
    while (taken := queue.take()) is not None:
        found.append(taken[0])
        queue.finish(taken[0], DONE)
    return found


def test_what_is_added_twice_is_reconciled_once() -> None:
    queue = Queue(Clock())
    queue.add(A)
    queue.add(A)

    assert drained(queue) == [A]


def test_low_priority_lets_others_pass() -> None:
    queue = Queue(Clock())
    queue.add(A, low_priority=True)
    queue.add(B, low_priority=True)
    queue.add(C)

    assert drained(queue) == [C, A, B]


def test_a_low_key_that_is_wanted_soon_is_promoted() -> None:
    queue = Queue(Clock())
    queue.add(A, low_priority=True)
    queue.add(B, low_priority=True)
    queue.add(B)

    assert drained(queue) == [B, A]


def test_what_is_added_in_flight_is_reconciled_again() -> None:
    queue = Queue(Clock())
    queue.add(A)
    queue.take()
    queue.add(A)
    assert queue.take() is None

    queue.finish(A, DONE)

    assert drained(queue) == [A]


def backoffs(failures: int, draw: float) -> list[float]:
    clock = Clock()
    queue = Queue(clock, random=lambda: draw)
    found = []
    for _failure in range(failures):
        queue.add(A)
        queue.take()
        queue.finish(A, RETRY)
        found.append(queue.next_due() or 0.0)
    return found


def test_backoff_doubles_from_half_a_second_to_five_minutes() -> None:
    assert backoffs(12, draw=0.5) == [0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


def test_backoff_is_spread_by_a_fifth_each_way() -> None:
    assert (round(backoffs(1, draw=0.0)[0], 6), round(backoffs(1, draw=1.0)[0], 6)) == (0.4, 0.6)


def test_success_ends_the_backoff() -> None:
    queue = Queue(Clock(), random=lambda: 0.5)
    for outcome in (RETRY, RETRY, RETRY, DONE, RETRY):
        queue.add(A)
        queue.take()
        queue.finish(A, outcome)

    assert queue.next_due() == 0.5


def test_failing_for_days_overflows_nothing() -> None:
    assert backoffs(2000, draw=0.5)[-1] == 300

"""Admission while a queue stands, on a clock that the test sets."""

import pytest

from flywheel_serving.errors import TooManyRequests
from flywheel_serving.infer import admission
from flywheel_serving.infer.admission import SATURATING_REQUESTS, STANDING_QUEUE_LENGTH, Admission

MOST = 256


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(admission, "time", clock)
    return clock


def calls(door: Admission, clock: Clock, waited: int, seconds: float, apart: float = 0.01) -> None:
    """Drains a queue of this length at this interval."""
    for _ in range(round(seconds / apart)):
        clock.now += apart
        door.queue_drained(waited)


def test_requests_up_to_the_limit_are_admitted(clock: Clock) -> None:
    door = Admission(MOST)

    door.count_queued = {"peer": MOST // 2, "another": 1}.__getitem__

    door.check(MOST - 1, "peer")

    with pytest.raises(TooManyRequests, match="256 inferences are in flight, the limit"):
        door.check(MOST, "peer")


def test_a_client_that_fills_the_limit_keeps_no_other_out(clock: Clock) -> None:
    door = Admission(MOST)
    door.count_queued = {"greedy": MOST, "another": 1}.__getitem__

    door.check(MOST, "another")

    with pytest.raises(TooManyRequests):
        door.check(MOST, "greedy")
    with pytest.raises(TooManyRequests):
        door.check(MOST + MOST // 4, "another")


def test_a_standing_queue_admits_only_as_many_as_saturate_the_model(clock: Clock) -> None:
    door = Admission(MOST)
    door.count_queued = lambda _peer: SATURATING_REQUESTS

    calls(door, clock, STANDING_QUEUE_LENGTH, 0.2)

    door.check(SATURATING_REQUESTS - 1, "peer")
    with pytest.raises(TooManyRequests, match="more requests arrive than the model can answer"):
        door.check(SATURATING_REQUESTS, "peer")


def test_while_a_queue_stands_there_is_room_for_clients_that_did_not_cause_it(clock: Clock) -> None:
    door = Admission(MOST)
    door.count_queued = {"greedy": SATURATING_REQUESTS, "another": 0}.__getitem__
    calls(door, clock, STANDING_QUEUE_LENGTH, 0.2)

    door.check(SATURATING_REQUESTS, "another")

    with pytest.raises(TooManyRequests):
        door.check(SATURATING_REQUESTS, "greedy")
    with pytest.raises(TooManyRequests):
        door.check(SATURATING_REQUESTS + SATURATING_REQUESTS // 4, "another")


@pytest.mark.parametrize(
    ("waited", "seconds", "apart"),
    [(STANDING_QUEUE_LENGTH, 0.08, 0.01), (STANDING_QUEUE_LENGTH - 1, 5, 0.01), (MOST, 5, 0.03)],
)
def test_bursts_and_short_queues_are_admitted(clock: Clock, waited: int, seconds: float, apart: float) -> None:
    door = Admission(MOST)

    calls(door, clock, waited, seconds, apart)

    door.check(MOST - 1, "peer")


def test_admission_opens_again_after_a_time_without_refusals(clock: Clock) -> None:
    door = Admission(MOST)
    door.count_queued = lambda _peer: SATURATING_REQUESTS
    calls(door, clock, STANDING_QUEUE_LENGTH, 0.2)

    for _ in range(10):
        clock.now += 0.15
        with pytest.raises(TooManyRequests):
            door.check(SATURATING_REQUESTS, "peer")
    clock.now += 0.25

    door.check(MOST - 1, "peer")


def test_a_limit_below_saturation_holds(clock: Clock) -> None:
    door = Admission(2)

    door.check(1, "peer")

    with pytest.raises(TooManyRequests, match="2 inferences"):
        door.check(2, "peer")

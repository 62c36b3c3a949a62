"""Events: counted when repeated, dropped when too many, harmless when refused."""

from typing import Any

import pytest

from flywheel.cluster.errors import ApiError
from flywheel.core.resource.plan import Event
from flywheel.engine.apply.event_recorder import BURST_EVENTS, REFILL_SECONDS, SERIES_SECONDS, EventRecorder
from tests.engine.widget import KIND
from tests.simulation import NOON, resource

ONE = resource(KIND, "one", {})
TOLD = Event("Told", "all is told")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Sent:
    """Where a Writer would be."""

    def __init__(self) -> None:
        self.manifests: list[dict[str, Any]] = []
        self.refuses = False

    def apply_event(self, _api: object, manifest: dict[str, Any], _manager: str) -> None:
        if self.refuses:
            raise ApiError(500, "InternalError", "no")
        self.manifests.append(manifest)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.fixture
def recorder(sent: Sent, clock: Clock) -> EventRecorder:
    return EventRecorder(sent, "operator-0", clock)  # type: ignore[arg-type] # only `event` is used


def test_a_repetition_is_counted_in_the_first_one(recorder: EventRecorder, sent: Sent) -> None:
    for _time in range(3):
        recorder.record(ONE, TOLD, NOON)

    assert len({each["metadata"]["name"] for each in sent.manifests}) == 1
    assert [each.get("series", {}).get("count") for each in sent.manifests] == [None, 2, 3]


def test_after_a_long_pause_a_new_series_starts(recorder: EventRecorder, sent: Sent, clock: Clock) -> None:
    recorder.record(ONE, TOLD, NOON)
    clock.now += SERIES_SECONDS + 1
    recorder.record(ONE, TOLD, NOON.replace(hour=13))

    assert len({each["metadata"]["name"] for each in sent.manifests}) == 2


def test_a_flood_is_dropped_and_then_trickles(recorder: EventRecorder, sent: Sent, clock: Clock) -> None:
    for number in range(BURST_EVENTS + 10):
        recorder.record(ONE, Event("Told", f"{number}"), NOON)
    assert len(sent.manifests) == BURST_EVENTS

    clock.now += REFILL_SECONDS
    for number in range(10):
        recorder.record(ONE, Event("Told", f"later {number}"), NOON)

    assert len(sent.manifests) == BURST_EVENTS + 1


def test_a_refused_event_costs_nothing(recorder: EventRecorder, sent: Sent) -> None:
    sent.refuses = True

    recorder.record(ONE, TOLD, NOON)

    assert sent.manifests == []

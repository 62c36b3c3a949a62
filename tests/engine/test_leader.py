"""Who leads, on a real API server, under clocks that only move when told."""

import threading
from pathlib import Path

import pytest

from flywheel.cluster.client import Client
from flywheel.cluster.credentials import configuration
from flywheel.cluster.errors import ApiError
from flywheel.core.resource.api import LEASE, Reference
from flywheel.engine.leader import FENCE_SECONDS, LEASE_SECONDS, RENEW_DEADLINE_SECONDS, Leader
from tests.engine.harness import EngineHarness, eventually

pytestmark = pytest.mark.apiserver


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Candidate:
    """A process that tries to lead, with its own clock."""

    def __init__(self, kubeconfig: Path, lease: Reference, identity: str) -> None:
        self.clock = Clock()
        self.lost = threading.Event()
        client = Client(configuration({"KUBECONFIG": str(kubeconfig)}))
        self.leader = Leader(client, lease, identity, on_elected=lambda: None, on_lost=self.lost.set, clock=self.clock)

    def attempt(self) -> None:
        """Tries once, without waiting."""
        self.leader.try_acquire_or_renew()


@pytest.fixture
def lease(harness: EngineHarness) -> Reference:
    return Reference(LEASE, harness.namespace, "operator")


@pytest.fixture
def pair(widgets: Path, lease: Reference) -> tuple[Candidate, Candidate]:
    """The first leads."""
    first, second = Candidate(widgets, lease, "first"), Candidate(widgets, lease, "second")
    first.attempt()
    second.attempt()
    return first, second


def test_one_of_two_leads(pair: tuple[Candidate, Candidate]) -> None:
    assert [each.leader.may_write() for each in pair] == [True, False]


def test_a_released_lease_is_acquired_at_the_next_attempt(pair: tuple[Candidate, Candidate]) -> None:
    first, second = pair

    first.leader.release()
    second.attempt()

    assert [each.leader.may_write() for each in pair] == [False, True]


def test_a_silent_leader_is_followed_when_its_lease_is_over(pair: tuple[Candidate, Candidate]) -> None:
    _first, second = pair
    second.clock.now += LEASE_SECONDS - 1
    second.attempt()
    assert not second.leader.leading

    second.clock.now += 2
    second.attempt()

    assert second.leader.may_write()


def test_a_leader_that_renews_is_not_followed(pair: tuple[Candidate, Candidate]) -> None:
    first, second = pair
    for _round in range(4):
        second.clock.now += LEASE_SECONDS - 1
        first.attempt()
        second.attempt()

    assert [each.leader.leading for each in pair] == [True, False]


def test_a_process_that_slept_may_not_write_before_it_renews(pair: tuple[Candidate, Candidate]) -> None:
    first, _second = pair

    first.clock.now += FENCE_SECONDS

    assert not first.leader.may_write()


def test_who_slept_and_was_followed_has_lost(pair: tuple[Candidate, Candidate]) -> None:
    first, second = pair
    second.clock.now += LEASE_SECONDS + 1
    second.attempt()

    first.attempt()

    assert first.lost.is_set()
    assert not first.leader.may_write()


def test_a_leader_that_cannot_renew_gives_up(
    pair: tuple[Candidate, Candidate], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _second = pair

    def refused(*_words: object, **_more: object) -> None:
        raise ApiError(0, "Unreachable", "nobody answers")

    monkeypatch.setattr(Client, "get", refused)

    first.clock.now += RENEW_DEADLINE_SECONDS + 1
    first.attempt()

    assert first.lost.is_set()


def test_the_lease_thread_ends_with_a_free_lease(widgets: Path, lease: Reference, harness: EngineHarness) -> None:
    candidate = Candidate(widgets, lease, "alone")
    candidate.leader.start()
    eventually(lambda: candidate.leader.leading)

    candidate.leader.release()

    assert harness.get(LEASE, "operator")["spec"]["holderIdentity"] == ""

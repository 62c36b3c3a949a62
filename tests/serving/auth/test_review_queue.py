"""Reviews are in turn for all peers, and those of a peer that sends made-up tokens are slow."""

import asyncio
from collections.abc import Callable

import pytest

from flywheel_serving.auth import review_queue
from flywheel_serving.auth.review_queue import (
    MAX_REFUSALS,
    MAX_WAITING,
    MAX_WAITING_OF_PEER,
    PendingReview,
    ReviewQueue,
)


class Scene:
    """A queue whose reviews end when the test says so."""

    def __init__(self, concurrency: int = 1) -> None:
        self.now = 0.0
        self.started: list[PendingReview] = []
        self.dropped: list[PendingReview] = []
        self.queue = ReviewQueue(self.started.append, self.dropped.append, concurrency, lambda: self.now)

    def add(self, name: str, peer: str, *, is_renewal: bool = False) -> bool:
        return self.queue.add(name.encode(), b"Bearer x", "get", peer, is_renewal=is_renewal)

    def finish_all(self, *, is_refused: bool = False) -> list[str]:
        """Ends one review after the other, until none is left; the names in their order."""
        ended = 0
        while ended < len(self.started):
            self.queue.finish(self.started[ended], is_refused=is_refused)
            ended += 1
        return [each.key.decode() for each in self.started]


def run(scenario: Callable[[], None]) -> None:
    async def call() -> None:
        scenario()

    asyncio.run(call())


def test_peers_take_turns() -> None:
    def scenario() -> None:
        scene = Scene()
        for name in ("a1", "a2", "a3", "a4", "b1", "c1", "b2"):
            assert scene.add(name, name[0])

        assert scene.finish_all() == ["a1", "a2", "b1", "c1", "a3", "b2", "a4"]

    run(scenario)


def test_a_renewal_comes_first() -> None:
    def scenario() -> None:
        scene = Scene()
        for name in ("a1", "a2", "b1"):
            scene.add(name, name[0])
        scene.add("known", "a", is_renewal=True)

        assert scene.finish_all() == ["a1", "known", "a2", "b1"]

    run(scenario)


def test_one_peer_has_half_of_the_reviews_at_once() -> None:
    def scenario() -> None:
        scene = Scene(concurrency=4)
        for name in ("a1", "a2", "a3", "b1"):
            scene.add(name, name[0])

        assert [each.key for each in scene.started] == [b"a1", b"a2", b"b1"]

    run(scenario)


def test_a_peer_whose_tokens_are_refused_runs_out_of_tries_and_regains_them() -> None:
    def scenario() -> None:
        scene = Scene()
        for number in range(30):
            scene.add(f"bad{number}", "bad")
        scene.add("good", "good")

        assert len(scene.finish_all(is_refused=True)) == MAX_REFUSALS + 1
        assert scene.started[1].key == b"good" or b"good" in [each.key for each in scene.started]
        assert scene.queue.budgets.count("bad") < 1

        scene.now = 2.0
        scene.add("more", "good")
        assert scene.queue.budgets.count("bad") >= 1

    run(scenario)


def test_admitted_tokens_cost_no_try() -> None:
    def scenario() -> None:
        scene = Scene()
        for number in range(100):
            scene.add(f"good{number}", "gateway")

        assert len(scene.finish_all()) == 100

    run(scenario)


def test_the_queue_is_bounded_and_the_greediest_peer_gives_way() -> None:
    def scenario() -> None:
        scene = Scene()
        scene.add("first", "runs")
        assert [scene.add(f"{n}", "greedy") for n in range(MAX_WAITING_OF_PEER + 1)] == [True] * MAX_WAITING_OF_PEER + [
            False
        ]
        for number in range(MAX_WAITING - MAX_WAITING_OF_PEER):
            assert scene.add(f"x{number}", f"peer {number % 8}")
        assert not scene.dropped

        assert scene.add("late", "late")

        assert [each.peer for each in scene.dropped] == ["greedy"]
        assert not scene.add("another", "greedy")

    run(scenario)


def test_what_waits_in_vain_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(review_queue, "CHECK_INTERVAL_SECONDS", 0.001)

    async def scenario() -> list[bytes]:
        scene = Scene()
        scene.add("runs", "a")
        scene.add("waits", "b")
        scene.now = 5.1
        await asyncio.sleep(0.05)
        scene.queue.close()
        return [each.key for each in scene.dropped]

    assert asyncio.run(scenario()) == [b"waits"]

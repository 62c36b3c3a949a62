"""Whose requests make room for whose bytes."""

from dataclasses import dataclass, field

from flywheel_serving.http.body_budget import BodyBudget
from flywheel_serving.http.connection_table import WAITING_FOR_CLIENT, Idleness


@dataclass(eq=False)
class Holder:
    peer: str
    budget: BodyBudget
    idleness: Idleness | None = (WAITING_FOR_CLIENT, 0.0)
    is_evicted: bool = field(default=False, init=False)

    def evict(self) -> None:
        self.is_evicted = True
        self.budget.set_bytes(self, 0)


def hold(budget: BodyBudget, peer: str, size: int, idleness: Idleness | None = (WAITING_FOR_CLIENT, 0.0)) -> Holder:
    made = Holder(peer, budget, idleness)
    budget.set_bytes(made, size)
    return made


def test_a_peer_may_hold_three_quarters() -> None:
    budget = BodyBudget(1000)

    assert budget.has_room(hold(budget, "a", 750))
    assert not budget.has_room(hold(budget, "a", 1))
    assert budget.has_room(hold(budget, "b", 200))


def test_the_oldest_requests_of_the_greediest_peer_make_room_for_others() -> None:
    budget = BodyBudget(1000)
    answered = hold(budget, "a", 100, None)
    old, new = hold(budget, "a", 300), hold(budget, "a", 300)
    small = hold(budget, "b", 250)

    assert budget.has_room(hold(budget, "c", 100))
    assert (old.is_evicted, new.is_evicted, answered.is_evicted, small.is_evicted) == (True, False, False, False)
    assert budget.total == 750


def test_the_greediest_peer_makes_no_room_for_itself() -> None:
    budget = BodyBudget(1000)
    first = hold(budget, "a", 500)
    hold(budget, "b", 450)

    last = hold(budget, "a", 100)

    assert not budget.has_room(last)
    assert not first.is_evicted


def test_requests_that_are_being_answered_are_not_ended() -> None:
    budget = BodyBudget(1000)
    busy = [hold(budget, "a", 700, None), hold(budget, "b", 300, None)]

    assert not budget.has_room(hold(budget, "c", 1))
    assert not any(each.is_evicted for each in busy)


def test_what_is_released_is_counted_once() -> None:
    budget = BodyBudget(1000)
    one = hold(budget, "a", 700)
    budget.set_bytes(one, 300)
    budget.set_bytes(one, 0)
    budget.set_bytes(one, 0)

    assert budget.total == 0
    assert budget.has_room(hold(budget, "a", 750))

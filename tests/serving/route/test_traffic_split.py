"""The share is exact and evenly spread, and a user stays on one side."""

from decimal import Decimal

import pytest

from flywheel_serving.route.route_file import Challenger, Route
from flywheel_serving.route.traffic_split import TrafficSplit


def share(percent: str, sticky: bytes | None = None, version: str = "v2") -> TrafficSplit:
    hundredths = int(Decimal(percent) * 100)
    return TrafficSplit(Route("Canary", hundredths, Challenger(version, "b", 8080), sticky, 1.0, 0.0, 0.0))


def users(share: TrafficSplit, count: int = 10_000) -> set[bytes]:
    """The users whose requests go to the challenger."""
    names = [b"user-%d" % number for number in range(count)]
    return {name for name in names if share.selects({b"x-user-id": name})}


@pytest.mark.parametrize("percent", ["0", "0.01", "1", "5", "12.34", "33.33", "50", "99.99", "100"])
def test_ten_thousand_requests_are_shared_exactly(percent: str) -> None:
    one = share(percent)
    for _ in range(1234):  # from any start
        one.selects({})

    assert sum(one.selects({}) for _ in range(10_000)) == int(Decimal(percent) * 100)


def test_the_share_holds_at_every_moment() -> None:
    one, taken = share("5"), 0
    for count in range(1, 20_001):
        taken += one.selects({})
        assert abs(taken - count * 0.05) < 3


def test_a_client_that_repeats_itself_does_not_send_always_the_same_request() -> None:
    one = share("5")
    taken = [number % 20 for number in range(2_000) if one.selects({})]

    assert len(set(taken)) == 20


def test_a_user_stays_on_one_side_and_a_larger_share_includes_a_smaller_one() -> None:
    few, more, all_of_them = (users(share(percent, b"x-user-id")) for percent in ("5", "50", "100"))

    assert few == users(share("5", b"x-user-id"))
    assert few < more < all_of_them
    assert 400 < len(few) < 600
    assert 4_800 < len(more) < 5_200


def test_another_challenger_meets_other_users() -> None:
    assert users(share("5", b"x-user-id")) != users(share("5", b"x-user-id", "v3"))


def test_without_the_sticky_header_requests_take_turns() -> None:
    one = share("50", b"x-user-id")

    assert sum(one.selects({b"x-user-id": b""}) for _ in range(10_000)) == 5_000
    assert sum(one.selects({}) for _ in range(10_000)) == 5_000

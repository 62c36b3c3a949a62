"""The breaker opens on repeated failures and closes after a successful trial."""

import pytest

from flywheel_serving.route.breaker import FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS, Breaker

AFTER = FIRST_PAUSE_SECONDS


def after(ends: str) -> Breaker:
    """A breaker after these results at time 0: + is a success, - a failure."""
    breaker = Breaker()
    for end in ends:
        assert breaker.allow(0.0)
        breaker.record(end == "+", 0.0)
    return breaker


@pytest.mark.parametrize(
    ("ends", "opens"),
    [
        pytest.param("----", False, id="four in a row"),
        pytest.param("-----", True, id="five in a row"),
        pytest.param("----+----", False, id="a good one between"),
        pytest.param("+-" * 9 + "+", False, id="nine of nineteen"),
        pytest.param("+-" * 10, True, id="half of twenty"),
        pytest.param("++-" * 30, False, id="a third, for ever"),
    ],
)
def test_it_opens_after_failures(ends: str, opens: bool) -> None:
    assert after(ends).is_open is opens


def test_open_it_allows_one_trial_after_the_pause() -> None:
    breaker = after("-----")

    assert not breaker.allow(AFTER - 0.01)
    assert breaker.allow(AFTER)
    assert not breaker.allow(AFTER)


def test_a_successful_trial_closes_it() -> None:
    breaker = after("-----")
    breaker.allow(AFTER)

    breaker.record(True, AFTER)

    assert not breaker.is_open
    assert breaker.allow(AFTER)
    breaker.record(False, AFTER)
    assert not breaker.is_open  # earlier results do not count


def test_a_failed_trial_doubles_the_pause_up_to_the_maximum() -> None:
    breaker, now = after("-----"), AFTER
    for doubled in (2, 4, 8, 16, MAX_PAUSE_SECONDS, MAX_PAUSE_SECONDS):
        assert breaker.allow(now)
        breaker.record(False, now)
        assert not breaker.allow(now + doubled - 0.01)
        now += doubled
        assert breaker.is_open


def test_a_cancelled_trial_allows_another() -> None:
    breaker = after("-----")
    breaker.allow(AFTER)

    breaker.cancel()

    assert breaker.is_open
    assert breaker.allow(AFTER)


def test_a_late_result_of_an_earlier_request_does_not_close_the_breaker() -> None:
    breaker = after("-----")

    breaker.record(True, 0.5)

    assert breaker.is_open

"""Retrying: pauses grow, and the time that was given is used to its end."""

import random
import time

import pytest

from flywheel_runtime.contract.errors import Transient
from flywheel_runtime.store import retry
from flywheel_runtime.store.retry import Retry


class Clock:
    """Time that passes only in sleep, and pauses as long as the jitter allows."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(time, "sleep", self.sleep)
        monkeypatch.setattr(random, "uniform", lambda _low, high: high)

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def store_that_is_away() -> None:
    raise Transient("the store refuses connections")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.mark.parametrize("seconds", [0.3, 3.0, 60.0])
def test_the_time_that_was_given_is_used_to_its_end(clock: Clock, seconds: float) -> None:
    with pytest.raises(Transient, match="refuses connections"):
        Retry(deadline=1000 + seconds).call(store_that_is_away)

    assert seconds - retry.FIRST_PAUSE_SECONDS <= clock.now - 1000 <= seconds


def test_pauses_double_up_to_their_bound(clock: Clock) -> None:
    with pytest.raises(Transient):
        Retry(patience=30).call(store_that_is_away)

    assert clock.pauses[:7] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0])
    assert max(clock.pauses) == retry.MAX_PAUSE_SECONDS


def test_an_attempt_that_succeeds_ends_it(clock: Clock) -> None:
    answers = iter(["slow down", "slow down", "rows"])

    def attempt() -> str:
        answer = next(answers)
        if answer != "rows":
            raise Transient(answer)
        return answer

    assert Retry().call(attempt) == "rows"
    assert clock.now == pytest.approx(1000.3)


def test_any_other_error_is_raised_at_once(clock: Clock) -> None:
    def attempt() -> None:
        raise PermissionError("access denied")

    with pytest.raises(PermissionError):
        Retry().call(attempt)
    assert clock.pauses == []

"""When a resource is reconciled again."""

from datetime import timedelta

import pytest

from flywheel.core.requeue import MAX_BACKOFF, MIN_BACKOFF, backoff


@pytest.mark.parametrize(
    ("retries", "seconds"),
    [(0, 10), (1, 20), (2, 40), (5, 320), (6, 600), (10_000, 600)],
)
def test_each_pause_is_twice_as_long_up_to_the_limit(retries: int, seconds: int) -> None:
    assert (timedelta(seconds=10), timedelta(minutes=10)) == (MIN_BACKOFF, MAX_BACKOFF)
    assert backoff(retries) == timedelta(seconds=seconds)


def test_a_caller_has_its_own_first_pause_and_limit() -> None:
    assert backoff(3, timedelta(seconds=1), timedelta(seconds=5)) == timedelta(seconds=5)

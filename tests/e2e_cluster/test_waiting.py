"""The wait that all tests share."""

import time

import pytest

from e2e.waiting import wait_until


def test_what_the_condition_returns_is_returned_once_it_is_not_empty() -> None:
    found: list[object] = [None, False, 0, "", [], {}, ["pod"]]
    answers = iter(found)

    assert wait_until(lambda: next(answers)) == ["pod"]


def test_after_its_time_it_says_what_was_seen_last() -> None:
    seen: list[float] = []

    with pytest.raises(TimeoutError, match=r"^after 0 s: looked \d+ times$"):
        wait_until(lambda: seen.append(time.monotonic()), 0.05, lambda: f"looked {len(seen)} times")

    assert len(seen) > 2

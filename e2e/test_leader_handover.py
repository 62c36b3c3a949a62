"""Two operators: when the leader goes, the other one takes over; under 3 s if it was asked to go, under 20 s if it was killed."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.local_operator import LocalOperator, deployed_operator_rests, holder
from e2e.namespace import Story
from e2e.waiting import wait_until

pytestmark = pytest.mark.operator_rests


@pytest.fixture(scope="module")
def settings(story: Story) -> Iterator[dict[str, str]]:
    with deployed_operator_rests(story.namespace) as settings:
        yield settings


@pytest.mark.parametrize(
    ("how", "seconds"), [(signal.SIGTERM, 3.0), (signal.SIGKILL, 20.0)], ids=["asked to go", "killed"]
)
def test_the_other_one_takes_over(
    story: Story, settings: dict[str, str], tmp_path: Path, how: signal.Signals, seconds: float
) -> None:
    where = story.namespace
    first = LocalOperator(settings, tmp_path / "first.log", f"first-{how.name.lower()}", 18081)
    try:
        wait_until(lambda: holder(where).startswith("first"), 60, first.words)
        second = LocalOperator(settings, tmp_path / "second.log", f"second-{how.name.lower()}", 18082)
        try:
            wait_until(lambda: "caches" in second.words() or None, 30, second.words)
            first.signal(how)
            begin = time.monotonic()
            wait_until(lambda: holder(where).startswith("second"), 40, second.words, max_pause=0.05)
            taken = time.monotonic() - begin
        finally:
            second.end()
    finally:
        first.end()

    assert taken < seconds

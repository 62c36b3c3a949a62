"""Two operators: when the leader goes, the other one takes over; under 3 s if it was asked to go, under 20 s if it was killed."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.local_operator import LocalOperator, installed_operator_paused, lease_holder
from e2e.namespace import Namespace
from e2e.waiting import wait_until

pytestmark = pytest.mark.operator_rests


@pytest.fixture(scope="module")
def settings(namespace: Namespace) -> Iterator[dict[str, str]]:
    with installed_operator_paused(namespace.name) as settings:
        yield settings


@pytest.mark.parametrize(
    ("how", "seconds"), [(signal.SIGTERM, 3.0), (signal.SIGKILL, 20.0)], ids=["asked to go", "killed"]
)
def test_the_other_one_takes_over(
    namespace: Namespace, settings: dict[str, str], tmp_path: Path, how: signal.Signals, seconds: float
) -> None:
    where = namespace.name
    first = LocalOperator(settings, tmp_path / "first.log", f"first-{how.name.lower()}", 18081)
    try:
        wait_until(lambda: lease_holder(where).startswith("first"), 60, first.log_text)
        second = LocalOperator(settings, tmp_path / "second.log", f"second-{how.name.lower()}", 18082)
        try:
            wait_until(lambda: "caches" in second.log_text(), 30, second.log_text)
            first.signal(how)
            begin = time.monotonic()
            wait_until(lambda: lease_holder(where).startswith("second"), 40, second.log_text, max_pause=0.05)
            taken = time.monotonic() - begin
        finally:
            second.kill()
    finally:
        first.kill()

    assert taken < seconds

"""Which windows are due."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from flywheel.kinds.modelmonitor.children import ModelMonitor, hours
from flywheel.kinds.modelmonitor.kind import KIND
from flywheel.kinds.modelmonitor.progress import Period, due_period, reduced_windows
from flywheel.kinds.modelmonitor.schema.status import ModelMonitorStatus, Run
from tests.kinds.modelmonitor.situations import SPEC, at
from tests.simulation import resource


def monitor(**changes: Any) -> ModelMonitor:
    found: ModelMonitor = resource(KIND, "drift", {**SPEC, **changes})
    return found


@pytest.mark.parametrize(
    ("window", "done", "now", "expected"),
    [
        pytest.param("1h", at(11), at(12, 1), None, id="the counts of the last minutes may not be in the store"),
        pytest.param("1h", at(11), at(12, 2), Period(at(11), at(12)), id="one window"),
        pytest.param("1h", None, at(12, 2, day=3), Period(at(12, day=2), at(12, day=3)), id="the first run: one day"),
        pytest.param("2d", None, at(12, day=4), Period(at(0, day=1), at(0, day=3)), id="the first run: at least one window"),
        pytest.param("1m", None, at(12), Period(at(8, 38), at(11, 58)), id="the first run: at most 200 windows"),
        pytest.param("1m", at(1), at(12), Period(at(1), at(4, 20), 0, 458), id="the oldest 200 windows first"),
        pytest.param("1h", at(0, day=1), at(0, 2, day=10), Period(at(0, day=3), at(0, day=4), 48, 144), id="beyond a week"),
        pytest.param("1h", at(0), at(2, 2, day=3), Period(at(0), at(0, day=2), 0, 26), id="the oldest day first"),
        pytest.param("7d", at(0, day=1), at(0, 2, day=15), Period(at(0, day=8), at(0, day=15), 1), id="windows of a week"),
        pytest.param("2h", at(11), at(14, 2), Period(at(12), at(14)), id="other windows begin after those before"),
        pytest.param("1h", at(13), at(12, 2), None, id="a clock that went back"),
    ],
)  # fmt: skip
def test_the_windows_of_a_run(window: str, done: datetime | None, now: datetime, expected: Period | None) -> None:
    assert due_period(monitor(window=window), ModelMonitorStatus(processed_until=done), None, now) == expected


def last_run(windows: int, result: str, reason: str | None = None, **more: Any) -> Run:
    """A run of that many windows of one hour."""
    given = {"number": 1, "from": at(0), "until": at(0) + timedelta(hours=windows), "result": result, "retries": 0}
    return Run.model_validate({**given, "reason": reason, **more})


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        pytest.param(None, None, id="the first run"),
        pytest.param(last_run(12, "Failed", "OOMKilled"), 6, id="half after a lack of memory"),
        pytest.param(last_run(3, "Failed", "TimedOut"), 1, id="half after a lack of time, rounded down"),
        pytest.param(last_run(4, "Failed", "StorageExceeded"), 2, id="half after a lack of storage"),
        pytest.param(last_run(1, "Failed", "OOMKilled", maxWindows=1), 1, id="at least one"),
        pytest.param(last_run(12, "Failed", "StateInvalid"), None, id="another failure"),
        pytest.param(last_run(6, "Succeeded", maxWindows=6, backlog=3), 6, id="so it goes on until it has caught up"),
        pytest.param(last_run(6, "Retrying", maxWindows=6), 6, id="and while it is retried"),
        pytest.param(last_run(3, "Succeeded", maxWindows=6), None, id="it has caught up"),
    ],
)
def test_a_run_takes_fewer_windows_after_a_lack_of_memory_or_time(last: Run | None, expected: int | None) -> None:
    assert reduced_windows(monitor(), last) == expected


def test_all_windows_are_multiples_of_their_length_since_1970() -> None:
    found = due_period(monitor(window="7d"), ModelMonitorStatus(), None, at(12))

    assert found is not None
    assert found.until.timestamp() % timedelta(days=7).total_seconds() == 0


@pytest.mark.parametrize(
    ("start", "until", "expected"),
    [
        pytest.param(at(17), at(18), ["dt=2026-01-01/hour=16/", "dt=2026-01-01/hour=17/"], id="an hour, and the one before"),
        pytest.param(at(0, 58), at(1, 1), [f"dt={day}/hour={hour}/" for day, hour in (("2025-12-31", "23"), ("2026-01-01", "00"), ("2026-01-01", "01"))], id="minutes over an hour"),
        pytest.param(at(0), at(1, day=3), ["dt=2025-12-31/hour=23/", "dt=2026-01-01/", "dt=2026-01-02/", "dt=2026-01-03/hour=00/"], id="whole days"),
    ],
)  # fmt: skip
def test_the_hours_of_a_run(start: datetime, until: datetime, expected: list[str]) -> None:
    run = Run.model_validate({"number": 1, "from": start, "until": until, "result": "Running", "retries": 0})

    assert hours(run) == expected

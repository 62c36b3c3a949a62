"""When a monitor is late, by its window and its schedule."""

from datetime import timedelta

import pytest

from flywheel.kinds.modelmonitor.kind import KIND
from flywheel.kinds.modelmonitor.lateness import longest_interval, next_test_is_due
from tests.kinds.modelmonitor.situations import SPEC, at
from tests.simulation import resource


@pytest.mark.parametrize(
    ("cron", "days"),
    [
        pytest.param("7 * * * *", 1, id="hourly"),
        pytest.param("0 6 * * *", 1, id="daily"),
        pytest.param("0 6 * * MON-FRI", 3, id="over a weekend"),
        pytest.param("0 6 * * 1", 7, id="weekly"),
        pytest.param("0 6 ? * sun,wed", 4, id="twice a week"),
        pytest.param("0 6 */10 * *", 10, id="a step"),
        pytest.param("0 6 1 * *", 31, id="monthly"),
        pytest.param("0 6 1,15 * *", 17, id="twice a month"),
        pytest.param("0 6 1 * 1", 7, id="either of two fields"),
        pytest.param("0 6 1 jan *", 366, id="yearly"),
        pytest.param("0 6 29 2 *", 1461, id="on leap days"),
        pytest.param("0 6 5/10 1-12/3 *", 72, id="steps"),
        pytest.param("@weekly", 7, id="a name"),
        pytest.param("@every 6h", 1, id="every six hours"),
        pytest.param("@every 72h30m", 4, id="every three days"),
    ],
)
def test_the_longest_time_between_two_ticks(cron: str, days: int) -> None:
    assert longest_interval(cron) == timedelta(days=days)


@pytest.mark.parametrize(
    ("spec", "due"),
    [
        pytest.param({}, at(13, day=2), id="each hour"),
        pytest.param({"window": "7d"}, at(12, day=9), id="windows of a week"),
        pytest.param({"schedule": {"cron": "0 6 * * 1"}}, at(13, day=8), id="a run a week"),
    ],
)
def test_the_next_test_is_due_after_the_window_and_a_tick(spec: dict[str, object], due: object) -> None:
    monitor = resource(KIND, "drift", {**SPEC, **spec}, status={"processedUntil": "2026-01-01T12:00:00Z"})

    assert next_test_is_due(monitor) == due


def test_a_monitor_that_never_ran_is_not_late() -> None:
    assert next_test_is_due(resource(KIND, "drift", SPEC)) is None

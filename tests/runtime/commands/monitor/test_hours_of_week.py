"""Runs of a monitor whose drift is measured from the same hour of the week."""

from typing import Any

import pytest

SEASONAL = {"reference": {"seasonal": "HourOfWeek"}}
DAY, NIGHT = 0, 12  # hours after the first
USUAL = {DAY: 1.0, NIGHT: -1.0}  # how far a column is from the training in that hour


def run(monitored: Any, week: int, hour: int, shift: float | None = None, **params: Any) -> Any:
    monitored.windows = 168 * week + hour
    moved = USUAL[hour] if shift is None else shift
    return monitored.run_hour(change=lambda rows: rows | {"x0": rows["x0"] + moved}, **{**SEASONAL, **params})


def drift(report: Any) -> tuple[str, str]:
    signal = report["signals"]["drift"]
    return signal["state"], signal["message"]


@pytest.fixture
def learnt(monitored: Any) -> Any:
    """Four weeks in which day and night differ more than the threshold allows."""
    for week in range(4):
        for hour in (DAY, NIGHT):
            state, message = drift(run(monitored, week, hour))
            assert state == "Unknown"
            assert f"is being learnt ({week + 1} of 4 weeks so far)" in message
            assert "rows of the training; drift with nothing yet" in monitored.page
    return monitored


@pytest.mark.integration
def test_hours_that_differ_as_ever_are_silent_and_one_that_changes_is_found(learnt: Any) -> None:
    for week in (4, 5):
        for hour in (DAY, NIGHT):
            report = run(learnt, week, hour)
            assert drift(report)[0] == "True", drift(report)
    assert report["windows"][0]["reference"] == {
        "rows": 4_800, "window": None, "season": "Sunday 05:00 UTC", "weeks": 4,
    }  # fmt: skip
    assert "4,800 rows of Sunday 05:00 UTC in 4 weeks" in learnt.page

    for week in (6, 7):
        run(learnt, week, DAY, shift=-1.0)
        report = run(learnt, week, NIGHT)

    assert [each["subject"] for each in report["findings"]] == ["x0"]
    assert report["signals"]["dataQuality"]["state"] == "True"
    assert report["budget"]["alarms"] == 1


@pytest.mark.integration
def test_an_hour_that_is_not_learnt_leaves_evidence_and_findings_of_the_others(learnt: Any) -> None:
    for week in (4, 5):
        found = run(learnt, week, DAY, shift=-1.5)
    assert [each["subject"] for each in found["findings"]] == ["x0"]
    learnt.windows = 168 * 5 + 3

    report = learnt.run_hour(**SEASONAL)

    assert [each["subject"] for each in report["findings"]] == ["x0"]
    assert report["closed"] == []


@pytest.mark.integration
def test_without_the_season_the_findings_of_its_tests_close(learnt: Any) -> None:
    for week in (4, 5):
        run(learnt, week, DAY, shift=-1.5)
    learnt.windows = 168 * 5 + NIGHT

    report = learnt.run_hour()

    assert [each["subject"] for each in report["findings"]] == []
    assert [each["subject"] for each in report["closed"]] == ["x0"]
    assert not list((learnt.root / "inputs" / "state").glob("hours-of-week-*"))


def test_windows_that_do_not_divide_an_hour_are_refused(monitored: Any) -> None:
    monitored.run(hours=24, windowSeconds=86_400, expected=2, **SEASONAL)

"""References for each hour of the week: when a week counts, when they are learnt, and that they go through their files."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from flywheel_runtime.monitoring.documents import Series
from flywheel_runtime.monitoring.layout import Layout
from flywheel_runtime.monitoring.reference import Reference
from flywheel_runtime.monitoring.rollup import Rollup
from flywheel_runtime.monitoring.seasonal.hour_of_week import (
    HOUR_SECONDS,
    HOURS,
    HoursOfWeek,
    hour_of_week,
    name_of_hour,
)

SERIES = Series("v1", "sha256:1", "sha256:2")
LAYOUT = Layout((("x0", "Number", 4),), None)
TRAINING = Reference(SERIES, LAYOUT, np.full(LAYOUT.size, 100), 800)
MONDAY_NINE = int(datetime(2026, 1, 26, 9, tzinfo=UTC).timestamp())
WEEK = HOURS * HOUR_SECONDS


def window(week: int, seconds: int = 0, counts: tuple[int, ...] = (0, 10, 20, 30, 40, 0, 0, 0)) -> Rollup:
    cells = np.zeros(LAYOUT.size, np.int64)
    cells[: len(counts)] = counts
    return Rollup(SERIES, MONDAY_NINE + week * WEEK + seconds, HOUR_SECONDS, LAYOUT, cells, 100, int(cells.sum()), {})


def take(hours: HoursOfWeek, rollup: Rollup, *, is_whole: bool = True) -> tuple[Reference | None, str]:
    return hours.take_window(rollup, TRAINING, is_whole=is_whole)


def through_files(hours: HoursOfWeek, folder: Path) -> HoursOfWeek:
    folder.mkdir()
    hours.write(folder)
    return HoursOfWeek.read(folder)


def test_an_hour_has_its_name() -> None:
    hour, week = hour_of_week(MONDAY_NINE)

    assert name_of_hour(hour) == "Monday 09:00 UTC"
    assert hour_of_week(MONDAY_NINE + WEEK) == (hour, week + 1)
    assert [name_of_hour(hour_of_week(each * 86_400)[0])[:3] for each in range(4)] == ["Thu", "Fri", "Sat", "Sun"]


def test_the_fifth_week_is_compared_with_the_sum_of_four(tmp_path: Path) -> None:
    hours = HoursOfWeek()
    for week in range(4):
        found, why = take(hours, window(week))
        assert found is None
        assert why == f"the reference of Monday 09:00 UTC is being learnt ({week + 1} of 4 weeks so far)"
        hours = through_files(hours, tmp_path / str(week))

    found, why = take(hours, window(4))

    assert (why, found is not None) == ("", True)
    assert found is not None
    assert found.counts[:8].tolist() == [0, 40, 80, 120, 160, 0, 0, 0]
    assert (found.rows, found.season) == (400, "Monday 09:00 UTC")
    assert found.design_effects == {"x0": 1.0}
    again, _ = take(through_files(hours, tmp_path / "learnt"), window(9, counts=(0, 90, 0, 0, 0, 0, 0, 0)))
    assert again is not None
    assert again.counts.tolist() == found.counts.tolist(), "it does not change any more"


def test_weeks_with_too_few_rows_do_not_count() -> None:
    hours = HoursOfWeek()
    for week in range(6):
        take(hours, window(week), is_whole=week % 2 == 0)

    assert take(hours, window(6), is_whole=False)[1].endswith("(3 of 4 weeks so far)")


def test_the_windows_of_one_hour_are_one_week_of_it() -> None:
    hours = HoursOfWeek()
    for week in range(4):
        for quarter in range(4):
            take(hours, window(week, seconds=900 * quarter))

    found, _ = take(hours, window(4))
    assert found is not None
    assert found.rows == 1_600


def test_weeks_that_differ_make_the_reference_less_sure() -> None:
    hours = HoursOfWeek()
    for week in range(4):
        take(
            hours,
            window(week, counts=(0, 400, 100, 100, 400, 0, 0, 0) if week % 2 else (0, 100, 400, 400, 100, 0, 0, 0)),
        )

    found, _ = take(hours, window(4))
    assert found is not None
    assert found.design_effects["x0"] > 10


def test_other_bytes_under_a_name_and_versions_that_are_gone_have_nothing() -> None:
    hours = HoursOfWeek()
    for week in range(4):
        take(hours, window(week))
    other = replace(window(4), series=replace(SERIES, digest="sha256:3"))

    assert take(hours, other)[0] is None
    hours.retain(frozenset({"v2"}))
    assert hours.hours == {}


def test_a_day_that_does_not_change_has_the_same_bytes(tmp_path: Path) -> None:
    hours = HoursOfWeek()
    for week in range(5):
        take(hours, window(week))
        take(hours, window(week, seconds=86_400))
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        hours.write(tmp_path / name)
        take(hours, window(5, seconds=86_400))

    assert [each.name for each in sorted((tmp_path / "one").iterdir())] == [
        "hours-of-week-0.json",
        "hours-of-week-1.json",
    ]
    assert len({(tmp_path / name / "hours-of-week-0.json").read_bytes() for name in ("one", "two")}) == 1


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"v": 2}, id="another format"),
        pytest.param({"layouts": []}, id="no layout"),
        pytest.param({"layouts": [[["v1", "sha256:1", "sha256:2"], Layout((), None).to_json()]]}, id="other cells"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    hours = HoursOfWeek()
    take(hours, window(0))
    hours.write(tmp_path)
    path = tmp_path / "hours-of-week-0.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))

    with pytest.raises((KeyError, TypeError, ValueError)):
        HoursOfWeek.read(tmp_path)

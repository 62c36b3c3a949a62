"""A reference for each hour of the week (UTC), learnt from the first four weeks in which a version had enough rows in that hour."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from flywheel_runtime.contract.step import write_json
from flywheel_runtime.monitoring.documents import Series
from flywheel_runtime.monitoring.layout import Column, Counts, Layout
from flywheel_runtime.monitoring.reference import Reference
from flywheel_runtime.monitoring.rollup import Rollup
from flywheel_runtime.monitoring.statistics.dependence import measure_dispersion
from flywheel_runtime.monitoring.statistics.streams.decision import is_finite

VERSION = 1
WEEKS = 4  # of which a reference is made
HOUR_SECONDS, HOURS_OF_DAY, DAYS = 3_600, 24, 7
HOURS = DAYS * HOURS_OF_DAY
FIRST_MONDAY = 3 * HOURS_OF_DAY  # hours: 1970 began on a Thursday
DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True)
class HourReference:
    """What is known of one hour of the week: the counts (cells,) of each week by its number, until `is_learnt`; then their sum.

    `design_effects` (columns,) say how much more the weeks differ than independent rows would.
    """

    layout: Layout
    weeks: Mapping[int, Counts] = field(default_factory=dict)
    counts: Counts | None = None
    rows: int = 0
    design_effects: tuple[float, ...] = ()

    def add(self, week: int, counts: Counts, rows: int) -> "HourReference":
        """The hour with a window's counts (cells,)."""
        known = self.weeks.get(week)
        added = counts if known is None else known + counts
        return replace(self, weeks={**self.weeks, week: added}, rows=self.rows + rows)

    def finish(self) -> "HourReference":
        """The sum of the weeks, which does not change any more."""
        stacked = np.stack([self.weeks[week] for week in sorted(self.weeks)])
        effects = tuple(_dispersion(column, stacked) for column in self.layout.columns)
        return replace(self, weeks={}, counts=stacked.sum(axis=0), design_effects=effects)


def _dispersion(column: Column, weeks: Counts) -> float:
    blocks = column.distribution(weeks).astype(np.float64)
    return max(1.0, float(measure_dispersion(blocks).value))


@dataclass
class HoursOfWeek:
    """The hours of the week of each series."""

    hours: dict[tuple[Series, int], HourReference] = field(default_factory=dict)

    def take_window(self, rollup: Rollup, reference: Reference, *, is_whole: bool) -> tuple[Reference | None, str]:
        """The reference of the window's hour of the week with the facts of `reference`; else why there is none, and the window is learnt from.

        `is_whole`: it has enough rows, and few of them were lost.
        """
        hour, week = hour_of_week(rollup.start)
        key = (rollup.series, hour)
        known = self.hours.get(key) or HourReference(rollup.layout)
        if known.counts is None and len(known.weeks) >= WEEKS and week not in known.weeks:
            known = self.hours[key] = known.finish()
        if known.counts is not None:
            return _to_reference(known, reference, hour), ""
        if is_whole:
            known = self.hours[key] = known.add(week, rollup.counts, rollup.rows)
        learnt = f"{len(known.weeks)} of {WEEKS} weeks"
        return None, f"the reference of {name_of_hour(hour)} is being learnt ({learnt} so far)"

    def retain(self, versions: frozenset[str]) -> None:
        """Forgets the versions that are not among these."""
        self.hours = {key: each for key, each in self.hours.items() if key[0].version in versions}

    def write(self, folder: Path) -> None:
        """Writes a file for each day of the week: of those that do not change, the store has the content already."""
        for day in range(DAYS):
            of_day = {key: each for key, each in self.hours.items() if key[1] // HOURS_OF_DAY == day}
            if of_day:
                write_json(folder / f"hours-of-week-{day}.json", _to_json(of_day))

    @classmethod
    def read(cls, folder: Path) -> "HoursOfWeek":
        """The hours in a folder. Raises KeyError, TypeError, ValueError, OSError."""
        found = cls()
        for path in sorted(folder.glob("hours-of-week-*.json")):
            found.hours |= _parse(json.loads(path.read_bytes()))
        return found


def hour_of_week(seconds: int) -> tuple[int, int]:
    """The hour of the week from 0 (Monday, 00:00 UTC), and the number of the week, of a time in seconds since 1970."""
    week, hour = divmod(seconds // HOUR_SECONDS + FIRST_MONDAY, HOURS)
    return hour, week


def name_of_hour(hour: int) -> str:
    """`Monday 09:00 UTC`."""
    day, hour_of_day = divmod(hour, HOURS_OF_DAY)
    return f"{DAY_NAMES[day]} {hour_of_day:02d}:00 UTC"


def _to_reference(known: HourReference, reference: Reference, hour: int) -> Reference:
    names = ["" if column.is_prediction else column.name for column in known.layout.columns]
    effects = dict(zip(names, known.design_effects, strict=True))
    counts = known.counts if known.counts is not None else np.zeros(known.layout.size, np.int64)
    return replace(reference, counts=counts, rows=known.rows, season=name_of_hour(hour), design_effects=effects)


def _to_json(hours: Mapping[tuple[Series, int], HourReference]) -> dict[str, Any]:
    layouts = {series: each.layout for (series, _), each in hours.items()}
    return {
        "v": VERSION,
        "layouts": [[_series(each), layouts[each].to_json()] for each in sorted(layouts)],
        "hours": [
            {
                "series": _series(series),
                "hour": hour,
                "weeks": [[week, each.weeks[week].tolist()] for week in sorted(each.weeks)],
                "counts": None if each.counts is None else each.counts.tolist(),
                "rows": each.rows,
                "designEffects": [round(effect, 4) for effect in each.design_effects],
            }
            for (series, hour), each in sorted(hours.items(), key=lambda item: item[0])
        ],
    }


def _parse(document: Mapping[str, Any]) -> dict[tuple[Series, int], HourReference]:
    if document["v"] != VERSION:
        raise ValueError(f"version {document['v']!r} of the format is unknown")
    layouts = {Series(*series): Layout.from_json(layout) for series, layout in document["layouts"]}
    found = {}
    for each in document["hours"]:
        series, layout = Series(*each["series"]), layouts[Series(*each["series"])]
        weeks = {int(week): _cells(counts, layout) for week, counts in each["weeks"]}
        counts = None if each["counts"] is None else _cells(each["counts"], layout)
        effects = tuple(float(effect) for effect in each["designEffects"])
        if counts is not None and len(effects) != len(layout.columns):
            raise ValueError("an hour does not have the columns of its layout")
        if not is_finite(effects):
            raise ValueError("a design effect of an hour is not finite")
        found[series, int(each["hour"])] = HourReference(layout, weeks, counts, int(each["rows"]), effects)
    return found


def _cells(counts: Any, layout: Layout) -> Counts:
    cells = np.array(counts, np.int64)
    if cells.shape != (layout.size,):
        raise ValueError("an hour does not have the cells of its layout")
    return cells


def _series(series: Series) -> list[str]:
    return [series.version, series.digest, series.baseline]

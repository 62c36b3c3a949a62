"""By when a monitor should have tested its next window. It counts days, since the alert on it waits for two."""

import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise

from flywheel.kinds.modelmonitor.children import ModelMonitor

DAY = timedelta(days=1)
NAMED_DAYS = {"hourly": 1, "daily": 1, "midnight": 1, "weekly": 7, "monthly": 31, "yearly": 366, "annually": 366}
EVERY = re.compile(r"([0-9]+(?:\.[0-9]*)?)(ns|us|ms|s|m|h)")
SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
DAYS_OF_WEEK = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
MONTHS = ("", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
FIRST_DAY, DAYS = date(2024, 1, 1), 9 * 366  # so many days have two leap days at least, also where a schedule needs one


def next_test_is_due(monitor: ModelMonitor) -> datetime | None:
    """The time after which the next window has ended and a tick of the schedule has come. None before the first run, and of a
    BatchInference, whose runs decide it."""
    tested = monitor.status.processed_until
    if tested is None or monitor.spec.batch_inference:
        return None
    return tested + monitor.spec.window.timedelta + longest_interval(monitor.spec.schedule.cron)


@lru_cache(maxsize=256)
def longest_interval(cron: str) -> timedelta:
    """The longest time between two ticks of a cron expression, in whole days, rounded up."""
    text = cron.strip().lower()
    if text.startswith("@every"):
        seconds = sum(float(number) * SECONDS[unit] for number, unit in EVERY.findall(text))
        return DAY * max(1, -(-seconds // DAY.total_seconds()))
    if text.startswith("@"):
        return DAY * NAMED_DAYS[text[1:]]
    ticks = list(_days(*text.split()[2:]))
    return max((after - before for before, after in pairwise(ticks)), default=DAYS * DAY)


def _days(of_month: str, month: str, of_week: str) -> Iterator[date]:
    """The days on which such a schedule ticks: where both fields of days are restricted, those of either."""
    months, days, weekdays = (
        _values(month, MONTHS, 1, 12),
        _values(of_month, (), 1, 31),
        _values(of_week, DAYS_OF_WEEK, 0, 6),
    )
    is_either = not any(set("*?") & set(field) and "/" not in field for field in (of_month, of_week))
    for day in (FIRST_DAY + DAY * number for number in range(DAYS)):
        found = (day.day in days, day.isoweekday() % 7 in weekdays)
        if day.month in months and (any(found) if is_either else all(found)):
            yield day


def _values(field: str, names: tuple[str, ...], first: int, last: int) -> set[int]:
    """The numbers of one field, such as `1-5`, `mon,thu` or `*/2`."""
    found: set[int] = set()
    for item in field.split(","):
        values, _, step = item.partition("/")
        start, _, end = values.partition("-")
        low, high = (first, last) if start in ("*", "?") else (_number(start, names), _number(end or start, names))
        found.update(range(low, (last if step and not end else high) + 1, int(step or 1)))
    return found


def _number(text: str, names: tuple[str, ...]) -> int:
    return names.index(text) if text in names else int(text)

"""Year, month and day of a day, by tables of a Gregorian cycle of 146,097 days: exact for every date."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flywheel_runtime.features.graph import GraphBuilder
from flywheel_runtime.features.sql_types import Kind
from flywheel_runtime.features.values import Value
from flywheel_runtime.features.whole_numbers import floor_divide

DAY = 86_400_000_000  # microseconds
CYCLE_DAYS = 146_097  # of 400 years
CYCLE_YEARS = 400
CYCLE_START = 719_468  # days from 0000-03-01 to 1970-01-01


@cache
def cycle_tables() -> dict[str, NDArray[Any]]:
    """Year since the cycle's first, month and day of each day of a cycle, which begins with a first of March."""
    days = np.datetime64("2000-03-01", "D") + np.arange(CYCLE_DAYS)
    months = days.astype("datetime64[M]")
    years = days.astype("datetime64[Y]").astype(int) - (2000 - 1970)
    return {
        "year": years.astype(np.int16),
        "month": (months.astype(int) % 12 + 1).astype(np.int8),
        "day": ((days - months).astype(int) + 1).astype(np.int8),
    }


def day_number(graph: GraphBuilder, value: Value) -> str:
    """The days from 1970-01-01 to a DATE or TIMESTAMP."""
    return value.tensor if value.type.name == "DATE" else floor_divide(graph, value.tensor, DAY)


def year_of(graph: GraphBuilder, days: str) -> str:
    """The year of a day number."""
    shifted = graph.add("Add", days, graph.integer(CYCLE_START))
    day_of_cycle = graph.add("Mod", shifted, graph.integer(CYCLE_DAYS))
    start = graph.add("Sub", shifted, day_of_cycle)
    cycles = graph.add("Div", start, graph.integer(CYCLE_DAYS))
    return graph.add("Add", _look_up(graph, "year", days), graph.add("Mul", cycles, graph.integer(CYCLE_YEARS)))


def month_of(graph: GraphBuilder, days: str) -> str:
    """The month of a day number."""
    return _look_up(graph, "month", days)


def day_of_month(graph: GraphBuilder, days: str) -> str:
    """The day of the month of a day number."""
    return _look_up(graph, "day", days)


def _look_up(graph: GraphBuilder, table: str, days: str) -> str:
    shifted = graph.add("Add", days, graph.integer(CYCLE_START))
    day_of_cycle = graph.add("Mod", shifted, graph.integer(CYCLE_DAYS))
    entry = graph.add("Gather", graph.initializer(cycle_tables()[table]), day_of_cycle, axis=0)
    return graph.cast(entry, Kind.INT64)


def first_day(graph: GraphBuilder, year: str, month: str) -> str:
    """The day number of the first of a month."""

    def combine(node: str, left: str, right: str | int) -> str:
        return graph.add(node, left, graph.integer(right) if isinstance(right, int) else right)

    is_early = combine("Less", month, 3)
    march_year = combine("Sub", year, graph.cast(is_early, Kind.INT64))
    cycle = floor_divide(graph, march_year, CYCLE_YEARS)
    year_of_cycle = combine("Sub", march_year, combine("Mul", cycle, CYCLE_YEARS))
    offset = graph.add("Where", is_early, graph.integer(9), graph.integer(-3))
    day_of_year = combine("Div", combine("Add", combine("Mul", combine("Add", month, offset), 153), 2), 5)
    leap_days = combine("Sub", combine("Div", year_of_cycle, 4), combine("Div", year_of_cycle, 100))
    day_of_cycle = combine("Add", combine("Mul", year_of_cycle, 365), combine("Add", leap_days, day_of_year))
    return combine("Sub", combine("Add", combine("Mul", cycle, CYCLE_DAYS), day_of_cycle), CYCLE_START)

"""Parts of a DATE or TIMESTAMP: year, hour, weekday. Infinity has none."""

from collections.abc import Callable

from flywheel_runtime.features.errors import ExpressionRefused
from flywheel_runtime.features.functions.civil_dates import DAY, day_number, day_of_month, first_day, month_of, year_of
from flywheel_runtime.features.graph import GraphBuilder
from flywheel_runtime.features.sql_types import Kind
from flywheel_runtime.features.values import Call, Compilation, Value
from flywheel_runtime.features.whole_numbers import divide_half_away, is_infinite_time, modulo

# For each part of a TIMESTAMP: microseconds of the unit above, of the part, and its greatest value.
CLOCK = {
    "hour": (DAY, 3_600_000_000, 23),
    "minute": (3_600_000_000, 60_000_000, 59),
    "second": (60_000_000, 1_000_000, 59),
    "millisecond": (60_000_000, 1000, 59_999),
    "microsecond": (60_000_000, 1, 59_999_999),
}
SECOND = 1_000_000  # microseconds
MAX_DATE_YEAR = 5_900_000  # of any DATE, about 5,881,580
MONDAY = 3  # of 1970-01-01, a Thursday: days since a Monday


def quarter(graph: GraphBuilder, days: str) -> str:
    """The quarter of a day number."""
    return graph.add("Div", graph.add("Add", month_of(graph, days), graph.integer(2)), graph.integer(3))


def day_of_year(graph: GraphBuilder, days: str) -> str:
    """The day of the year of a day number, from 1 on."""
    start = first_day(graph, year_of(graph, days), graph.integer(1))
    return graph.add("Add", graph.add("Sub", days, start), graph.integer(1))


def week(graph: GraphBuilder, days: str) -> str:
    """The week of ISO 8601 of a day number: that of its Thursday."""
    thursday = graph.add("Add", graph.add("Sub", days, days_since_monday(graph, days)), graph.integer(3))
    start = first_day(graph, year_of(graph, thursday), graph.integer(1))
    return graph.add("Add", graph.add("Div", graph.add("Sub", thursday, start), graph.integer(7)), graph.integer(1))


def weekday(graph: GraphBuilder, days: str) -> str:
    """0 for Sunday to 6 for Saturday."""
    return modulo(graph, graph.add("Add", days, graph.integer(MONDAY + 1)), 7)


def iso_weekday(graph: GraphBuilder, days: str) -> str:
    """1 for Monday to 7 for Sunday."""
    return graph.add("Add", days_since_monday(graph, days), graph.integer(1))


def days_since_monday(graph: GraphBuilder, days: str) -> str:
    """0 for Monday to 6 for Sunday."""
    return modulo(graph, graph.add("Add", days, graph.integer(MONDAY)), 7)


# Part of a day number, its least and its greatest value.
CALENDAR: dict[str, tuple[Callable[[GraphBuilder, str], str], int, int]] = {
    "year": (year_of, -MAX_DATE_YEAR, MAX_DATE_YEAR),
    "month": (month_of, 1, 12),
    "day": (day_of_month, 1, 31),
    "dayofmonth": (day_of_month, 1, 31),
    "quarter": (quarter, 1, 4),
    "dayofyear": (day_of_year, 1, 366),
    "week": (week, 1, 53),
    "weekofyear": (week, 1, 53),
    "dayofweek": (weekday, 0, 6),
    "weekday": (weekday, 0, 6),
    "isodow": (iso_weekday, 1, 7),
}


def calendar_part(compilation: Compilation, call: Call) -> Value:
    """A part that DATE and TIMESTAMP have."""
    graph, value = compilation.graph, _check_time(call)
    compute, low, high = CALENDAR[call.name]
    return _finite_result(graph, call, compute(graph, day_number(graph, value)), low, high)


def clock_part(compilation: Compilation, call: Call) -> Value:
    """A part of the time of the day; 0 for a DATE."""
    graph, value = compilation.graph, _check_time(call)
    if value.type.name == "DATE":
        return _finite_result(graph, call, graph.add("Sub", value.tensor, value.tensor), 0, 0)
    above, unit, high = CLOCK[call.name]
    tensor = modulo(graph, value.tensor, above)
    if unit > 1:
        tensor = graph.add("Div", tensor, graph.integer(unit))
    return _finite_result(graph, call, tensor, 0, high)


def seconds_since_epoch(compilation: Compilation, call: Call) -> Value:
    """`epoch(x)`, also of the INTERVAL between two TIMESTAMPs."""
    graph, value = compilation.graph, call.first
    if value.type.name == "INTERVAL":
        compilation.inexact.add("epoch of an INTERVAL")
        return call.result(_seconds(graph, value.tensor))
    if _check_time(call).type.name == "DATE":
        seconds = graph.cast(graph.add("Mul", value.tensor, graph.integer(86_400)), Kind.FP64)
        return _finite_result(graph, call, seconds)
    return _finite_result(graph, call, _seconds(graph, value.tensor))


def _seconds(graph: GraphBuilder, microseconds: str) -> str:
    return graph.add("Div", graph.cast(microseconds, Kind.FP64), graph.constant(float(SECOND), Kind.FP64))


def units_since_epoch(compilation: Compilation, call: Call) -> Value:
    """`epoch_us(x)`, and `epoch_ms(x)`, which rounds half away from zero."""
    graph, value = compilation.graph, _check_time(call)
    if value.type.name == "DATE":
        raise ExpressionRefused(f"{call.name}() of a DATE has no equal in ONNX; use epoch()")
    milliseconds = call.name == "epoch_ms"
    return _finite_result(graph, call, divide_half_away(graph, value.tensor, 1000) if milliseconds else value.tensor)


def _finite_result(
    graph: GraphBuilder, call: Call, tensor: str, low: int | None = None, high: int | None = None
) -> Value:
    """NULL also where the time is infinite."""
    null = graph.any_of(call.null, is_infinite_time(graph, call.first))
    return Value(call.type, tensor, null, call.error, low=low, high=high)


def _check_time(call: Call) -> Value:
    if call.first.type.name != "DATE" and not call.first.type.is_timestamp:
        raise ExpressionRefused(f"{call.name}() of {call.first.type} has no equal in ONNX; use epoch()")
    return call.first


FUNCTIONS = {
    **dict.fromkeys(CALENDAR, calendar_part),
    **dict.fromkeys(CLOCK, clock_part),
    "epoch": seconds_since_epoch,
    "epoch_us": units_since_epoch,
    "epoch_ms": units_since_epoch,
}

"""Differences of times, their truncation to a unit, and sums with an INTERVAL of days and less."""

from dataclasses import replace

from flywheel_runtime.features.errors import ExpressionRefused
from flywheel_runtime.features.functions import arithmetic
from flywheel_runtime.features.functions.civil_dates import DAY, day_number, first_day, month_of, year_of
from flywheel_runtime.features.functions.date_parts import days_since_monday
from flywheel_runtime.features.graph import GraphBuilder
from flywheel_runtime.features.sql_types import MAX_DATE, MAX_INT64
from flywheel_runtime.features.values import Call, Compilation, Value
from flywheel_runtime.features.whole_numbers import equals_any, floor_divide, is_infinite_time, modulo

UNITS = {
    "week": 7 * DAY,
    "day": DAY,
    "hour": 3_600_000_000,
    "minute": 60_000_000,
    "second": 1_000_000,
    "millisecond": 1000,
    "microsecond": 1,
}
MIN_TIMESTAMP = -9_223_372_022_400_000_000  # microseconds: the first day that fits
CALENDAR_UNITS = ("month", "quarter", "year")


def add_or_subtract(compilation: Compilation, call: Call) -> Value:
    """`+` and `-` of numbers and of times."""
    names = [each.type.name for each in call.arguments]
    if len(names) == 1 or not {"DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "INTERVAL"} & set(names):
        return (
            arithmetic.subtract_or_negate(compilation, call)
            if call.name == "-"
            else arithmetic.compute(compilation, call)
        )
    if "INTERVAL" in names and call.type.name == "TIMESTAMP":
        return _add_interval(compilation.graph, call)
    if call.name == "-" and names == ["TIMESTAMP", "TIMESTAMP"]:
        return _subtract_timestamps(compilation.graph, call)
    if call.type.name == "DATE" and names[0] == "DATE":
        return _add_days(compilation.graph, call)
    if call.type.name == "BIGINT" and names == ["DATE", "DATE"]:
        return call.result(compilation.graph.add("Sub", *(each.tensor for each in call.arguments)))
    raise ExpressionRefused(f"'{call.name}' of {' and '.join(names)} has no equal in ONNX; use date_diff()")


def _add_days(graph: GraphBuilder, call: Call) -> Value:
    date, days = call.arguments
    tensor = graph.add(arithmetic.OPERATORS[call.name], date.tensor, days.tensor)
    outside = graph.any_of(_is_outside(graph, tensor, *call.type.range), equals_any(graph, tensor, MAX_DATE, -MAX_DATE))
    infinite = is_infinite_time(graph, date)
    if infinite:
        tensor = graph.add("Where", infinite, date.tensor, tensor)
        outside = graph.all_of(graph.mask_tensor(outside), graph.negate(infinite))
    return replace(call.result(tensor), error=graph.add_error(call.error, outside, call.null))


def _is_outside(graph: GraphBuilder, tensor: str, low: int, high: int) -> str:
    below = graph.add("Less", tensor, graph.integer(low))
    return graph.add("Or", below, graph.add("Greater", tensor, graph.integer(high)))


def _subtract_timestamps(graph: GraphBuilder, call: Call) -> Value:
    left, right = call.arguments
    tensor = graph.add("Sub", left.tensor, right.tensor)
    infinite = graph.any_of(*(is_infinite_time(graph, each) for each in call.arguments))
    return replace(call.result(tensor), error=graph.add_error(call.error, infinite, call.null))


def _add_interval(graph: GraphBuilder, call: Call) -> Value:
    """A TIMESTAMP plus or minus a literal of days and less."""
    time, interval = call.arguments
    if time.type.name == "INTERVAL":
        time, interval = interval, time
    if interval.literal is None or interval.literal["months"] or time.type.name != "TIMESTAMP":
        raise ExpressionRefused(
            "an INTERVAL of months, one that is no literal, and one with a DATE have no equal in ONNX; "
            "add a literal number of days or less to a TIMESTAMP"
        )
    change = interval.literal["days"] * DAY + interval.literal["micros"]
    change = -change if call.name == "-" else change
    tensor = graph.add("Add", time.tensor, graph.integer(change))
    low, high = (bound + change for bound in time.bounds)
    infinite = is_infinite_time(graph, time)
    if low >= MIN_TIMESTAMP and high < MAX_INT64 and not infinite:
        return call.result(tensor, low, high)
    wrapped = graph.add("Less" if change > 0 else "Greater", tensor, time.tensor)
    outside = graph.add("Or", wrapped, _is_outside(graph, tensor, MIN_TIMESTAMP, MAX_INT64 - 1))
    if infinite:
        tensor = graph.add("Where", infinite, time.tensor, tensor)
        outside = graph.all_of(outside, graph.negate(infinite))
    return replace(call.result(tensor), error=graph.add_error(call.error, outside, call.null))


def interval_value(graph: GraphBuilder, literal: dict[str, int], value: Value) -> Value:
    """An INTERVAL as microseconds, a month being 30 days, as DuckDB compares them."""
    total = (literal["months"] * 30 + literal["days"]) * DAY + literal["micros"]
    if abs(total) > MAX_INT64:
        raise ExpressionRefused("an INTERVAL of more than 64 bits of microseconds has no equal in ONNX")
    return replace(value, tensor=graph.integer(total), literal=literal, low=total, high=total)


def truncate(compilation: Compilation, call: Call) -> Value:
    """`date_trunc(unit, time)` of a TIMESTAMP."""
    graph, value = compilation.graph, call.arguments[1]
    unit = _read_unit(call)
    if value.type.name != "TIMESTAMP" or call.type.name != "TIMESTAMP":
        raise ExpressionRefused(f"date_trunc() of {value.type} has no equal in ONNX; cast it to TIMESTAMP")
    tensor = _truncate(graph, value, unit)
    infinite = is_infinite_time(graph, value)
    if infinite:
        return call.result(graph.add("Where", infinite, value.tensor, tensor))
    return call.result(tensor, value.bounds[0] - 366 * DAY, value.bounds[1])


def _truncate(graph: GraphBuilder, value: Value, unit: str) -> str:
    if unit == "week":
        days = day_number(graph, value)
        monday = graph.add("Sub", days, days_since_monday(graph, days))
        return graph.add("Mul", monday, graph.integer(DAY))
    if unit in UNITS:
        return graph.add("Sub", value.tensor, modulo(graph, value.tensor, UNITS[unit]))
    days = day_number(graph, value)
    month = graph.integer(1)
    if unit != "year":
        month = month_of(graph, days)
    if unit == "quarter":
        before = modulo(graph, graph.add("Sub", month, graph.integer(1)), 3)
        month = graph.add("Sub", month, before)
    return graph.add("Mul", first_day(graph, year_of(graph, days), month), graph.integer(DAY))


def count_boundaries(compilation: Compilation, call: Call) -> Value:
    """`date_diff(unit, from, to)`: how often the unit begins between the two."""
    graph, (_, start, end) = compilation.graph, call.arguments
    unit = _read_unit(call)
    _check_pair(call)
    if unit == "day":
        return _difference(graph, call, *(day_number(graph, each) for each in (start, end)))
    if unit in ("month", "year"):
        months = [_month_number(graph, day_number(graph, each), unit) for each in (start, end)]
        return _difference(graph, call, *months)
    if unit in ("hour", "minute", "second") and start.type.name == "TIMESTAMP":
        return _difference(graph, call, *(floor_divide(graph, each.tensor, UNITS[unit]) for each in (start, end)))
    raise ExpressionRefused(f"{call.name}() by {unit} of {start.type} has no equal in ONNX")


def _month_number(graph: GraphBuilder, days: str, unit: str) -> str:
    year = year_of(graph, days)
    if unit == "year":
        return year
    return graph.add("Add", graph.add("Mul", year, graph.integer(12)), month_of(graph, days))


def count_units(compilation: Compilation, call: Call) -> Value:
    """`date_sub(unit, from, to)`: how many whole units are between the two."""
    graph, (_, start, end) = compilation.graph, call.arguments
    unit = _read_unit(call)
    _check_pair(call)
    if unit not in ("day", "hour", "minute", "second") or start.type.name != "TIMESTAMP":
        raise ExpressionRefused(f"{call.name}() by {unit} of {start.type} has no equal in ONNX; use date_diff()")
    result = _difference(graph, call, start.tensor, end.tensor)
    return replace(result, tensor=graph.add("Div", result.tensor, graph.integer(UNITS[unit])))


def _difference(graph: GraphBuilder, call: Call, start: str, end: str) -> Value:
    """The difference `end - start`, NULL where a time is infinite."""
    infinite = (is_infinite_time(graph, each) for each in call.arguments[1:])
    return Value(call.type, graph.add("Sub", end, start), graph.any_of(call.null, *infinite), call.error)


def _check_pair(call: Call) -> None:
    names = {each.type.name for each in call.arguments[1:]}
    if names not in ({"DATE"}, {"TIMESTAMP"}):
        raise ExpressionRefused(
            f"{call.name}() of {' and '.join(sorted(names))} has no equal in ONNX; cast both to TIMESTAMP"
        )


def _read_unit(call: Call) -> str:
    unit = call.first.literal
    if not isinstance(unit, str):
        raise ExpressionRefused(f"{call.name}() takes a literal as its unit")
    singular = unit.lower().removesuffix("s")
    if singular not in UNITS and singular not in CALENDAR_UNITS:
        raise ExpressionRefused(
            f"{call.name}() by '{unit}' has no equal in ONNX; known units: {', '.join([*UNITS, *CALENDAR_UNITS])}"
        )
    return singular


FUNCTIONS = {
    "+": add_or_subtract,
    "-": add_or_subtract,
    "date_trunc": truncate,
    "datetrunc": truncate,
    "date_diff": count_boundaries,
    "datediff": count_boundaries,
    "date_sub": count_units,
    "datesub": count_units,
}

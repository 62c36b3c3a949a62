"""Casts among types; a value outside of the target's range is an error."""

from dataclasses import replace

from flywheel_runtime.features.errors import ExpressionRefused
from flywheel_runtime.features.functions.civil_dates import day_number
from flywheel_runtime.features.functions.comparisons import unsigned_as_int64
from flywheel_runtime.features.functions.rounding import round_half_away
from flywheel_runtime.features.graph import GraphBuilder, Mask
from flywheel_runtime.features.sql_types import BIGINT, MAX_DATE, MAX_INT64, MIN_INT64, Kind, SqlType
from flywheel_runtime.features.values import Value
from flywheel_runtime.features.whole_numbers import check_range, divide_half_away, fits_int64, is_infinite_time, sign_of

DAY = 86_400_000_000  # microseconds
TIMES = frozenset({"DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "INTERVAL"})
MAX_EXACT_FP64 = 2**53
# Numbers that onnxruntime's Cast reads; it fails the whole request for others, such as '1e400', so they stay away from it.
NUMBER = r"[ \t\n\r\f\v]*[+-]?([0-9]{1,150}(\.[0-9]{0,150})?|\.[0-9]{1,150})([eE][+-]?[0-9]{1,2})?[ \t\n\r\f\v]*"


def cast_value(graph: GraphBuilder, value: Value, target: SqlType, *, is_try: bool) -> Value:
    """CAST, or TRY_CAST, whose errors are NULL."""
    result = _convert(graph, value, target)
    if not is_try:
        return result
    return replace(
        result, null=graph.any_of(result.null, result.error), error=value.error, null_is_nan=False, null_is_false=False
    )


def _convert(graph: GraphBuilder, value: Value, target: SqlType) -> Value:
    source = value.type
    converted: Value | None = None
    if source == target:
        converted = value
    elif source.name in TIMES or target.name in TIMES:
        converted = _convert_time(graph, value, target)
    elif source.kind is Kind.BOOL:
        converted = _convert_boolean(graph, value, target)
    elif source.kind is Kind.UINT64:
        converted = _convert(graph, replace(value, type=BIGINT, tensor=unsigned_as_int64(graph, value)), target)
    elif source.kind is Kind.INT64:
        converted = _convert_integer(graph, value, target)
    elif source.kind.is_floating:
        converted = _convert_real(graph, value, target)
    elif target.kind is Kind.FP64:
        converted = _parse_number(graph, value, target)
    if converted is None:
        raise ExpressionRefused(f"the cast of {source} to {target} has no equal in ONNX")
    return converted


def _masked(value: Value, target: SqlType, tensor: str, low: int | None = None, high: int | None = None) -> Value:
    """The tensor as another type, with the value's masks."""
    return Value(target, tensor, value.null, value.error, low=low, high=high)


def _with_nan_of(value: Value, real: Value) -> Value:
    """The real number, which is NaN where the value is."""
    return replace(real, null_is_nan=value.null_is_nan, nan_is_null=value.nan_is_null)


def _convert_boolean(graph: GraphBuilder, value: Value, target: SqlType) -> Value | None:
    if target.kind is Kind.STRING:
        names = (graph.constant(name, Kind.STRING) for name in ("true", "false"))
        return _masked(value, target, graph.add("Where", value.tensor, *names))
    one = 10**target.scale
    if one > target.range[1]:
        return None
    tensor = graph.cast(value.tensor, target.kind)
    return _masked(value, target, graph.add("Mul", tensor, graph.integer(one)) if target.scale else tensor, 0, one)


def _convert_integer(graph: GraphBuilder, value: Value, target: SqlType) -> Value | None:
    """Of a whole number or a DECIMAL."""
    match target.kind:
        case Kind.BOOL:
            return _masked(value, target, graph.negate(graph.add("Equal", value.tensor, graph.integer(0))))
        case Kind.INT64:
            return _rescale(graph, value, target)
        case Kind.FP64 | Kind.FP32:
            return _masked(value, target, _decimal_as_real(graph, value, target.kind))
        case Kind.STRING if value.type.is_integer:
            return _masked(value, target, graph.cast(value.tensor, Kind.STRING))
        case Kind.UINT64:
            is_negative = graph.add("Less", value.tensor, graph.integer(0)) if value.bounds[0] < 0 else None
            error = graph.add_error(value.error, is_negative, value.null)
            result = _masked(value, target, graph.cast(value.tensor, Kind.UINT64), 0, value.bounds[1])
            return replace(result, error=error)
        case _:
            return None


def _decimal_as_real(graph: GraphBuilder, value: Value, kind: Kind) -> str:
    """A whole number by one cast. A DECIMAL by way of FP64: one division, or whole part and fraction where 53 bits are too few."""
    if not value.type.scale:
        return graph.cast(value.tensor, kind)
    power = 10**value.type.scale
    divisor = graph.constant(float(power), Kind.FP64)
    real = graph.add("Div", graph.cast(value.tensor, Kind.FP64), divisor)
    if any(abs(bound) > MAX_EXACT_FP64 for bound in value.bounds):
        whole = graph.add("Div", value.tensor, graph.integer(power))
        rest = graph.add("Sub", value.tensor, graph.add("Mul", whole, graph.integer(power)))
        fraction = graph.add("Div", graph.cast(rest, Kind.FP64), divisor)
        is_exact = graph.add("LessOrEqual", graph.add("Abs", value.tensor), graph.integer(MAX_EXACT_FP64))
        real = graph.add("Where", is_exact, real, graph.add("Add", graph.cast(whole, Kind.FP64), fraction))
    return graph.cast(real, Kind.FP32) if kind is Kind.FP32 else real


def _rescale(graph: GraphBuilder, value: Value, target: SqlType) -> Value:
    """Among whole numbers and DECIMALs."""
    change = target.scale - value.type.scale
    if change == 0:
        return check_range(graph, _masked(value, target, value.tensor), target, *value.bounds)
    if change < 0:
        tensor = divide_half_away(graph, value.tensor, 10**-change)
        return check_range(graph, _masked(value, target, tensor), target, None, None)
    power = 10**change
    low, high = (bound * power for bound in value.bounds)
    tensor = graph.add("Mul", value.tensor, graph.integer(power))
    if fits_int64(low, high):
        return check_range(graph, _masked(value, target, tensor), target, low, high)
    largest = graph.integer(target.range[1] // power)
    outside = graph.add("Greater", graph.add("Abs", value.tensor), largest)
    least = graph.add("Equal", value.tensor, graph.integer(MIN_INT64))
    error = graph.add_error(value.error, graph.any_of(outside, least), value.null)
    return replace(_masked(value, target, tensor, *target.range), error=error)


def _convert_real(graph: GraphBuilder, value: Value, target: SqlType) -> Value | None:
    """Of a FLOAT or a DOUBLE. Whole numbers are rounded half to even, DECIMALs half away from zero."""
    match target.kind:
        case Kind.BOOL:
            zero = graph.constant(0, value.kind)
            return _masked(value, target, graph.negate(graph.add("Equal", value.tensor, zero)))
        case Kind.FP64:
            return _with_nan_of(value, _masked(value, target, graph.cast(value.tensor, Kind.FP64)))
        case Kind.FP32:
            tensor = graph.cast(value.tensor, Kind.FP32)
            # An infinite number stays infinite.
            overflow = graph.add("Xor", graph.add("IsInf", tensor), graph.add("IsInf", value.tensor))
            result = _with_nan_of(value, _masked(value, target, tensor))
            return replace(result, error=graph.add_error(value.error, overflow, value.null))
        case Kind.INT64:
            return _real_as_integer(graph, value, target)
        case _:
            return None


def _real_as_integer(graph: GraphBuilder, value: Value, target: SqlType) -> Value:
    real = graph.cast(value.tensor, Kind.FP64) if value.kind is Kind.FP32 else value.tensor
    if target.name == "DECIMAL":
        scaled = graph.add("Mul", real, graph.constant(10.0**target.scale, Kind.FP64)) if target.scale else real
        rounded = round_half_away(graph, scaled)
    else:
        rounded = graph.add("Round", real)
    low, high = target.range
    within = graph.all_of(
        graph.add("GreaterOrEqual", rounded, graph.constant(float(low), Kind.FP64)),
        graph.add("Less", rounded, graph.constant(float(high + 1), Kind.FP64)),
    )
    defined = graph.add("Where", within, rounded, graph.constant(0.0, Kind.FP64))
    error: Mask = graph.add_error(value.error, graph.negate(within), value.null)
    return replace(_masked(value, target, graph.cast(defined, Kind.INT64), low, high), error=error)


def _parse_number(graph: GraphBuilder, value: Value, target: SqlType) -> Value:
    """Of a text: common numbers alone; others, such as 'inf' and '1_000', are an error."""
    matches = graph.add("RegexFullMatch", value.tensor, pattern=NUMBER)
    text = graph.add("Where", matches, value.tensor, graph.constant("0", Kind.STRING))
    error = graph.add_error(value.error, graph.negate(matches), value.null)
    return replace(_masked(value, target, graph.cast(text, Kind.FP64)), error=error)


def _convert_time(graph: GraphBuilder, value: Value, target: SqlType) -> Value | None:
    """Among DATE and TIMESTAMP; infinity stays infinity."""
    source = value.type
    if source.is_timestamp and target.is_timestamp:
        return _masked(value, target, value.tensor, *value.bounds)
    infinite = is_infinite_time(graph, value)
    sign = sign_of(graph, value.tensor)
    if source.name == "TIMESTAMP" and target.name == "DATE":
        tensor = day_number(graph, value)
        if infinite:
            tensor = graph.add("Where", infinite, graph.add("Mul", sign, graph.integer(MAX_DATE)), tensor)
            return _masked(value, target, tensor)
        low, high = (bound // DAY for bound in value.bounds)
        return _masked(value, target, tensor, low, high)
    if source.name == "DATE" and target.name == "TIMESTAMP":
        tensor = graph.add("Mul", value.tensor, graph.integer(DAY))
        low, high = (bound * DAY for bound in value.bounds)
        if fits_int64(low, high):
            return _masked(value, target, tensor, low, high)
        outside = graph.add("Greater", graph.add("Abs", value.tensor), graph.integer(MAX_INT64 // DAY))
        if infinite:
            tensor = graph.add("Where", infinite, graph.add("Mul", sign, graph.integer(MAX_INT64)), tensor)
            outside = graph.all_of(outside, graph.negate(infinite))
        return replace(_masked(value, target, tensor), error=graph.add_error(value.error, outside, value.null))
    return None

"""Arithmetic on whole numbers within its defined range."""

from dataclasses import replace

from flywheel_runtime.features.graph import GraphBuilder
from flywheel_runtime.features.sql_types import MAX_INT64, MIN_INT64, Kind, SqlType
from flywheel_runtime.features.values import Value


def fits_int64(low: int, high: int) -> bool:
    """Whether every number between the two has 64 bits."""
    return low >= MIN_INT64 and high <= MAX_INT64


def check_range(graph: GraphBuilder, value: Value, result_type: SqlType, low: int | None, high: int | None) -> Value:
    """The value as another type, with an error where it is outside of that. `low` and `high` are known bounds of the tensor."""
    least, greatest = result_type.range
    below = graph.add("Less", value.tensor, graph.integer(least)) if low is None or low < least else None
    above = graph.add("Greater", value.tensor, graph.integer(greatest)) if high is None or high > greatest else None
    return replace(
        value,
        type=result_type,
        error=graph.add_error(value.error, graph.any_of(below, above), value.null),
        low=least if low is None else max(least, low),
        high=greatest if high is None else min(greatest, high),
    )


def divide_half_away(graph: GraphBuilder, tensor: str, divisor: int) -> str:
    """The quotient by a positive number, halves rounded away from zero."""
    half = graph.add("Mul", sign_of(graph, tensor), graph.integer(divisor // 2))
    return graph.add("Div", graph.add("Add", tensor, half), graph.integer(divisor))


def sign_of(graph: GraphBuilder, tensor: str) -> str:
    """Whether whole numbers are negative, zero or positive: -1, 0 or 1. onnxruntime's Sign of whole numbers takes 32 bits of them."""
    zero = graph.integer(0)
    above, below = (graph.cast(graph.add(node, tensor, zero), Kind.INT64) for node in ("Greater", "Less"))
    return graph.add("Sub", above, below)


def floor_divide(graph: GraphBuilder, tensor: str, divisor: int) -> str:
    """The quotient by a positive number, rounded down."""
    return graph.add("Div", graph.add("Sub", tensor, modulo(graph, tensor, divisor)), graph.integer(divisor))


def modulo(graph: GraphBuilder, tensor: str, divisor: int) -> str:
    """The remainder of floor_divide(), from 0 on."""
    return graph.add("Mod", tensor, graph.integer(divisor))


def equals_any(graph: GraphBuilder, tensor: str, *numbers: int) -> str:
    """True where the tensor is one of these whole numbers."""
    result = graph.any_of(*(graph.add("Equal", tensor, graph.integer(number)) for number in numbers))
    return graph.mask_tensor(result)


def is_infinite_time(graph: GraphBuilder, value: Value) -> str | None:
    """True where a DATE or TIMESTAMP is infinity or -infinity; None if it cannot be."""
    if not value.can_be_infinite:
        return None
    infinity = value.type.range[1]
    return equals_any(graph, value.tensor, infinity, -infinity)

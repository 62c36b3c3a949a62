"""Rounding to whole numbers and to digits. Releases of DuckDB differ in round() of a DOUBLE to digits, so the one at hand is asked."""

import math
from dataclasses import replace

from flywheel_runtime.features.errors import ExpressionRefused
from flywheel_runtime.features.graph import GraphBuilder
from flywheel_runtime.features.sql_types import Kind
from flywheel_runtime.features.values import Call, Compilation, Value
from flywheel_runtime.features.whole_numbers import divide_half_away, floor_divide

BELOW_HALF = math.nextafter(0.5, 0.0)
SPLITTER = 134217729.0  # 2**27 + 1, of Dekker's split of a double into two halves


def round_half_away(graph: GraphBuilder, tensor: str) -> str:
    """An FP64 tensor rounded to whole numbers, halves away from zero; NaN and the infinities stay.

    Of 0.49999999999999994, the sum with one half is 1; with the number below one half it is not, and all halves still reach the next.
    """
    moved = graph.add("Add", graph.add("Abs", tensor), graph.constant(BELOW_HALF, Kind.FP64))
    return graph.add("Mul", graph.add("Sign", tensor), graph.add("Floor", moved))


def _round_product(graph: GraphBuilder, tensor: str, product: str, factor: float) -> str:
    """`round(tensor * factor)` of the exact product. `product` is the one in 64 bits; Dekker's error of it decides its halves."""
    factor_high = SPLITTER * factor - (SPLITTER * factor - factor)
    split = graph.add("Mul", tensor, graph.constant(SPLITTER, Kind.FP64))
    high = graph.add("Sub", split, graph.add("Sub", split, tensor))
    low = graph.add("Sub", tensor, high)
    factors = (graph.constant(factor_high, Kind.FP64), graph.constant(factor - factor_high, Kind.FP64))
    error = graph.add("Sub", graph.add("Mul", high, factors[0]), product)
    for half, other in ((high, factors[1]), (low, factors[0]), (low, factors[1])):
        error = graph.add("Add", error, graph.add("Mul", half, other))
    magnitude, sign = graph.add("Abs", product), graph.add("Sign", product)
    floor = graph.add("Floor", magnitude)
    fraction, a_half = graph.add("Sub", magnitude, floor), graph.constant(0.5, Kind.FP64)
    is_less = graph.add("Less", graph.add("Mul", error, sign), graph.constant(0.0, Kind.FP64))
    rounds_down = graph.all_of(graph.add("Equal", fraction, a_half), is_less)
    rounds_up = graph.all_of(graph.add("GreaterOrEqual", fraction, a_half), graph.negate(rounds_down))
    return graph.add("Mul", sign, graph.add("Add", floor, graph.cast(rounds_up, Kind.FP64)))


def round_number(compilation: Compilation, call: Call) -> Value:
    """`round(x)` and `round(x, digits)` to a literal number of digits."""
    graph, value = compilation.graph, call.first
    digits = 0
    if len(call.arguments) > 1:
        digits = call.arguments[1].literal
        if digits is None:
            raise ExpressionRefused("round() takes a literal as its number of digits")
    if value.kind is Kind.FP64:
        return call.result(_round_fp64(compilation, value.tensor, digits))
    if value.kind is Kind.FP32:
        if digits:
            raise ExpressionRefused("round() of FLOAT to digits has no equal in ONNX; cast it to DOUBLE")
        return call.result(graph.cast(round_half_away(graph, graph.cast(value.tensor, Kind.FP64)), Kind.FP32))
    if value.type.name == "DECIMAL":
        return _round_decimal(graph, call, digits)
    if value.type.is_integer and digits >= 0:
        return replace(value, type=call.type, literal=None)
    raise ExpressionRefused(f"round() of {value.type} to {digits} digits has no equal in ONNX")


def _rounds_exact_product(compilation: Compilation) -> bool:
    """Whether DuckDB rounds the exact binary value (2.0.1), and not its product with a power of ten (2.0.0)."""
    row = compilation.database.execute("SELECT round(CAST(2.675 AS DOUBLE), 2)").fetchone()
    return bool(row[0] == 2.67)


def _round_fp64(compilation: Compilation, tensor: str, digits: int) -> str:
    graph = compilation.graph
    if not digits:
        return round_half_away(graph, tensor)
    power = graph.constant(10.0 ** abs(digits), Kind.FP64)
    if digits > 0:
        product = graph.add("Mul", tensor, power)
        if _rounds_exact_product(compilation):
            whole = _round_product(graph, tensor, product, 10.0**digits)
        else:
            whole = round_half_away(graph, product)
        rounded = graph.add("Div", whole, power)
    else:
        rounded = graph.add("Mul", round_half_away(graph, graph.add("Div", tensor, power)), power)
    overflows = graph.add("Or", graph.add("IsNaN", rounded), graph.add("IsInf", rounded))
    return graph.add("Where", overflows, tensor, rounded)


def _round_decimal(graph: GraphBuilder, call: Call, digits: int) -> Value:
    value = call.first
    if digits >= value.type.scale:
        return replace(value, type=call.type, literal=None)
    if call.type.scale not in (value.type.scale, digits):
        raise ExpressionRefused(f"round() of {value.type} to {digits} digits has no equal in ONNX")
    power = 10 ** (value.type.scale - digits)
    tensor = divide_half_away(graph, value.tensor, power)
    if call.type.scale == value.type.scale:
        tensor = graph.add("Mul", tensor, graph.integer(power))
    return call.result(tensor, *call.type.range)


def floor_number(compilation: Compilation, call: Call) -> Value:
    """`floor`, `ceil` and `trunc` of one number."""
    graph, value = compilation.graph, call.first
    if len(call.arguments) > 1:
        raise ExpressionRefused(f"{call.name}() to a number of digits has no equal in ONNX; use round()")
    if value.kind.is_floating:
        return call.result(_floor_real(graph, call.name, value))
    if not value.type.scale:
        return replace(value, type=call.type, literal=None)
    if call.type.scale:
        raise ExpressionRefused(f"{call.name}() of {value.type} has no equal in ONNX")
    power = 10**value.type.scale
    if call.name == "trunc":
        tensor = graph.add("Div", value.tensor, graph.integer(power))
    elif call.name == "floor":
        tensor = floor_divide(graph, value.tensor, power)
    else:
        tensor = graph.add("Neg", floor_divide(graph, graph.add("Neg", value.tensor), power))
    return call.result(tensor, value.bounds[0] // power - 1, value.bounds[1] // power + 1)


def _floor_real(graph: GraphBuilder, name: str, value: Value) -> str:
    if name == "trunc":
        is_negative = graph.add("Less", value.tensor, graph.constant(0, value.kind))
        return graph.add("Where", is_negative, graph.add("Ceil", value.tensor), graph.add("Floor", value.tensor))
    return graph.add("Floor" if name == "floor" else "Ceil", value.tensor)


FUNCTIONS = {"round": round_number, **dict.fromkeys(("floor", "ceil", "ceiling", "trunc"), floor_number)}

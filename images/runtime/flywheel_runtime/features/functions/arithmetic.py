"""Sums, products, negation, absolute values, signs and bits; what overflows its type is an error."""

from flywheel_runtime.features.errors import ExpressionRefused
from flywheel_runtime.features.graph import GraphBuilder, Mask
from flywheel_runtime.features.sql_types import MAX_INT64, MIN_INT64, Kind
from flywheel_runtime.features.values import Call, Compilation, Value
from flywheel_runtime.features.whole_numbers import check_range, equals_any, fits_int64, sign_of

OPERATORS = {"+": "Add", "-": "Sub", "*": "Mul"}
BITS = {"&": "BitwiseAnd", "|": "BitwiseOr", "xor": "BitwiseXor"}


def compute(compilation: Compilation, call: Call) -> Value:
    """`+`, `-` and `*` of two numbers of one type."""
    graph, (left, right) = compilation.graph, call.arguments
    if call.type.kind.is_floating:
        return call.result(graph.add(OPERATORS[call.name], left.tensor, right.tensor))
    if not call.type.is_integer and call.type.name != "DECIMAL":
        raise ExpressionRefused(f"'{call.name}' of {left.type} and {right.type} has no equal in ONNX")
    tensor = graph.add(OPERATORS[call.name], left.tensor, right.tensor)
    low, high = _result_bounds(call)
    if fits_int64(low, high):
        return check_range(graph, call.result(tensor), call.type, low, high)
    overflow = _product_overflow(graph, call, tensor) if call.name == "*" else _sum_overflow(graph, call, tensor)
    result = Value(call.type, tensor, call.null, graph.add_error(call.error, overflow, call.null))
    known = call.type.range if call.type.name == "BIGINT" else (None, None)
    return check_range(graph, result, call.type, *known)


def _result_bounds(call: Call) -> tuple[int, int]:
    """Between which numbers the exact result is."""
    (low, high), (right_low, right_high) = (each.bounds for each in call.arguments)
    if call.name == "+":
        return low + right_low, high + right_high
    if call.name == "-":
        return low - right_high, high - right_low
    products = [one * other for one in (low, high) for other in (right_low, right_high)]
    return min(products), max(products)


def _product_overflow(graph: GraphBuilder, call: Call, product: str) -> Mask:
    """Where the product does not divide by its factor again; the division stays within its defined range."""
    left, right = (each.tensor for each in call.arguments)
    minus_one = graph.add("Equal", right, graph.integer(-1))
    trivial = graph.add("Or", graph.add("Equal", right, graph.integer(0)), minus_one)
    divisor = graph.add("Where", trivial, graph.integer(1), right)
    differs = graph.negate(graph.add("Equal", graph.add("Div", product, divisor), left))
    negated_least = graph.add("And", minus_one, graph.add("Equal", left, graph.integer(MIN_INT64)))
    return graph.any_of(graph.add("And", graph.negate(trivial), differs), negated_least)


def _sum_overflow(graph: GraphBuilder, call: Call, result: str) -> Mask:
    """Where the sign of the result is that of no operand."""
    left, right = (each.tensor for each in call.arguments)
    changed = graph.add("BitwiseXor", left, result)
    other = graph.add("BitwiseXor", *((left, right) if call.name == "-" else (right, result)))
    return graph.add("Less", graph.add("BitwiseAnd", changed, other), graph.integer(0))


def negate_number(compilation: Compilation, call: Call) -> Value:
    """The number with the other sign; the least whole number of a type has none."""
    graph, value = compilation.graph, call.first
    if call.type.kind.is_floating:
        return call.result(graph.add("Neg", value.tensor))
    if not call.type.is_integer and call.type.name != "DECIMAL":
        raise ExpressionRefused(f"the negative of {value.type} has no equal in ONNX")
    low, high = value.bounds
    least = equals_any(graph, value.tensor, MIN_INT64) if low == MIN_INT64 else None
    error = graph.add_error(call.error, least, call.null)
    result = Value(call.type, graph.add("Neg", value.tensor), call.null, error)
    return check_range(graph, result, call.type, -high, min(-low, MAX_INT64))


def subtract_or_negate(compilation: Compilation, call: Call) -> Value:
    """`-` of one operand or of two."""
    return (negate_number if len(call.arguments) == 1 else compute)(compilation, call)


def absolute_value(compilation: Compilation, call: Call) -> Value:
    """The magnitude; that of the least whole number of a type is an error."""
    graph, value = compilation.graph, call.first
    if call.type.kind.is_floating:
        return call.result(graph.add("Abs", value.tensor))
    least, greatest = call.type.range
    low, high = value.bounds
    overflow = graph.add("Equal", value.tensor, graph.integer(least)) if -low > greatest else None
    error = graph.add_error(call.error, overflow, call.null)
    largest = min(max(abs(low), abs(high)), greatest)
    return Value(call.type, graph.add("Abs", value.tensor), call.null, error, low=0, high=largest)


def sign(compilation: Compilation, call: Call) -> Value:
    """Whether a number is negative, zero or positive: -1, 0 or 1; 0 for NaN."""
    graph, value = compilation.graph, call.first
    if value.kind is Kind.INT64:
        return call.result(sign_of(graph, value.tensor), -1, 1)
    zero = graph.constant(0, value.kind)
    signs = graph.add("Where", graph.add("IsNaN", value.tensor), zero, graph.add("Sign", value.tensor))
    return call.result(graph.cast(signs, Kind.INT64), -1, 1)


def combine_bits(compilation: Compilation, call: Call) -> Value:
    """`&`, `|` and `xor` of whole numbers."""
    if not call.type.is_integer:
        raise ExpressionRefused(f"'{call.name}' of {call.type} has no equal in ONNX")
    operands = (each.tensor for each in call.arguments)
    return call.result(compilation.graph.add(BITS[call.name], *operands), *call.type.range)


FUNCTIONS = {
    "+": compute,
    "-": subtract_or_negate,
    "*": compute,
    "abs": absolute_value,
    "@": absolute_value,
    "sign": sign,
    **dict.fromkeys(BITS, combine_bits),
}

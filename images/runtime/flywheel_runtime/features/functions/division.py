"""Quotients and remainders as DuckDB has them: only // and % of zero raise an error, and % of reals is C's fmod."""

from dataclasses import replace

from flywheel_runtime.features.errors import ExpressionRefused
from flywheel_runtime.features.graph import GraphBuilder
from flywheel_runtime.features.sql_types import MAX_INT64, SIGNED_BITS, Kind
from flywheel_runtime.features.values import Call, Compilation, Value
from flywheel_runtime.features.whole_numbers import check_range, equals_any

QUOTIENTS = frozenset({"//", "divide"})
MAX_EXACT_FP64 = 2**53


def divide(compilation: Compilation, call: Call) -> Value:
    """IEEE 754 division: x / 0 is infinite, 0 / 0 is NaN."""
    if not call.type.kind.is_floating or not all(each.kind.is_floating for each in call.arguments):
        raise ExpressionRefused(f"'/' with the result {call.type} has no equal in ONNX; cast an operand to DOUBLE")
    return call.result(compilation.graph.add("Div", *(each.tensor for each in call.arguments)))


def divide_with_rest(compilation: Compilation, call: Call) -> Value:
    """`//` and `%` of reals or whole numbers."""
    graph, (dividend, divisor) = compilation.graph, call.arguments
    if call.type.kind.is_floating:
        if call.name not in QUOTIENTS:
            return call.result(graph.add("Mod", dividend.tensor, divisor.tensor, fmod=1))
        # DuckDB's // of reals rounds nothing, and raises at 0, unlike /.
        zero = graph.add("Equal", divisor.tensor, graph.constant(0, divisor.kind))
        error = graph.add_error(call.error, zero, call.null)
        return replace(call.result(graph.add("Div", dividend.tensor, divisor.tensor)), error=error)
    if call.type.kind is Kind.UINT64:
        return _unsigned_remainder(graph, call)
    if call.type.kind is not Kind.INT64 or (call.type.name == "DECIMAL" and call.name in QUOTIENTS):
        raise ExpressionRefused(f"'{call.name}' of {call.type} has no equal in ONNX; cast an operand to DOUBLE")
    return _divide_integers(graph, call)


def _unsigned_remainder(graph: GraphBuilder, call: Call) -> Value:
    """`%` of an unsigned number by a positive literal, as of hash()."""
    dividend, divisor = call.arguments
    if call.name in QUOTIENTS or not divisor.literal or divisor.literal > MAX_INT64:
        raise ExpressionRefused(f"'{call.name}' of UBIGINT has an equal in ONNX for '%' by a positive literal alone")
    return call.result(graph.add("Mod", dividend.tensor, divisor.tensor), 0, divisor.literal - 1)


def _divide_integers(graph: GraphBuilder, call: Call) -> Value:
    """Quotient and remainder toward zero. The operator of ONNX sees operands within its defined range only."""
    dividend, divisor = call.arguments
    is_quotient = call.name in QUOTIENTS
    tensor, found = divisor.tensor, None
    if divisor.literal is None or divisor.literal in (0, -1):
        found = equals_any(graph, divisor.tensor, 0)
        tensor = graph.add("Where", found, graph.integer(1), divisor.tensor)
        if call.type.name in SIGNED_BITS and dividend.bounds[0] == call.type.range[0]:
            # The quotient by -1 overflows, and DuckDB refuses the remainder, too.
            least = equals_any(graph, dividend.tensor, dividend.bounds[0])
            end = graph.all_of(equals_any(graph, divisor.tensor, -1), least)
            tensor = graph.add("Where", end, graph.integer(1), tensor)
            found = graph.add("Or", found, end)
    error = graph.add_error(call.error, found, call.null)
    if is_quotient:
        quotient = replace(call.result(graph.add("Div", dividend.tensor, tensor)), error=error)
        shrinks = divisor.literal is not None and divisor.literal > 0
        return check_range(graph, quotient, call.type, *(dividend.bounds if shrinks else (None, None)))
    largest = max(abs(bound) for bound in divisor.bounds)
    return Value(
        call.type,
        _remainder(graph, dividend, divisor, tensor),
        call.null,
        error,
        low=max(-largest, call.type.range[0]),
        high=min(largest, call.type.range[1]),
    )


def _remainder(graph: GraphBuilder, dividend: Value, divisor: Value, tensor: str) -> str:
    """C's remainder. Mod(fmod=1) of onnxruntime 1.31 computes in doubles, so that it is for numbers of 53 bits."""
    bounds = (*dividend.bounds, *divisor.bounds)
    if all(abs(bound) < MAX_EXACT_FP64 for bound in bounds):
        return graph.add("Mod", dividend.tensor, tensor, fmod=1)
    quotient = graph.add("Div", dividend.tensor, tensor)
    return graph.add("Sub", dividend.tensor, graph.add("Mul", quotient, tensor))


FUNCTIONS = {"/": divide, **dict.fromkeys((*QUOTIENTS, "%", "mod"), divide_with_rest)}

"""CASE, COALESCE, TRY and what asks for NULL; an error counts in the branch that is taken alone."""

from collections.abc import Sequence
from dataclasses import replace

from flywheel_runtime.features.errors import ExpressionRefused
from flywheel_runtime.features.functions.comparisons import is_among, is_true
from flywheel_runtime.features.graph import GraphBuilder
from flywheel_runtime.features.sql_types import BOOLEAN
from flywheel_runtime.features.values import Value, select_value


def choose_case(graph: GraphBuilder, branches: Sequence[tuple[Value, Value]], otherwise: Value) -> Value:
    """CASE of pairs (condition, value): the value of the first condition that is true; NULL is not."""
    result = otherwise
    for condition, value in reversed(branches):
        result = select_value(graph, is_true(graph, condition), value, result)
        result = replace(result, error=graph.any_of(condition.error, result.error))
    return result


def apply_operator(graph: GraphBuilder, kind: str, arguments: Sequence[Value]) -> Value:
    """One of the operators of a bound plan, such as OPERATOR_COALESCE."""
    first = arguments[0]
    match kind:
        case "OPERATOR_NOT":
            return Value(BOOLEAN, graph.negate(first.tensor), first.null, first.error)
        case "OPERATOR_IS_NULL":
            return Value(BOOLEAN, graph.mask_tensor(first.null), None, first.error)
        case "OPERATOR_IS_NOT_NULL":
            return Value(BOOLEAN, graph.negate(graph.mask_tensor(first.null)), None, first.error)
        case "OPERATOR_TRY":
            return replace(
                first,
                null=graph.any_of(first.null, first.error),
                error=None,
                null_is_nan=False,
                null_is_false=False,
                domain=None,
            )
        case "OPERATOR_COALESCE":
            return _coalesce(graph, arguments)
        case "COMPARE_IN":
            return is_among(graph, first, arguments[1:])
        case "COMPARE_NOT_IN":
            found = is_among(graph, first, arguments[1:])
            return replace(found, tensor=graph.negate(found.tensor), null_is_false=False)
        case _:
            raise ExpressionRefused(f"the operator {kind} has no equal in ONNX")


def _coalesce(graph: GraphBuilder, arguments: Sequence[Value]) -> Value:
    """The first argument that is not NULL; an argument behind it is not computed."""
    result = arguments[-1]
    for each in reversed(arguments[:-1]):
        if each.null is None:
            result = each
            continue
        later = graph.all_of(each.null, result.error) if result.error else None
        chosen = select_value(graph, each.null, result, replace(each, null=None))
        result = replace(chosen, error=graph.any_of(each.error, later))
    return result

"""Comparisons: NaN equals NaN and is greater than every number; texts are equal or not, and have no order in ONNX."""

from collections.abc import Sequence
from dataclasses import replace

from flywheel_runtime.features.errors import ExpressionRefused
from flywheel_runtime.features.graph import ML, GraphBuilder, Mask
from flywheel_runtime.features.sql_types import BIGINT, BOOLEAN, MAX_INT64, Kind
from flywheel_runtime.features.values import Call, Compilation, Value, select_value

EQUALITY = frozenset({"COMPARE_EQUAL", "COMPARE_NOTEQUAL", "COMPARE_DISTINCT_FROM", "COMPARE_NOT_DISTINCT_FROM"})
# Each with the node that computes it where no operand is NaN.
ORDERS = {
    "COMPARE_LESSTHAN": "Less",
    "COMPARE_GREATERTHAN": "Greater",
    "COMPARE_LESSTHANOREQUALTO": "LessOrEqual",
    "COMPARE_GREATERTHANOREQUALTO": "GreaterOrEqual",
}


def compare(graph: GraphBuilder, kind: str, left: Value, right: Value) -> Value:
    """One of the comparisons of a bound plan, such as COMPARE_LESSTHAN."""
    if kind not in EQUALITY | ORDERS.keys():
        raise ExpressionRefused(f"the comparison {kind} has no equal in ONNX")
    left, right = _comparable(graph, left, kind), _comparable(graph, right, kind)
    error = graph.any_of(left.error, right.error)
    if "DISTINCT" in kind:
        nulls = [graph.mask_tensor(each.null) for each in (left, right)]
        present = graph.all_of(*(graph.negate(null) for null in nulls), _equal(graph, left, right))
        same = graph.add("Or", graph.all_of(*nulls), present)
        return Value(BOOLEAN, same if "NOT" in kind else graph.negate(same), None, error)
    # A node of a NaN is false.
    is_plain = kind != "COMPARE_NOTEQUAL" and not left.can_be_nan and not right.can_be_nan
    return Value(
        BOOLEAN,
        _compare_tensors(graph, kind, left, right),
        graph.any_of(left.null, right.null),
        error,
        null_is_false=is_plain and left.shows_null and right.shows_null,
    )


def _compare_tensors(graph: GraphBuilder, kind: str, left: Value, right: Value) -> str:
    if kind in ORDERS and not left.can_be_nan and not right.can_be_nan:
        return graph.add(ORDERS[kind], left.tensor, right.tensor)
    match kind:
        case "COMPARE_EQUAL":
            return _equal(graph, left, right)
        case "COMPARE_NOTEQUAL":
            return graph.negate(_equal(graph, left, right))
        case "COMPARE_LESSTHAN":
            return is_less(graph, left, right)
        case "COMPARE_GREATERTHAN":
            return is_less(graph, right, left)
        case "COMPARE_LESSTHANOREQUALTO":
            return graph.negate(is_less(graph, right, left))
        case _:
            return graph.negate(is_less(graph, left, right))


def _comparable(graph: GraphBuilder, value: Value, kind: str) -> Value:
    """The value as a type for which onnxruntime has the comparison."""
    if value.kind is Kind.STRING and kind in ORDERS:
        raise ExpressionRefused("ONNX has no order of texts; compare them with = or IN, or compare their length()")
    if value.kind is Kind.UINT64:
        return replace(value, type=BIGINT, tensor=unsigned_as_int64(graph, value))
    if value.kind is Kind.BOOL and kind in ORDERS:
        return replace(value, type=BIGINT, tensor=graph.cast(value.tensor, Kind.INT64))
    return value


def unsigned_as_int64(graph: GraphBuilder, value: Value) -> str:
    """A UBIGINT that is known to have 63 bits, as INT64."""
    if value.high is None or value.high > MAX_INT64:
        raise ExpressionRefused("a UBIGINT of 64 bits has no equal in ONNX; use hash(...) % n")
    return graph.cast(value.tensor, Kind.INT64)


def _nan_mask(graph: GraphBuilder, value: Value) -> Mask:
    return graph.add("IsNaN", value.tensor) if value.can_be_nan else None


def is_less(graph: GraphBuilder, left: Value, right: Value) -> str:
    """Whether left < right, NaN being greater than every number."""
    less, right_nan = graph.add("Less", left.tensor, right.tensor), _nan_mask(graph, right)
    if right_nan is None:
        return less
    left_nan = _nan_mask(graph, left)
    return graph.add("Or", less, graph.all_of(right_nan, graph.negate(left_nan)) if left_nan else right_nan)


def _equal(graph: GraphBuilder, left: Value, right: Value) -> str:
    equal = graph.add("Equal", left.tensor, right.tensor)
    left_nan, right_nan = _nan_mask(graph, left), _nan_mask(graph, right)
    return graph.add("Or", equal, graph.all_of(left_nan, right_nan)) if left_nan and right_nan else equal


def is_among(graph: GraphBuilder, value: Value, candidates: Sequence[Value]) -> Value:
    """IN. Literal texts are one LabelEncoder."""
    if value.kind is Kind.STRING and all(each.literal is not None for each in candidates):
        keys = sorted({each.literal for each in candidates})
        found = graph.add(
            "LabelEncoder",
            value.tensor,
            domain=ML,
            keys_strings=keys,
            values_int64s=[1] * len(keys),
            default_int64=0,
        )
        return Value(BOOLEAN, graph.cast(found, Kind.BOOL), value.null, value.error)
    result = compare(graph, "COMPARE_EQUAL", value, candidates[0])
    for each in candidates[1:]:
        result = either(graph, result, compare(graph, "COMPARE_EQUAL", value, each))
    return result


def both(graph: GraphBuilder, left: Value, right: Value) -> Value:
    """AND in three values: false AND NULL is false."""
    return _combine(graph, "And", left, right)


def either(graph: GraphBuilder, left: Value, right: Value) -> Value:
    """OR in three values: true OR NULL is true."""
    return _combine(graph, "Or", left, right)


def both_in_turn(graph: GraphBuilder, left: Value, right: Value) -> Value:
    """AND as a condition of CASE: the right operand is computed where the left one is true."""
    reached = is_true(graph, left)
    return replace(both(graph, left, right), error=_error_in_turn(graph, left, right, reached))


def either_in_turn(graph: GraphBuilder, left: Value, right: Value) -> Value:
    """OR as a condition of CASE: the right operand is computed where the left one is not true."""
    reached = graph.negate(is_true(graph, left))
    return replace(either(graph, left, right), error=_error_in_turn(graph, left, right, reached))


def is_true(graph: GraphBuilder, value: Value) -> str:
    """Whether a Boolean is true; NULL is not."""
    if value.null is None or value.null_is_false:
        return value.tensor
    return graph.all_of(value.tensor, graph.negate(value.null))


def _error_in_turn(graph: GraphBuilder, left: Value, right: Value, reached: str) -> Mask:
    return graph.any_of(left.error, graph.all_of(right.error, reached) if right.error else None)


def _combine(graph: GraphBuilder, node: str, left: Value, right: Value) -> Value:
    """NULL where one operand is, unless the other alone decides."""
    nulls = []
    if left.null == right.null:  # none decides alone
        nulls.append(left.null)
    for null, other in ((left.null, right), (right.null, left)):
        if null is not None and null != other.null:
            undecided = other.tensor if node == "And" else graph.negate(other.tensor)
            nulls.append(graph.all_of(null, graph.add("Or", undecided, other.null) if other.null else undecided))
    tensor = graph.add(node, left.tensor, right.tensor)
    null_is_false = all(each.null is None or each.null_is_false for each in (left, right))
    error = graph.any_of(left.error, right.error)
    return Value(BOOLEAN, tensor, graph.any_of(*nulls), error, null_is_false=null_is_false)


def choose_extreme(compilation: Compilation, call: Call) -> Value:
    """`greatest` and `least`, which skip NULL."""
    graph, result = compilation.graph, call.first
    if call.type.kind not in (Kind.FP64, Kind.FP32, Kind.INT64):
        raise ExpressionRefused(f"{call.name}() of {call.type} has no equal in ONNX")
    for each in call.arguments[1:]:
        better = is_less(graph, result, each) if call.name == "greatest" else is_less(graph, each, result)
        if each.null:
            better = graph.all_of(better, graph.negate(each.null))
        if result.null:
            better = graph.add("Or", better, result.null)
        null = graph.all_of(result.null, each.null) if result.null and each.null else None
        error = graph.any_of(result.error, each.error)
        result = replace(select_value(graph, better, each, result), null=null, error=error)
    return result


FUNCTIONS = {"greatest": choose_extreme, "least": choose_extreme}

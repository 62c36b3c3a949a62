"""The inputs of the graph: how a column arrives, and where its value is missing."""

from enum import Enum

from flywheel_runtime.features.graph import GraphBuilder
from flywheel_runtime.features.sql_types import MAX_DATE, Kind, SqlType
from flywheel_runtime.features.values import Value

MAX_EXACT_FP64 = 2**53
MAX_EXACT_DECIMAL = 2**50  # scaled: division and product by a power of ten lose less than half
MASK_SUFFIX = "?"


class InputEncoding(Enum):
    """How a missing value arrives.

    REQUESTS, as servers send rows: every number as FP64, NaN being NULL, and "" in texts. What is no value of the column's type
    is missing, too. NATIVE, for tests: each column in its own element type, and a BOOL input `name?` that is true where it is NULL.
    """

    REQUESTS = "requests"
    NATIVE = "native"


def add_column(graph: GraphBuilder, name: str, column_type: SqlType, encoding: InputEncoding) -> Value:
    """Declare a column as an input of the graph."""
    kind = column_type.kind
    if encoding is InputEncoding.NATIVE:
        return Value(column_type, graph.add_input(name, kind), graph.add_input(name + MASK_SUFFIX, Kind.BOOL))
    if kind is Kind.STRING:
        text = graph.add_input(name, kind)
        return Value(column_type, text, graph.add("Equal", text, graph.constant("", kind)))
    number = graph.add_input(name, Kind.FP64)
    if kind.is_floating:
        return _add_real(graph, number, column_type)
    low, high = request_range(column_type)
    power = 10.0**column_type.scale
    if low == -high:
        within = graph.add("LessOrEqual", graph.add("Abs", number), graph.constant(high / power, Kind.FP64))
    else:
        within = graph.all_of(
            graph.add("GreaterOrEqual", number, graph.constant(low / power, Kind.FP64)),
            graph.add("LessOrEqual", number, graph.constant(high / power, Kind.FP64)),
        )
    # A cast of NaN and of 1e300 to a whole number is undefined.
    defined = graph.add("Where", within, number, graph.constant(0.0, Kind.FP64))
    if column_type.scale:
        defined = graph.add("Round", graph.add("Mul", defined, graph.constant(power, Kind.FP64)))
    elif kind is Kind.INT64:
        defined = graph.add("Round", defined)
    return Value(column_type, graph.cast(defined, kind), graph.negate(within), low=low, high=high)


def _add_real(graph: GraphBuilder, number: str, column_type: SqlType) -> Value:
    """A DOUBLE, or a FLOAT, whose value is rounded to FP32."""
    if column_type.kind is Kind.FP32:
        number = graph.cast(number, Kind.FP32)
    finite = graph.add("Where", graph.add("IsInf", number), graph.constant(float("nan"), column_type.kind), number)
    return Value(column_type, finite, graph.add("IsNaN", finite), null_is_nan=True, nan_is_null=True)


def request_range(column_type: SqlType) -> tuple[int, int]:
    """The whole numbers that a request can bring exactly, and that are values of the type; a DATE is finite."""
    if column_type.kind is Kind.BOOL:
        return 0, 1
    low, high = column_type.range
    largest = MAX_DATE - 1 if column_type.name == "DATE" else MAX_EXACT_DECIMAL if column_type.scale else MAX_EXACT_FP64
    return max(low, -largest), min(high, largest)

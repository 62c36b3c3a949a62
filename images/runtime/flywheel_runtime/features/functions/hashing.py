"""`hash` of whole numbers, as DuckDB has it: a finaliser of murmur."""

from flywheel_runtime.features.errors import ExpressionRefused
from flywheel_runtime.features.graph import GraphBuilder
from flywheel_runtime.features.sql_types import SIGNED_BITS, Kind
from flywheel_runtime.features.values import Call, Compilation, Value

FACTOR = 0xD6E8FEB86659FD93
SHIFT = 32
LOW_32_BITS = 0xFFFFFFFF


def hash_integer(compilation: Compilation, call: Call) -> Value:
    """`hash(x)` of one whole number; NULL has a hash, too."""
    graph, value = compilation.graph, call.first
    if len(call.arguments) > 1 or not value.type.is_integer:
        names = ", ".join(str(each.type) for each in call.arguments)
        raise ExpressionRefused(f"hash() of {names} has no equal in ONNX, which sees no bytes; hash one whole number")
    bits = graph.cast(value.tensor, Kind.UINT64)
    if SIGNED_BITS.get(value.type.name, 64) < 64:
        bits = graph.add("BitwiseAnd", bits, graph.constant(LOW_32_BITS, Kind.UINT64))
    for _ in range(2):
        bits = _multiply(graph, _fold(graph, bits))
    bits = _fold(graph, bits)
    if value.null:
        row = compilation.database.execute("SELECT hash(NULL::BIGINT)").fetchone()
        bits = graph.select(value.null, graph.constant(row[0], Kind.UINT64), bits, Kind.UINT64)
    return Value(call.type, bits, None, call.error)


def _fold(graph: GraphBuilder, bits: str) -> str:
    shifted = graph.add("BitShift", bits, graph.constant(SHIFT, Kind.UINT64), direction="RIGHT")
    return graph.add("BitwiseXor", bits, shifted)


def _multiply(graph: GraphBuilder, bits: str) -> str:
    """The product modulo 2**64, as signed numbers: onnxruntime multiplies those with well-defined wrapping."""
    product = graph.add("Mul", graph.cast(bits, Kind.INT64), graph.integer(FACTOR - 2**64))
    return graph.cast(product, Kind.UINT64)


FUNCTIONS = {"hash": hash_integer}

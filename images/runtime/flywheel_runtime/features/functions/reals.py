"""Functions of reals. Those in INEXACT have other last bits than DuckDB's, and with vector instructions others than alone."""

import math

from flywheel_runtime.features.errors import ExpressionRefused
from flywheel_runtime.features.sql_types import Kind
from flywheel_runtime.features.values import Call, Compilation, Value, constant_value

NODES = {"sqrt": "Sqrt", "exp": "Exp", "ln": "Log", "sin": "Sin", "cos": "Cos", "tanh": "Tanh"}
BASES = {"log2": 2.0, "log10": 10.0, "log": 10.0}
POWERS = ("pow", "power", "^", "**")
INEXACT = frozenset({"exp", "ln", "log", "log2", "log10", "sin", "cos", "tan", "tanh", "cbrt", *POWERS})


def apply_node(compilation: Compilation, call: Call) -> Value:
    """A function that is a node of ONNX."""
    _check_double(call)
    return call.result(compilation.graph.add(NODES[call.name], call.first.tensor))


def tangent(compilation: Compilation, call: Call) -> Value:
    """`tan(x)` as sine over cosine: onnxruntime has Tan in FP32 alone."""
    _check_double(call)
    graph, tensor = compilation.graph, call.first.tensor
    return call.result(graph.add("Div", graph.add("Sin", tensor), graph.add("Cos", tensor)))


def logarithm(compilation: Compilation, call: Call) -> Value:
    """`log(x)`, `log2(x)`, `log10(x)` and `log(base, x)`."""
    _check_double(call)
    graph = compilation.graph
    scale = graph.constant(math.log(BASES[call.name]), Kind.FP64)
    logarithms = [graph.add("Div", graph.add("Log", each.tensor), scale) for each in call.arguments]
    return call.result(logarithms[0] if len(logarithms) == 1 else graph.add("Div", logarithms[1], logarithms[0]))


def power(compilation: Compilation, call: Call) -> Value:
    """`pow(x, y)`."""
    _check_double(call)
    return call.result(compilation.graph.add("Pow", *(each.tensor for each in call.arguments)))


def cube_root(compilation: Compilation, call: Call) -> Value:
    """`cbrt(x)`, by a power of the magnitude and one step of Newton's method."""
    _check_double(call)
    graph, tensor = compilation.graph, call.first.tensor
    start = graph.add("Pow", graph.add("Abs", tensor), graph.constant(1 / 3, Kind.FP64))
    root = graph.add("Mul", graph.add("Sign", tensor), start)
    square = graph.add("Mul", root, root)
    excess = graph.add("Sub", root, graph.add("Div", tensor, square))
    better = graph.add("Sub", root, graph.add("Div", excess, graph.constant(3.0, Kind.FP64)))
    is_undefined = graph.add("Or", graph.add("IsNaN", better), graph.add("IsInf", better))
    return call.result(graph.add("Where", is_undefined, root, better))


def convert_angle(compilation: Compilation, call: Call) -> Value:
    """`radians(x)` and `degrees(x)`."""
    _check_double(call)
    factor = math.pi / 180 if call.name == "radians" else 180 / math.pi
    graph = compilation.graph
    return call.result(graph.add("Mul", call.first.tensor, graph.constant(factor, Kind.FP64)))


def pi(compilation: Compilation, call: Call) -> Value:
    """The number pi."""
    return constant_value(compilation.graph, math.pi, call.type)


def classify(compilation: Compilation, call: Call) -> Value:
    """`isnan`, `isinf` and `isfinite`."""
    if not call.first.kind.is_floating:
        raise ExpressionRefused(f"{call.name}() of {call.first.type} has no equal in ONNX; cast it to DOUBLE")
    graph, tensor = compilation.graph, call.first.tensor
    is_nan, is_infinite = graph.add("IsNaN", tensor), graph.add("IsInf", tensor)
    if call.name == "isfinite":
        return call.result(graph.negate(graph.add("Or", is_nan, is_infinite)))
    return call.result(is_nan if call.name == "isnan" else is_infinite)


def _check_double(call: Call) -> None:
    if call.type.kind is not Kind.FP64:
        raise ExpressionRefused(f"{call.name}() with the result {call.type} has no equal in ONNX; cast to DOUBLE")


FUNCTIONS = {
    **dict.fromkeys(NODES, apply_node),
    **dict.fromkeys(BASES, logarithm),
    **dict.fromkeys(POWERS, power),
    "tan": tangent,
    "cbrt": cube_root,
    "radians": convert_angle,
    "degrees": convert_angle,
    "pi": pi,
    **dict.fromkeys(("isnan", "isinf", "isfinite"), classify),
}

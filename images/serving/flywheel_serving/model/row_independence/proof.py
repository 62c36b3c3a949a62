"""Follows rows from a graph's inputs to its outputs."""

from collections.abc import Sequence
from typing import Any

from flywheel_serving.model.row_independence.rules import RULES, Outputs, broadcast, same_shape
from flywheel_serving.model.row_independence.shape_rules import CONSTANT, SHAPE_RULES, read_constant
from flywheel_serving.model.row_independence.values import ROW, UNKNOWN, Node, RowsMix, Shape, Value, text


def graph_row_mixing(model: Any) -> str:
    """Why rows may depend on one another, as the rest of a sentence; empty if they cannot. `model` is a onnx_proto.Model."""
    try:
        _follow_rows(model)
    except RowsMix as error:
        return str(error)
    return ""


def _follow_rows(model: Any) -> None:
    graph = model.graph
    if model.functions:
        raise RowsMix("the model defines operators of its own")
    values: dict[bytes, Value] = {b"": CONSTANT[0]}  # the name of an absent optional input
    for tensor in graph.initializer:
        _define(values, tensor.name, read_constant(tensor))
    for sparse in graph.sparse_initializer:
        _define(values, sparse.values.name, Value(tuple(sparse.dims)))
    for given in graph.input:
        if given.name not in values:  # else it is a constant, which no request changes
            _define(values, given.name, Value(_input_shape(given)))
    for message in graph.node:
        node = Node(message)
        outputs = _apply(node, [_value(values, name) for name in message.input])
        for name, value in zip(message.output, outputs, strict=False):
            _define(values, name, value)
    for given in graph.output:
        if _value(values, given.name).row_shape is None:
            raise RowsMix(f"output {text(given.name)[:60]!r} has no row for each input row")


def _define(values: dict[bytes, Value], name: bytes, value: Value) -> None:
    if name and name in values:
        raise RowsMix(f"value {text(name)[:60]!r} is defined twice")
    values.setdefault(name, value)


def _value(values: dict[bytes, Value], name: bytes) -> Value:
    if name not in values:  # a further output of an operator, or a name of an outer graph
        raise RowsMix(f"of value {text(name)[:60]!r} nothing is known")
    return values[name]


def _input_shape(given: Any) -> Shape:
    tensor = given.type.tensor_type
    lengths = [
        dimension.dim_value
        if dimension.HasField("dim_value") and not dimension.HasField("dim_param") and dimension.dim_value >= 0
        else UNKNOWN
        for dimension in tensor.shape.dim
    ]
    if not lengths or lengths[0] != UNKNOWN:
        raise RowsMix(f"input {text(given.name)[:60]!r} has no row axis")
    return (ROW, *lengths[1:])


def _apply(node: Node, inputs: Sequence[Value]) -> Outputs:
    rule = SHAPE_RULES.get(node.key)
    if rule is not None:
        return rule(node, inputs)
    if any(value.counts_rows for value in inputs):
        raise node.refuse("computes with the number of rows")
    rule = RULES.get(node.key)
    if any(value.has_rows for value in inputs):
        if rule is None:
            raise node.refuse("is not known to treat rows apart")
        return rule(node, inputs)
    shapes_are_known = inputs and all(value.shape is not None for value in inputs)
    return rule(node, inputs) if rule in (same_shape, broadcast) and shapes_are_known else CONSTANT * node.output_count

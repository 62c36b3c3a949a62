"""What operators on shapes do: they may also use the number of rows, as long as it only says how long the row axis is."""

from collections.abc import Sequence
from math import prod
from typing import Any

from flywheel_serving.model.row_independence.rules import Outputs, Rule, broadcast, concat_rows
from flywheel_serving.model.row_independence.values import (
    MAX_VECTOR_LENGTH,
    ROW,
    UNKNOWN,
    Inputs,
    Node,
    Shape,
    Value,
)

INT64 = 7  # of TensorProto.DataType
CONSTANT = (Value(None),)  # the same for all rows; nothing else is known


def read_constant(tensor: Any) -> Value:
    """The shape of a TensorProto, and its values if they are a few 64-bit integers."""
    shape = tuple(tensor.dims)
    return Value(shape, read_integers(tensor) if len(shape) <= 1 and prod(shape) <= MAX_VECTOR_LENGTH else None)


def read_integers(tensor: Any) -> Shape | None:
    """The values of a TensorProto of 64-bit integers; None for one of another type."""
    if tensor.data_type != INT64:
        return None
    if not tensor.HasField("raw_data"):
        return tuple(tensor.int64_data)
    raw = tensor.raw_data
    return tuple(int.from_bytes(raw[start : start + 8], "little", signed=True) for start in range(0, len(raw), 8))


def _constant(node: Node, _inputs: Inputs) -> Outputs:
    if node.attribute_names != {b"value"}:
        return CONSTANT
    return (read_constant(node.tensor(b"value")),)


def _identity(_node: Node, inputs: Inputs) -> Outputs:
    return (inputs[0],)


def _cast(node: Node, inputs: Inputs) -> Outputs:
    if node.integer(b"to", 0) == INT64:
        return (inputs[0],)
    if inputs[0].counts_rows:
        raise node.refuse("computes with the number of rows")
    return (Value(inputs[0].shape),)


def _shape(node: Node, inputs: Inputs) -> Outputs:
    shape = inputs[0].shape
    if shape is None:
        return CONSTANT
    if node.attribute_names:
        raise node.refuse("takes a part of a shape")
    return (Value((len(shape),), shape),)


def _gather(node: Node, inputs: Inputs) -> Outputs:
    data, indices = inputs
    axis = node.integer(b"axis", 0)
    if data.vector is not None and indices.vector is not None and indices.shape is not None and axis == 0:
        picked = indices.vector
        if all(-len(data.vector) <= index < len(data.vector) for index in picked):
            return (Value(indices.shape, tuple(data.vector[index] for index in picked)),)
    _check_no_row_count(node, inputs)
    if data.has_rows:
        shape = node.row_shape(data, 1)
        node.check_constant([indices])
        if indices.shape is None:
            raise node.refuse("picks by indices of unknown shape")
        axis = node.axis(axis, len(shape) + 1)
        return (Value((ROW, *shape[: axis - 1], *indices.shape, *shape[axis:])),)
    if not indices.has_rows:
        return CONSTANT
    if axis != 0 or data.shape is None:
        raise node.refuse("may combine rows")
    return (Value((ROW, *node.row_shape(indices), *data.shape[1:])),)


def _slice(node: Node, inputs: Inputs) -> Outputs:
    bounds = [value.vector for value in inputs]
    if len(inputs) in (3, 4) and all(each is not None and len(each) == 1 for each in bounds[1:]):
        vector, start, end, *along = (each or () for each in bounds)
        if vector and along in ([], [(0,)]):
            part = vector[start[0] : end[0]]
            return (Value((len(part),), part),)
    _check_no_row_count(node, inputs)
    if not inputs[0].has_rows:
        node.check_constant(inputs)
        return CONSTANT
    shape = node.row_shape(inputs[0], 1)
    node.check_constant(inputs[1:])
    axes = {node.axis(axis, len(shape) + 1) for axis in node.axes(inputs, 3)}
    return (Value(tuple(UNKNOWN if axis in axes else length for axis, length in enumerate((ROW, *shape)))),)


def _concat(node: Node, inputs: Inputs) -> Outputs:
    vectors = [value.vector for value in inputs if value.vector is not None and value.shape is not None]
    if len(vectors) == len(inputs) and node.integer(b"axis", 0) == 0:
        joined = tuple(length for vector in vectors for length in vector)
        return (Value((len(joined),), joined),)
    _check_no_row_count(node, inputs)
    return concat_rows(node, inputs) if any(value.has_rows for value in inputs) else CONSTANT


def _unsqueeze(node: Node, inputs: Inputs) -> Outputs:
    value = inputs[0]
    axes = node.axes(inputs)
    if value.shape == () and value.vector is not None and axes in ((0,), (-1,)):
        return (Value((1,), value.vector),)
    _check_no_row_count(node, inputs)
    if not value.has_rows:
        return CONSTANT
    shape = (ROW, *node.row_shape(value))
    rank = len(shape) + len(axes)
    added = {node.axis(axis, rank) for axis in axes}
    lengths = iter(shape)
    return (Value(tuple(1 if axis in added else next(lengths) for axis in range(rank))),)


def _squeeze(node: Node, inputs: Inputs) -> Outputs:
    value = inputs[0]
    if value.shape == (1,) and value.vector is not None:
        return (Value((), value.vector),)
    _check_no_row_count(node, inputs)
    if not value.has_rows:
        return CONSTANT
    shape = (ROW, *node.row_shape(value))
    removed = {node.axis(axis, len(shape)) for axis in node.axes(inputs)}
    return (Value(tuple(length for axis, length in enumerate(shape) if axis not in removed)),)


def _reshape(node: Node, inputs: Inputs) -> Outputs:
    """Rows stay rows if their number stays the first length, or follows from the size of a row."""
    value, target = inputs[0], inputs[1].vector if len(inputs) > 1 else node.integers(b"shape")
    node.check_constant(inputs[1:])
    if not value.has_rows:
        _check_no_row_count(node, inputs)
        return (Value(target),) if target and min(target) > 0 else CONSTANT
    if not target or min(target) < -1 or node.integer(b"allowzero", 0):
        raise node.refuse("has a target that is not known")
    shape = value.shape or ()
    rest = [shape[axis] if length == 0 and axis < len(shape) else length for axis, length in enumerate(target)][1:]
    keeps_first = shape[0] == ROW and target[0] in (0, ROW)
    row_size = prod(length for length in shape if length != ROW)
    counts = (
        target[0] in (-1, ROW) and UNKNOWN not in shape and not {-1, UNKNOWN} & set(rest) and prod(rest) == row_size
    )
    is_in_order = shape[0] == ROW or row_size == 1
    if ROW in rest or not (keeps_first or (counts and is_in_order)):
        raise node.refuse("may combine rows")
    return (Value((ROW, *(UNKNOWN if length == -1 else length for length in rest))),)


def _expand(node: Node, inputs: Inputs) -> Outputs:
    _check_no_row_count(node, inputs[:1])
    target = _lengths(node, inputs[1])
    return broadcast(node, [inputs[0], Value(target)])


def _constant_of_shape(node: Node, inputs: Inputs) -> Outputs:
    return (Value(_lengths(node, inputs[0])),)


def _lengths(node: Node, value: Value) -> Shape:
    if value.has_rows or value.vector is None or any(length < 0 for length in value.vector):
        raise node.refuse("makes a shape that is not known")
    return value.vector


def _check_no_row_count(node: Node, inputs: Sequence[Value]) -> None:
    if any(value.counts_rows for value in inputs):
        raise node.refuse("computes with the number of rows")


SHAPE_RULES: dict[str, Rule] = {
    "Cast": _cast,
    "Concat": _concat,
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Expand": _expand,
    "Gather": _gather,
    "Identity": _identity,
    "Reshape": _reshape,
    "Shape": _shape,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
}

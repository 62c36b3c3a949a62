"""Nodes and values of a graph, as the rules see them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

# No length of 64 bits equals these.
ROW = 2**63  # in a shape: the row axis; in a vector of lengths: the number of rows
UNKNOWN = 2**63 + 1  # a length that is not known
MAX_VECTOR_LENGTH = 64  # of constants whose integers are followed, since they may be shapes and axes
INT, TENSOR, INTS, STRINGS = 2, 4, 7, 8  # of AttributeProto.AttributeType
Shape = tuple[int, ...]


class RowsMix(Exception):
    """A node may combine rows, or nothing is known of it; the message says why."""


@dataclass(frozen=True)
class Value:
    """One value of the graph: without ROW in its shape it is the same for all rows. `vector`: its integers, where they are known.

    A `vector` with ROW, which is a shape, depends on the number of rows; only rules about shapes may use it.
    """

    shape: Shape | None
    vector: Shape | None = None

    @property
    def has_rows(self) -> bool:
        return self.shape is not None and ROW in self.shape

    @property
    def counts_rows(self) -> bool:
        return self.vector is not None and ROW in self.vector

    @property
    def row_shape(self) -> Shape | None:
        """The shape of one row, None if the rows are not along the first axis alone."""
        return self.shape[1:] if self.shape and self.shape[0] == ROW and ROW not in self.shape[1:] else None


Inputs = Sequence[Value]


class Node:
    """One node. Its attributes are read by type, since onnxruntime ignores one of another type than it expects."""

    def __init__(self, message: Any) -> None:
        self.operator = text(message.op_type)
        domain = text(message.domain)
        self.key = self.operator if domain in ("", "ai.onnx") else f"{domain}.{self.operator}"
        self.output_count = len(message.output)
        self._attributes = {each.name: each for each in message.attribute}
        if len(self._attributes) != len(message.attribute):
            raise self.refuse("has an attribute twice")
        if any(each.HasField("g") or each.graphs for each in message.attribute):
            raise self.refuse("has a graph of its own")  # which may use any value around it

    @property
    def attribute_names(self) -> frozenset[bytes]:
        return frozenset(self._attributes)

    def integer(self, name: bytes, default: int) -> int:
        found = self._attribute(name, INT)
        return default if found is None else int(found.i)

    def integers(self, name: bytes) -> Shape | None:
        found = self._attribute(name, INTS)
        return None if found is None else tuple(found.ints)

    def string_count(self, name: bytes) -> int:
        found = self._attribute(name, STRINGS)
        return 0 if found is None else len(found.strings)

    def tensor(self, name: bytes) -> Any:
        found = self._attribute(name, TENSOR)
        return None if found is None else found.t

    def _attribute(self, name: bytes, kind: int) -> Any:
        found = self._attributes.get(name)
        if found is not None and found.type != kind:
            raise self.refuse(f"has an attribute {text(name)!r} of another type than it expects")
        return found

    def refuse(self, finding: str) -> RowsMix:
        """The error with that finding."""
        return RowsMix(f"operator {self.operator[:60]} {finding}")

    def row_shape(self, value: Value, min_axes: int = 0) -> Shape:
        """The shape of one row. Raises RowsMix if the rows are not along the first axis, or a row has fewer axes."""
        shape = value.row_shape
        if shape is None or len(shape) < min_axes:
            raise self.refuse("has no rows along the first axis of its input")
        return shape

    def check_constant(self, inputs: Iterable[Value]) -> None:
        """Raises RowsMix if one of the inputs depends on rows."""
        if any(value.has_rows for value in inputs):
            raise self.refuse("combines rows with rows")

    def axis(self, axis: int, rank: int) -> int:
        """The axis from the front. Raises RowsMix for the row axis."""
        axis = axis + rank if axis < 0 else axis
        if not 0 < axis < rank:
            raise self.refuse("works along the rows")
        return axis

    def axes(self, inputs: Inputs, position: int = 1) -> Shape:
        """The attribute `axes`, or the constant input at `position`."""
        given = self.integers(b"axes")
        if given is None and len(inputs) > position:
            given = inputs[position].vector
        if not given or ROW in given or UNKNOWN in given:
            raise self.refuse("does not say along which axes it works")
        return given


def text(content: bytes) -> str:
    """Readable text of a name in the file."""
    return content.decode("utf-8", "replace")

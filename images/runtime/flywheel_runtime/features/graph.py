"""A graph of ONNX nodes that has each node once."""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from flywheel_runtime.features.sql_types import Kind

Mask = str | None  # the name of a BOOL tensor; None is false in every row
CONTRIB = "com.microsoft"
ML = "ai.onnx.ml"


class GraphBuilder:
    """Adds nodes and constants; both are named by a number, and equal ones are one.

    Tensors are (rows, 1), constants (1, 1), so that ONNX broadcasts them. `inputs` maps names to kinds.
    """

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.initializers: dict[str, Any] = {}
        self.inputs: dict[str, Kind] = {}
        self._names: dict[Hashable, str] = {}
        self._by_row: set[str] = set()

    def add_input(self, name: str, kind: Kind) -> str:
        """Declare a column of one value a row."""
        self.inputs[name] = kind
        self._by_row.add(name)
        return name

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """The output of a node of this operator."""
        key = (operator, inputs, repr(sorted(attributes.items())))
        if key not in self._names:
            output = f"#{len(self._names)}"
            self.nodes.append(helper.make_node(operator, list(inputs), [output], domain=domain, **attributes))
            self._names[key] = output
            if not self._by_row.isdisjoint(inputs):
                self._by_row.add(output)
        return self._names[key]

    def is_constant(self, tensor: str) -> bool:
        """Whether a tensor depends on no input, so that it may have one row."""
        return tensor not in self._by_row

    def constant(self, value: Any, kind: Kind) -> str:
        """A constant (1, 1) of a scalar, or an array as it is."""
        array = np.array(value, dtype=kind.dtype)
        return self.initializer(array.reshape(1, 1) if array.ndim == 0 else array)

    def scalar(self, value: int) -> str:
        """A whole number without dimensions."""
        return self.initializer(np.array(value, np.int64))

    def vector(self, values: Sequence[int]) -> str:
        """Whole numbers in one dimension, as of a shape or of axes."""
        return self.initializer(np.array(values, np.int64))

    def initializer(self, array: NDArray[Any]) -> str:
        """An array that the graph contains."""
        content = repr(array.tolist()) if array.dtype == object else array.tobytes()
        key = ("initializer", str(array.dtype), array.shape, content)
        if key not in self._names:
            name = f"#{len(self._names)}"
            self.initializers[name] = numpy_helper.from_array(array, name)
            self._names[key] = name
        return self._names[key]

    def cast(self, tensor: str, kind: Kind) -> str:
        """The tensor in another element type."""
        return self.add("Cast", tensor, to=kind.element_type)

    def integer(self, value: int) -> str:
        """A whole number as a constant (1, 1)."""
        return self.constant(value, Kind.INT64)

    def concatenate(self, tensors: Sequence[str]) -> str:
        """Columns side by side."""
        return self.add("Concat", *tensors, axis=1) if len(tensors) > 1 else tensors[0]

    def gather_columns(self, tensor: str, places: Sequence[int]) -> str:
        """These columns of a matrix."""
        return self.add("Gather", tensor, self.vector(places), axis=1)

    # Masks

    def any_of(self, *masks: Mask) -> Mask:
        """True where one of the masks is."""
        result: Mask = None
        for mask in dict.fromkeys(mask for mask in masks if mask):
            result = mask if result is None else self.add("Or", result, mask)
        return result

    def all_of(self, *masks: str) -> str:
        """True where all masks are."""
        result = masks[0]
        for mask in masks[1:]:
            result = self.add("And", result, mask)
        return result

    def negate(self, mask: str) -> str:
        """True where the mask is false."""
        return self.add("Not", mask)

    def mask_tensor(self, mask: Mask) -> str:
        """The mask as a tensor, also if it is false in every row."""
        return mask or self.constant(False, Kind.BOOL)

    def add_error(self, error: Mask, found: Mask, null: Mask) -> Mask:
        """`error`, or `found` in rows whose operands are not NULL: a function is not called on a NULL, so it cannot fail there."""
        return self.any_of(error, self.add("And", found, self.negate(null)) if found and null else found)

    def select_mask(self, condition: str, then: Mask, otherwise: Mask) -> Mask:
        """`then` where the condition is true, `otherwise` elsewhere."""
        if then == otherwise:
            return then
        always = self.constant(True, Kind.BOOL)
        if then == always:
            return self.any_of(condition, otherwise)
        if otherwise == always:
            return self.any_of(self.negate(condition), then)
        if then is None:
            return self.add("And", self.negate(condition), self.mask_tensor(otherwise))
        if otherwise is None:
            return self.add("And", condition, then)
        taken = self.add("And", condition, then)
        return self.add("Or", taken, self.add("And", self.negate(condition), otherwise))

    def select(self, condition: str, then: str, otherwise: str, kind: Kind) -> str:
        """`then` where the condition is true, `otherwise` elsewhere. onnxruntime's Where has neither BOOL nor UINT64."""
        if then == otherwise:
            return then
        if kind is Kind.BOOL:
            return self.mask_tensor(self.select_mask(condition, then, otherwise))
        if kind is Kind.UINT64:
            integers = (self.cast(each, Kind.INT64) for each in (then, otherwise))
            return self.cast(self.add("Where", condition, *integers), Kind.UINT64)
        return self.add("Where", condition, then, otherwise)

"""A model's inputs and outputs, and whether a request's tensors fit them."""

from dataclasses import asdict, dataclass, field
from functools import cached_property
from math import prod
from typing import Any, NoReturn

from flywheel_serving.errors import InvalidRequest, RequestTooLarge
from flywheel_serving.model.datatypes import DTYPES, Array, convert
from flywheel_serving.model.timestamps import TIMESTAMP, UNIT, to_numbers


@dataclass(frozen=True)
class TensorSpec:
    """One input or output. In `shape`, -1 is an axis of any length; with `any_rank`, `shape` is one of those that it may have.

    `content` is Timestamp where numbers are microseconds since 1970, else empty.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    any_rank: bool = False
    content: str = ""

    @property
    def is_timestamp(self) -> bool:
        """Whether text is accepted too, as RFC 3339."""
        return self.content == TIMESTAMP and self.datatype == "FP64"

    def metadata(self) -> dict[str, Any]:
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}

    def rest_metadata(self) -> dict[str, Any]:
        """The metadata, with what the numbers of a timestamp mean in `parameters`."""
        parameters = {"parameters": {"content": TIMESTAMP, "unit": UNIT}} if self.is_timestamp else {}
        return {**self.metadata(), **parameters}

    def document(self) -> dict[str, Any]:
        """The tensor as signature.json has it."""
        any_rank = {"anyRank": True} if self.any_rank else {}
        return {**self.metadata(), **any_rank, **({"content": self.content} if self.content else {})}


@dataclass(frozen=True)
class Signature:
    """Inputs and outputs of a model; `extra` holds the other fields of signature.json (task, target, classes, columns, leftOut)."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    extra: dict[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The content of signature.json."""
        inputs = [spec.document() for spec in self.inputs]
        outputs = [spec.document() for spec in self.outputs]
        return {"v": 1, **self.extra, "inputs": inputs, "outputs": outputs}

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """The classes in the order of the scores; empty if the model has none."""
        return tuple(str(name) for name in self.extra.get("classes") or ())

    @cached_property
    def ignored_names(self) -> frozenset[str]:
        """Columns of its training data that the model does not take, since they told no rows apart; requests may have them."""
        return frozenset(map(str, self.extra.get("leftOut") or ())) - self.input_names

    @cached_property
    def input_names(self) -> frozenset[str]:
        return frozenset(spec.name for spec in self.inputs)

    @cached_property
    def fixed_row_shape(self) -> bool:
        """Whether rows of all requests have one shape, so that any of them can share a call."""
        return all(-1 not in spec.shape[1:] and not spec.any_rank for spec in self.inputs)

    @cached_property
    def batched(self) -> bool:
        """Whether the first axis of every input is the row axis."""
        return all(spec.shape and spec.shape[0] == -1 for spec in self.inputs)

    def fit(self, tensors: dict[str, Array], max_rows: int) -> dict[str, Array]:
        """Every input of the model, in its datatype and shape.

        Shape [n] is accepted for [-1, 1], and the reverse. `ignored_names` may be there. Raises InvalidRequest or RequestTooLarge.
        """
        if tensors.keys() != self.input_names and tensors.keys() - self.ignored_names != self.input_names:
            self._refuse_names(tensors)
        fitted = {spec.name: _fit_one(spec, tensors[spec.name]) for spec in self.inputs}
        if self.batched:
            self._check_rows(fitted, max_rows)
        return fitted

    def _refuse_names(self, tensors: dict[str, Array]) -> NoReturn:
        wanted = self.input_names
        if missing := [spec.name for spec in self.inputs if spec.name not in tensors]:
            raise InvalidRequest(f"inputs: missing {_joined(missing)}; the model has {_joined(sorted(wanted))}")
        unknown = [name for name in tensors if name not in wanted | self.ignored_names]
        raise InvalidRequest(f"inputs: unknown {_joined(unknown)}; the model has {_joined(sorted(wanted))}")

    def _check_rows(self, fitted: dict[str, Array], max_rows: int) -> None:
        first = self.inputs[0].name
        rows = len(fitted[first])
        if rows <= max_rows and len(fitted) == 1:
            return
        if rows > max_rows:
            raise RequestTooLarge(
                f"input {first!r}: {rows} rows in one request, at most {max_rows} are accepted; send several requests"
            )
        for name, array in fitted.items():
            if len(array) != rows:
                raise InvalidRequest(f"input {name!r}: {len(array)} rows, but input {first!r} has {rows}")


def _joined(names: list[str], limit: int = 10) -> str:
    shown = ", ".join(repr(name[:100]) for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


def _fit_one(spec: TensorSpec, array: Array) -> Array:
    found = array.shape
    if found and spec.shape == (-1, *found[1:]) and array.size and array.dtype == DTYPES[spec.datatype]:
        return array  # most requests: rows of the model's own datatype
    if spec.any_rank:
        matches = array.ndim > 0
    else:
        if array.ndim == len(spec.shape) - 1 and spec.shape[-1] == 1:
            array = array.reshape(*array.shape, 1)
        elif array.ndim == len(spec.shape) + 1 and array.shape[-1] == 1:
            array = array.reshape(array.shape[:-1])
        matches = array.ndim == len(spec.shape) and all(
            want in (-1, have) for want, have in zip(spec.shape, array.shape, strict=True)
        )
    if not matches:
        raise InvalidRequest(f"input {spec.name!r}: wanted shape {list(spec.shape)}, found {list(found)}")
    if array.size == 0:
        raise InvalidRequest(f"input {spec.name!r}: shape {list(found)} holds no value; send at least one row")
    try:
        if spec.is_timestamp and array.dtype == object:
            return to_numbers(array)
        return convert(array, spec.datatype)
    except ValueError as error:
        raise InvalidRequest(f"input {spec.name!r}: wanted {spec.datatype}, {error}") from error


def column_names(spec: TensorSpec) -> list[str]:
    """One name, or `<name>_<number>` for each value of a row, as a BatchInference names them."""
    width = prod(spec.shape[1:])
    if is_single_column(spec) or width < 1 or -1 in spec.shape[1:]:
        return [spec.name]
    return [f"{spec.name}_{number}" for number in range(width)]


def is_single_column(spec: TensorSpec) -> bool:
    """Whether a row has one value of the input."""
    return spec.any_rank or all(axis == 1 for axis in spec.shape[1:])


def signature_differences(recorded: Signature, actual: Signature) -> list[str]:
    """One finding for each tensor on which signature.json and the model disagree."""
    found = []
    for side in ("inputs", "outputs"):
        documented = {spec.name: spec for spec in getattr(recorded, side)}
        present = {spec.name: spec for spec in getattr(actual, side)}
        for name in sorted(documented.keys() | present.keys()):
            left, right = documented.get(name), present.get(name)
            if left is None or right is None:
                where = "the model" if left is None else "signature.json"
                found.append(f"{side} {name!r} is only in {where}")
            elif left.datatype != right.datatype or not _compatible(left, right):
                found.append(f"{side} {name!r} is {asdict(left)} in signature.json and {asdict(right)} in the model")
    return found


def _compatible(left: TensorSpec, right: TensorSpec) -> bool:
    if left.any_rank or right.any_rank:
        return True
    same_rank = len(left.shape) == len(right.shape)
    return same_rank and all(a == b or -1 in (a, b) for a, b in zip(left.shape, right.shape, strict=True))

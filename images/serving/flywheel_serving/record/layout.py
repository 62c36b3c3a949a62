"""Which columns a logged row has: inputs and outputs of the signature, less what the order drops."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from flywheel_serving.record.baseline import is_single
from flywheel_serving.record.order import Order
from flywheel_serving.signature import Signature, TensorSpec


@dataclass(frozen=True)
class Field:
    """One column. `single`: one value for each row; else a list, row-major where the tensor has more axes."""

    name: str
    datatype: str
    single: bool


@dataclass(frozen=True)
class Layout:
    """The columns `features.<name>` and `outputs.<name>`."""

    features: tuple[Field, ...]
    outputs: tuple[Field, ...]

    def document(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, document: dict[str, Any]) -> "Layout":
        return cls(*(tuple(Field(**each) for each in document[side]) for side in ("features", "outputs")))


def layout(signature: Signature, order: Order) -> Layout:
    """Raises ValueError if the order names a column that is not there, or buckets text: nothing is logged on a misunderstanding."""
    names = {spec.name for spec in (*signature.inputs, *signature.outputs)}
    kinds = {spec.name: spec.datatype for spec in (*signature.inputs, *signature.outputs)}
    for column in order.columns:
        if column.name not in names and column.name != order.key:
            known = ", ".join(sorted(names)[:20])
            raise ValueError(f"column {column.name!r} is no input or output of this model, which has {known}")
        if column.action == "Bucket" and kinds.get(column.name, "BYTES") in ("BYTES", "BOOL"):
            raise ValueError(f"column {column.name!r} is no number and has no buckets; use Hmac or Drop")
    return Layout(_fields(signature.inputs, order), _fields(signature.outputs, order))


def _fields(specs: Iterable[TensorSpec], order: Order) -> tuple[Field, ...]:
    kept = [spec for spec in specs if (column := order.action(spec.name)) is None or column.action != "Drop"]
    return tuple(Field(spec.name, spec.datatype, is_single(spec.shape)) for spec in kept)

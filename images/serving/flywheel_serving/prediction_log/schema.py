"""The columns of a logged row: inputs and outputs of the signature, without those that the configuration drops."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from flywheel_serving.model.signature import Signature, TensorSpec
from flywheel_serving.prediction_log.baseline import is_single_value
from flywheel_serving.prediction_log.config import LogConfig

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Field:
    """One column: one value for each row if `single`, else a list, row-major if the tensor has more axes."""

    name: str
    datatype: str
    single: bool


@dataclass(frozen=True)
class RowSchema:
    """The columns `features.<name>` and `outputs.<name>`."""

    features: tuple[Field, ...]
    outputs: tuple[Field, ...]

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "RowSchema":
        return cls(*(tuple(Field(**each) for each in document[side]) for side in ("features", "outputs")))


def row_schema(signature: Signature, config: LogConfig) -> RowSchema:
    """The schema of logged rows. Raises ValueError if a rule names an unknown column, or buckets text.

    Then nothing is logged: a slip in a name must not publish what should be private.
    """
    datatypes = {spec.name: spec.datatype for spec in (*signature.inputs, *signature.outputs)}
    for column in config.columns:
        if column.name not in datatypes and column.name != config.key:
            known = ", ".join(sorted(datatypes)[:20])
            raise ValueError(f"column {column.name!r} is no input or output of this model, which has {known}")
        if column.action == "Bucket" and datatypes.get(column.name, "BYTES") in ("BYTES", "BOOL"):
            raise ValueError(f"column {column.name!r} is no number and has no buckets; use Hmac or Drop")
    return RowSchema(_fields(signature.inputs, config), _fields(signature.outputs, config))


def usable_row_schema(signature: Signature, config: LogConfig) -> RowSchema | None:
    """The schema, or None after a line in the log."""
    try:
        return row_schema(signature, config)
    except ValueError as error:
        log.error("predictions are not logged: %s; correct spec.logging.columns", error)  # noqa: TRY400  no bug of ours
        return None


def _fields(specs: Iterable[TensorSpec], config: LogConfig) -> tuple[Field, ...]:
    logged = [spec for spec in specs if (rule := config.rule(spec.name)) is None or rule.action != "Drop"]
    return tuple(Field(spec.name, spec.datatype, is_single_value(spec)) for spec in logged)

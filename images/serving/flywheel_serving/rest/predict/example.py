"""A body of rows that the model takes, for the server's page and its OpenAPI document."""

from typing import Any

import orjson

from flywheel_serving.model.datatypes import Array
from flywheel_serving.model.signature import Signature, TensorSpec, column_names
from flywheel_serving.model.timestamps import format_timestamp


def example_rows(feeds: dict[str, Array], signature: Signature) -> bytes:
    """`{"rows": [{...}]}` with the first row of `feeds`."""
    row: dict[str, Any] = {}
    for spec in signature.inputs:
        names = column_names(spec)
        value: Any = feeds[spec.name][0] if feeds[spec.name].ndim else feeds[spec.name]
        flat = value.ravel().tolist() if isinstance(value, type(feeds[spec.name])) else [value]
        if len(names) == len(flat):
            row |= {name: _cell(cell, spec) for name, cell in zip(names, flat, strict=True)}
        else:
            row[spec.name] = value.tolist()
    return orjson.dumps({"rows": [row]}, option=orjson.OPT_SERIALIZE_NUMPY)


def _cell(cell: Any, spec: TensorSpec) -> Any:
    """A timestamp as text, and a float that is whole as a whole number, which read better."""
    if spec.is_timestamp and isinstance(cell, float):
        return format_timestamp(cell) or cell
    return int(cell) if isinstance(cell, float) and cell.is_integer() else cell

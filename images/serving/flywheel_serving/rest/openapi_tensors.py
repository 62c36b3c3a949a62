"""The model's tensors as JSON Schema (2020-12): every body that the server takes is valid by it.

What it cannot say is left to the server's 400: that the values are as many as the shape says, that all inputs have the
same number of rows, that a number fits the model's datatype.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import orjson

from flywheel_serving.dataplane import DataPlane
from flywheel_serving.datatypes import DTYPES
from flywheel_serving.rest import codec
from flywheel_serving.signature import TensorSpec

Schema = dict[str, Any]
NUMBERS = [name for name in DTYPES if name != "BYTES"]
MAX_AXIS = 2**31 - 1


def request(inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]) -> Schema:
    """The body of an inference request in JSON."""
    each = [{"contains": {"properties": {"name": {"const": spec.name}}}} for spec in inputs]
    tensors = {
        "type": "array",
        "items": {"anyOf": [_input(names, spec) for names, spec in _alike(inputs)]},
        "minItems": len(inputs),
        "maxItems": len(inputs),
        "allOf": each,
    }
    wanted = {
        "type": "object",
        "properties": {
            "name": {"enum": [spec.name for spec in outputs]},
            "parameters": _optional({"type": "object", "properties": {"binary_data": _optional({"type": "boolean"})}}),
        },
        "required": ["name"],
    }
    parameters = {
        "type": "object",
        "properties": {
            "binary_data_output": _optional({"type": "boolean", "description": "outputs as bytes behind the JSON"}),
            "timeout": _optional({"type": "integer", "description": "microseconds that the client waits"}),
        },
    }
    properties = {
        "id": _optional({"type": "string", "description": "comes back in the response"}),
        "parameters": _optional(parameters),
        "inputs": tensors,
        "outputs": _optional({"type": "array", "items": wanted, "description": "all, where left out"}),
    }
    return {"type": "object", "properties": properties, "required": ["inputs"]}


def response(outputs: tuple[TensorSpec, ...]) -> Schema:
    """The body of an answer in JSON."""
    text = {"type": "string"}
    tensors = {"type": "array", "items": {"anyOf": [_output(names, spec) for names, spec in _alike(outputs)]}}
    properties = {"model_name": text, "model_version": text, "id": text, "outputs": tensors}
    return {"type": "object", "properties": properties, "required": ["model_name", "model_version", "outputs"]}


def example(dataplane: DataPlane) -> Any:
    """A request that the model answers."""
    return orjson.loads(codec.document(dataplane.example, dataplane.signature.inputs))


def _alike(specs: Iterable[TensorSpec]) -> list[tuple[list[str], TensorSpec]]:
    """Names by datatype and shape: a thousand features of one kind are one schema, not a thousand."""
    kinds: dict[tuple[str, tuple[int, ...]], list[TensorSpec]] = defaultdict(list)
    for spec in specs:
        kinds[spec.datatype, spec.shape].append(spec)
    return [([spec.name for spec in kind], kind[0]) for kind in kinds.values()]


def _input(names: list[str], spec: TensorSpec) -> Schema:
    text = spec.datatype == "BYTES"
    rank = len(spec.shape)
    shape = {
        "type": "array",
        "items": {"type": "integer", "minimum": 0, "maximum": MAX_AXIS},
        "minItems": max(0, rank - 1),
        "maxItems": rank + 1,
        "description": f"the model's own is {list(spec.shape)}, -1 is any length",
    }
    datatype = {"enum": ["BYTES"] if text else NUMBERS, "description": f"the model's own is {spec.datatype}"}
    value = {"type": ["string", "null"] if text else ["number", "boolean", "null"]}
    return {
        "type": "object",
        "properties": {
            "name": {"enum": names},
            "datatype": datatype,
            "shape": shape,
            "data": _nested(value, rank + 1),
            "parameters": _optional({"type": "object"}),
        },
        "required": ["name", "datatype", "shape", "data"],
    }


def _output(names: list[str], spec: TensorSpec) -> Schema:
    value = {"type": "string"} if spec.datatype == "BYTES" else {"type": ["number", "boolean", "null"]}
    return {
        "type": "object",
        "properties": {
            "name": {"enum": names},
            "datatype": {"const": spec.datatype},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
            "data": {"type": "array", "items": value},
        },
        "required": ["name", "datatype", "shape", "data"],
    }


def _nested(value: Schema, depth: int) -> Schema:
    """Flat, or nested like the shape."""
    levels = [{"type": "array", "items": value}]
    for _ in range(depth - 1):
        levels.append({"type": "array", "items": levels[-1]})
    return {"anyOf": levels} if len(levels) > 1 else levels[0]


def _optional(schema: Schema) -> Schema:
    """null is as if it were left out."""
    return schema | {"type": [schema["type"], "null"]}

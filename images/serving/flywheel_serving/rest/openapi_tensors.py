"""The model's tensors as JSON Schema (2020-12): every body that the server accepts is valid by it.

The server's 400 covers what a schema cannot express: that there are as many values as the shape says, that all inputs
have the same number of rows, that a number fits the model's datatype.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import orjson

from flywheel_serving.infer.dataplane import DataPlane
from flywheel_serving.model.datatypes import DTYPES
from flywheel_serving.model.signature import TensorSpec
from flywheel_serving.rest import codec

Schema = dict[str, Any]
NUMBERS = [name for name in DTYPES if name != "BYTES"]
MAX_AXIS = 2**31 - 1


def request(inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]) -> Schema:
    """The body of an inference request in JSON."""
    each = [{"contains": {"properties": {"name": {"const": spec.name}}}} for spec in inputs]
    tensors = {
        "type": "array",
        "items": {"anyOf": [_input(names, spec) for names, spec in _group(inputs)]},
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
            "binary_data_output": _optional(
                {"type": "boolean", "description": "outputs as binary data after the JSON"}
            ),
            "timeout": _optional({"type": "integer", "description": "microseconds that the client waits"}),
        },
    }
    properties = {
        "id": _optional({"type": "string", "description": "is returned in the response"}),
        "parameters": _optional(parameters),
        "inputs": tensors,
        "outputs": _optional({"type": "array", "items": wanted, "description": "all if left out"}),
    }
    return {"type": "object", "properties": properties, "required": ["inputs"]}


def response(outputs: tuple[TensorSpec, ...]) -> Schema:
    """The body of a response in JSON."""
    text = {"type": "string"}
    tensors = {"type": "array", "items": {"anyOf": [_output(names, spec) for names, spec in _group(outputs)]}}
    properties = {"model_name": text, "model_version": text, "id": text, "outputs": tensors}
    return {"type": "object", "properties": properties, "required": ["model_name", "model_version", "outputs"]}


def example(dataplane: DataPlane) -> Any:
    """A valid request."""
    return orjson.loads(codec.encode_inputs(dataplane.example, dataplane.signature.inputs))


def _group(specs: Iterable[TensorSpec]) -> list[tuple[list[str], TensorSpec]]:
    """Names by datatype and shape: a thousand features of one kind need one schema, not a thousand."""
    groups: dict[tuple[str, tuple[int, ...]], list[TensorSpec]] = defaultdict(list)
    for spec in specs:
        groups[spec.datatype, spec.shape].append(spec)
    return [([spec.name for spec in group], group[0]) for group in groups.values()]


def _input(names: list[str], spec: TensorSpec) -> Schema:
    text = spec.datatype == "BYTES"
    rank = len(spec.shape)
    shape = {
        "type": "array",
        "items": {"type": "integer", "minimum": 0, "maximum": MAX_AXIS},
        "minItems": max(0, rank - 1),
        "maxItems": rank + 1,
        "description": f"the model's is {list(spec.shape)}; -1 is any length",
    }
    datatype = {"enum": ["BYTES"] if text else NUMBERS, "description": f"the model's is {spec.datatype}"}
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
    """A list of values, flat or nested like the shape."""
    levels = [{"type": "array", "items": value}]
    for _ in range(depth - 1):
        levels.append({"type": "array", "items": levels[-1]})
    return {"anyOf": levels} if len(levels) > 1 else levels[0]


def _optional(schema: Schema) -> Schema:
    """`schema`, or null, which means the same as leaving it out."""
    return schema | {"type": [schema["type"], "null"]}

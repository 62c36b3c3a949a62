"""The server's description in OpenAPI 3.1: `openapi.json`, with the model's names, tensors and an example filled in.

Every body that the server accepts is valid by its schemas (JSON Schema 2020-12). The server's 400 covers what a schema
cannot express: that there are as many values as the shape says, that all inputs have the same number of rows, that a
number fits the model's datatype.
"""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson

from flywheel_serving.auth import open_endpoints
from flywheel_serving.infer.dataplane import DataPlane
from flywheel_serving.infer.request_rules import MAX_RANK
from flywheel_serving.model.datatypes import DTYPES
from flywheel_serving.model.signature import Signature, TensorSpec
from flywheel_serving.model.timestamps import UNIT
from flywheel_serving.rest import codec
from flywheel_serving.rest.predict.example import example_rows

Schema = dict[str, Any]
# `document` is the description without the model; `model_paths` come after the model's path, and that of its version;
# `feedback` is for servers that log predictions;
# `guarded` is what a required bearer token adds.
TEMPLATE = Path(__file__).with_name("openapi.json")
NUMBERS = [name for name in DTYPES if name != "BYTES"]
MAX_AXIS = 2**31 - 1


def document(dataplane: DataPlane, *, guarded: bool = False) -> dict[str, Any]:
    """The description, with paths of this model and this version. `guarded`: a bearer token is required."""
    template = orjson.loads(TEMPLATE.read_bytes())
    description: dict[str, Any] = template["document"]
    signature = dataplane.signature
    about = _about(signature)
    description["info"] = {"title": dataplane.name, "version": dataplane.version, "description": about}
    infer = template["model_paths"]["/infer"]["post"]
    example = orjson.loads(codec.encode_inputs(dataplane.example, signature.inputs))
    infer["requestBody"]["content"]["application/json"]["examples"]["works"]["value"] = example
    _describe_rows(description, template["model_paths"], dataplane)
    name, version = quote(dataplane.name, safe=""), quote(dataplane.version, safe="")
    for prefix in (f"/v2/models/{name}", f"/v2/models/{name}/versions/{version}"):
        description["paths"] |= {prefix + suffix: methods for suffix, methods in template["model_paths"].items()}
    if dataplane.recorder is not None:
        description["paths"][f"/v2/models/{name}/feedback"] = template["feedback"]
    add_tensors(description["components"]["schemas"], signature)
    if guarded:
        _add_security(description, template["guarded"])
    return description


def _describe_rows(description: dict[str, Any], model_paths: dict[str, Any], dataplane: DataPlane) -> None:
    """Completes the paths for rows by name, with responses of infer; a model without a row axis takes none."""
    predict, infer = model_paths["/predict"]["post"], model_paths["/infer"]["post"]
    predict["responses"] = {**infer["responses"], **predict["responses"]}
    if dataplane.signature.batched:
        example = orjson.loads(example_rows(dataplane.example, dataplane.signature))
        predict["requestBody"]["content"]["application/json"]["examples"]["works"]["value"] = example
    else:
        del predict["requestBody"]["content"]["application/json"]["examples"]
    description["paths"]["/invocations"] = {"post": {**predict, "summary": "Predict rows, at the path of MLflow"}}


def _about(signature: Signature) -> str:
    extra = signature.extra
    task = f"Task: {extra['task']}, predicts {extra.get('target')!r}. " if extra.get("task") else ""
    return f"{task}Serves the Open Inference Protocol v2; -1 in a shape is any length."


def _add_security(description: dict[str, Any], guarded: dict[str, Any]) -> None:
    """Adds the token that all paths but the open ones require."""
    for path, methods in description["paths"].items():
        for operation in methods.values():
            if path in open_endpoints.OPEN_PATHS:
                operation["security"] = []
            else:
                operation["responses"] |= guarded["responses"]
    description["components"] |= guarded["components"]
    description["security"] = guarded["security"]


def add_tensors(schemas: dict[str, Schema], signature: Signature) -> None:
    """Adds the model's tensors to the bodies `Request` and `Response`."""
    inputs, outputs = signature.inputs, signature.outputs
    request, response = schemas["Request"]["properties"], schemas["Response"]["properties"]
    request["inputs"] |= {
        "items": {"anyOf": [_input(names, spec) for names, spec in _group(inputs)]},
        "minItems": len(inputs),
        "maxItems": len(inputs),
        "allOf": [{"contains": {"properties": {"name": {"const": spec.name}}}} for spec in inputs],
    }
    request["outputs"]["items"]["properties"]["name"] = {"enum": [spec.name for spec in outputs]}
    response["outputs"]["items"] = {"anyOf": [_output(names, spec) for names, spec in _group(outputs)]}


def _group(specs: Iterable[TensorSpec]) -> list[tuple[list[str], TensorSpec]]:
    """Names by datatype and shape: a thousand features of one kind need one schema, not a thousand."""
    groups: dict[tuple[str, tuple[int, ...], str], list[TensorSpec]] = defaultdict(list)
    for spec in specs:
        groups[spec.datatype, spec.shape, spec.content].append(spec)
    return [([spec.name for spec in group], group[0]) for group in groups.values()]


def _input(names: list[str], spec: TensorSpec) -> Schema:
    text = spec.datatype == "BYTES"
    rank = len(spec.shape)
    shape = {
        "type": "array",
        "items": {"type": "integer", "minimum": 0, "maximum": MAX_AXIS},
        "minItems": 1 if spec.any_rank else max(0, rank - 1),
        "maxItems": MAX_RANK if spec.any_rank else rank + 1,
        "description": f"the model's is {list(spec.shape)}; -1 is any length",
    }
    value = {"type": ["string", "null"] if text else ["number", "boolean", "null"]}
    datatypes, about = ["BYTES"] if text else NUMBERS, f"the model's is {spec.datatype}"
    if spec.is_timestamp:
        value = {"type": ["string", *value["type"]]}
        datatypes, about = [*NUMBERS, "BYTES"], f"{about}: {UNIT}; BYTES are RFC 3339 text"
    return _tensor(
        names,
        datatype={"enum": datatypes, "description": about},
        shape=shape,
        data={"type": "array"} if spec.any_rank else _nested(value, rank + 1),
        parameters={"type": ["object", "null"]},
    )


def _output(names: list[str], spec: TensorSpec) -> Schema:
    value = {"type": "string"} if spec.datatype == "BYTES" else {"type": ["number", "boolean", "null"]}
    return _tensor(
        names,
        datatype={"const": spec.datatype},
        shape={"type": "array", "items": {"type": "integer", "minimum": 0}},
        data={"type": "array", "items": value},
    )


def _tensor(names: list[str], **properties: Schema) -> Schema:
    named = {"name": {"enum": names}, **properties}
    return {"type": "object", "properties": named, "required": ["name", "datatype", "shape", "data"]}


def _nested(value: Schema, depth: int) -> Schema:
    """A list of values, flat or nested like the shape."""
    levels = [{"type": "array", "items": value}]
    for _ in range(depth - 1):
        levels.append({"type": "array", "items": levels[-1]})
    return {"anyOf": levels} if len(levels) > 1 else levels[0]

"""The server's description in OpenAPI 3.1: its paths, the model's tensors by name, datatype and shape, and an example."""

from typing import Any
from urllib.parse import quote

from flywheel_serving.auth import open_routes
from flywheel_serving.infer.dataplane import DataPlane
from flywheel_serving.rest import codec, openapi_tensors

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
ERRORS = {
    "400": "The request does not fit the protocol or the model; the message names the field",
    "413": "More bytes or rows than one request may have",
    "415": "The body is neither JSON nor JSON with binary tensors",
    "429": "As many requests are in flight as the server accepts; retry after Retry-After seconds",
    "500": "The model could not compute this input",
    "503": "Not ready, or the model was not free in time; retry after Retry-After seconds",
    "504": "The request's timeout ended before the model was free",
}
REFUSED = {
    "401": "No token, or an invalid one; `www-authenticate` says what is required",
    "403": "A valid token of a caller who may not use this model",
}


def document(dataplane: DataPlane, *, guarded: bool = False) -> dict[str, Any]:
    """The description, with paths of this model and this version. `guarded`: a bearer token is required."""
    name, version = quote(dataplane.name, safe=""), quote(dataplane.version, safe="")
    example = openapi_tensors.example(dataplane)
    paths: dict[str, Any] = {
        "/": {"get": _get("Page about the model", {"text/plain": {"schema": TEXT}})},
        "/metrics": {"get": _get("Prometheus metrics", {"text/plain": {"schema": TEXT}})},
        "/v2": {"get": _get("Metadata of the server", _json(_object("name", "version", extensions=_list(TEXT))))},
        "/v2/health/live": {"get": _get("The process is running", _json(_object(live={"type": "boolean"})))},
        "/v2/health/ready": {"get": _ready("The server is ready")},
        "/v2/models": {"get": _get("Names of the served models", _json(_object(models=_list(TEXT))))},
        "/v2/models/stats": {"get": _get("Statistics of all models", _json(_object(model_stats=_list(_object()))))},
        "/v2/repository/index": {"post": _index()},
    }
    for prefix in (f"/v2/models/{name}", f"/v2/models/{name}/versions/{version}"):
        paths |= _model_paths(prefix, example)
    description = {
        "openapi": "3.1.0",
        "info": {"title": dataplane.name, "version": dataplane.version, "description": _about(dataplane)},
        "paths": paths,
        "components": {"schemas": _schemas(dataplane)},
    }
    return _add_security(description) if guarded else description


def _add_security(description: dict[str, Any]) -> dict[str, Any]:
    """`description` with the token that all paths but the open ones require."""
    refusals = {
        status: {"description": text, "content": _json({"$ref": "#/components/schemas/Error"})}
        for status, text in REFUSED.items()
    }
    for path, methods in description["paths"].items():
        for operation in methods.values():
            if path in open_routes.OPEN_PATHS:
                operation["security"] = []
            else:
                operation["responses"] |= refusals
    scheme = {
        "type": "http",
        "scheme": "bearer",
        "description": "A token of an admitted caller; docs/authentication.md",
    }
    description["components"]["securitySchemes"] = {"bearer": scheme}
    return {**description, "security": [{"bearer": []}]}


def _about(dataplane: DataPlane) -> str:
    extra = dataplane.signature.extra
    task = f"Task: {extra['task']}, predicts {extra.get('target')!r}. " if extra.get("task") else ""
    return f"{task}Serves the Open Inference Protocol v2; -1 in a shape is any length."


def _model_paths(prefix: str, example: Any) -> dict[str, Any]:
    statistics = _json(_object(model_stats=_list(_object("name", "version"))))
    return {
        prefix: {"get": _get("Metadata of the model", _json({"$ref": "#/components/schemas/Metadata"}))},
        f"{prefix}/ready": {"get": _ready("The model has completed its warm-up")},
        f"{prefix}/stats": {"get": _get("Statistics, as Triton's extension has them", statistics)},
        f"{prefix}/openapi.json": {"get": _get("This description", _json({"type": "object"}))},
        f"{prefix}/infer": {"post": _infer(example)},
    }


def _infer(example: Any) -> dict[str, Any]:
    request = {"$ref": "#/components/schemas/Request"}
    responses = _responses("The model's outputs", _json({"$ref": "#/components/schemas/Response"}))
    responses["200"]["content"][codec.BINARY_MEDIA_TYPE] = {}
    for status, finding in ERRORS.items():
        responses[status] = {"description": finding, "content": _json({"$ref": "#/components/schemas/Error"})}
    for status in ("429", "503"):
        responses[status]["headers"] = {"retry-after": {"schema": {"type": "string", "pattern": "^[0-9]+$"}}}
    length = {
        "name": "Inference-Header-Content-Length",
        "in": "header",
        "description": "Length of the JSON part if binary tensors follow it",
        "schema": {"type": "integer", "minimum": 1},
    }
    content = {"application/json": {"schema": request, "examples": {"works": {"value": example}}}}
    return {
        "summary": "Run the model",
        "requestBody": {"required": True, "content": content},
        "responses": responses,
        "parameters": [length],
    }


def _index() -> dict[str, Any]:
    entry = _object("name", "version", "state", "reason")
    responses = _responses("The served model", _json(_list(entry)))
    responses["400"] = {"description": ERRORS["400"], "content": _json({"$ref": "#/components/schemas/Error"})}
    body = {"content": _json({"type": "object", "properties": {"ready": {"type": "boolean"}}})}
    return {"summary": "Index of the model repository", "requestBody": body, "responses": responses}


def _get(summary: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"summary": summary, "responses": _responses(summary, content)}


def _ready(summary: str) -> dict[str, Any]:
    content = _json(_object(ready={"type": "boolean"}))
    operation = _get(summary, content)
    operation["responses"]["503"] = {"description": "Not ready", "content": content}
    return operation


def _responses(description: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"200": {"description": description, "content": content}}


def _json(schema: Schema) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _object(*texts: str, **properties: Schema) -> Schema:
    """An object whose properties are all required; `texts` are the names of text properties."""
    named = dict.fromkeys(texts, TEXT) | properties
    return {"type": "object", "properties": named, "required": list(named)} if named else {"type": "object"}


def _schemas(dataplane: DataPlane) -> dict[str, Schema]:
    inputs, outputs = dataplane.signature.inputs, dataplane.signature.outputs
    tensors = _list(_object("name", "datatype", shape=_list({"type": "integer"})))
    return {
        "Error": _object("error"),
        "Metadata": _object("name", "platform", versions=_list(TEXT), inputs=tensors, outputs=tensors),
        "Request": openapi_tensors.request(inputs, outputs),
        "Response": openapi_tensors.response(outputs),
    }

"""The model's own description in OpenAPI 3.1: its paths, its tensors by name, datatype and shape, an example that works."""

from typing import Any
from urllib.parse import quote

from flywheel_serving.auth import public
from flywheel_serving.dataplane import DataPlane
from flywheel_serving.rest import codec, openapi_tensors

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
ERRORS = {
    "400": "The request does not fit the protocol or the model; the message names the field",
    "413": "More bytes or rows than one request may have",
    "415": "The body is neither JSON nor JSON with binary tensors",
    "429": "As many requests are under way as the server takes; ask again after Retry-After seconds",
    "500": "The model could not compute this input",
    "503": "Not ready, or the model was not free in time; ask again after Retry-After seconds",
    "504": "The request's own time was over before the model was free",
}
REFUSED = {
    "401": "No token, or one that is not good; `www-authenticate` says what is wanted",
    "403": "A good token of somebody who may not ask this model",
}


def document(dataplane: DataPlane, *, guarded: bool = False) -> dict[str, Any]:
    """The whole description; paths name this model and this version. `guarded`: a bearer token is asked for."""
    name, version = quote(dataplane.name, safe=""), quote(dataplane.version, safe="")
    example = openapi_tensors.example(dataplane)
    paths: dict[str, Any] = {
        "/": {"get": _get("Page for people", {"text/plain": {"schema": TEXT}})},
        "/metrics": {"get": _get("Prometheus metrics", {"text/plain": {"schema": TEXT}})},
        "/v2": {"get": _get("Metadata of the server", _json(_object("name", "version", extensions=_list(TEXT))))},
        "/v2/health/live": {"get": _get("The process answers", _json(_object(live={"type": "boolean"})))},
        "/v2/health/ready": {"get": _ready("The server is ready")},
        "/v2/models": {"get": _get("Names of the models here", _json(_object(models=_list(TEXT))))},
        "/v2/models/stats": {"get": _get("Statistics of all models", _json(_object(model_stats=_list(_object()))))},
        "/v2/repository/index": {"post": _index()},
    }
    for prefix in (f"/v2/models/{name}", f"/v2/models/{name}/versions/{version}"):
        paths |= _of_the_model(prefix, example)
    described = {
        "openapi": "3.1.0",
        "info": {"title": dataplane.name, "version": dataplane.version, "description": _about(dataplane)},
        "paths": paths,
        "components": {"schemas": _schemas(dataplane)},
    }
    return _guarded(described) if guarded else described


def _guarded(described: dict[str, Any]) -> dict[str, Any]:
    """With the token that all but a few paths ask for."""
    refusals = {
        status: {"description": words, "content": _json({"$ref": "#/components/schemas/Error"})}
        for status, words in REFUSED.items()
    }
    for path, methods in described["paths"].items():
        for operation in methods.values():
            if path in public.ROUTES:
                operation["security"] = []
            else:
                operation["responses"] |= refusals
    scheme = {"type": "http", "scheme": "bearer", "description": "A token of who may ask; docs/authentication.md"}
    described["components"]["securitySchemes"] = {"bearer": scheme}
    return {**described, "security": [{"bearer": []}]}


def _about(dataplane: DataPlane) -> str:
    extra = dataplane.signature.extra
    task = f"Task: {extra['task']}, predicts {extra.get('target')!r}. " if extra.get("task") else ""
    return f"{task}Asked by the Open Inference Protocol v2; -1 in a shape is any length."


def _of_the_model(prefix: str, example: Any) -> dict[str, Any]:
    statistics = _json(_object(model_stats=_list(_object("name", "version"))))
    return {
        prefix: {"get": _get("Metadata of the model", _json({"$ref": "#/components/schemas/Metadata"}))},
        f"{prefix}/ready": {"get": _ready("The model answered its warm-up")},
        f"{prefix}/stats": {"get": _get("Statistics, as Triton's extension has them", statistics)},
        f"{prefix}/openapi.json": {"get": _get("This description", _json({"type": "object"}))},
        f"{prefix}/infer": {"post": _infer(example)},
    }


def _infer(example: Any) -> dict[str, Any]:
    request = {"$ref": "#/components/schemas/Request"}
    responses = _answers("The model's outputs", _json({"$ref": "#/components/schemas/Response"}))
    responses["200"]["content"][codec.BINARY] = {}
    for status, finding in ERRORS.items():
        responses[status] = {"description": finding, "content": _json({"$ref": "#/components/schemas/Error"})}
    for status in ("429", "503"):
        responses[status]["headers"] = {"retry-after": {"schema": {"type": "string", "pattern": "^[0-9]+$"}}}
    length = {
        "name": "Inference-Header-Content-Length",
        "in": "header",
        "description": "Length of the JSON part where binary tensors follow it",
        "schema": {"type": "integer", "minimum": 1},
    }
    content = {"application/json": {"schema": request, "examples": {"works": {"value": example}}}}
    return {
        "summary": "Ask the model",
        "requestBody": {"required": True, "content": content},
        "responses": responses,
        "parameters": [length],
    }


def _index() -> dict[str, Any]:
    entry = _object("name", "version", "state", "reason")
    responses = _answers("What is served here", _json(_list(entry)))
    responses["400"] = {"description": ERRORS["400"], "content": _json({"$ref": "#/components/schemas/Error"})}
    body = {"content": _json({"type": "object", "properties": {"ready": {"type": "boolean"}}})}
    return {"summary": "Index of the model repository", "requestBody": body, "responses": responses}


def _get(summary: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"summary": summary, "responses": _answers(summary, content)}


def _ready(summary: str) -> dict[str, Any]:
    content = _json(_object(ready={"type": "boolean"}))
    operation = _get(summary, content)
    operation["responses"]["503"] = {"description": "Not ready", "content": content}
    return operation


def _answers(description: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"200": {"description": description, "content": content}}


def _json(schema: Schema) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _object(*texts: str, **properties: Schema) -> Schema:
    """All of them required."""
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

"""The OpenAPI document, written from the table of endpoints."""

import re
from collections.abc import Iterable
from typing import Any

from flywheel_reader.endpoint import Endpoint, describe_parameter

ERROR_SCHEMA = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["reason", "message"],
            "properties": {"reason": {"type": "string"}, "message": {"type": "string"}},
        }
    },
}
CODES = {"400": "A parameter is wrong", "401": "The token is missing or not accepted", "403": "The right is missing", "404": "There is no such object", "503": "The store or the API server does not respond"}  # fmt: skip


def openapi_document(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """The document of all endpoints that need a token."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Flywheel reader",
            "version": "v1",
            "description": "Reads what Flywheel stored, with the rights of the caller. It writes nothing.",
        },
        "security": [{"bearer": []}, {"proxied": []}],
        "paths": {openapi_path(each.path): {"get": _describe(each)} for each in endpoints},
        "components": {
            "schemas": {"Error": ERROR_SCHEMA},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "proxied": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-Flywheel-Authorization",
                    "description": "Bearer TOKEN, through the API server's proxy, which removes Authorization",
                },
            },
        },
    }


def openapi_path(path: str) -> str:
    """A path of the router as OpenAPI writes it."""
    return path.replace(":path}", "}")


def _describe(endpoint: Endpoint) -> dict[str, Any]:
    names = re.findall(r"{(\w+)", endpoint.path)
    path_parameters = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
    good = {"description": "The response", "content": {media_type: {} for media_type in endpoint.media_types}}
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {
        "summary": endpoint.summary,
        "description": f"Needs the right: {endpoint.right}.",
        "parameters": [*path_parameters, *map(describe_parameter, endpoint.parameters)],
        "responses": {"200": good, **{code: {"description": text, "content": error} for code, text in CODES.items()}},
    }

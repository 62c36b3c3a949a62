"""Sends one request to a model server over REST."""

import json
import urllib.error
import urllib.request
from typing import Any

from tests.serving.local_server import LocalServer

INFER = "/v2/models/flight-delay/infer"


def send_request(
    server: LocalServer, path: str, body: bytes | None = None, method: str | None = None, **headers: str
) -> tuple[int, Any, dict[str, str]]:
    """(status, body parsed if it is JSON, headers)."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"http://{server.http}{path}", body, named, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            status, content, received = response.status, response.read(), dict(response.headers)
    except urllib.error.HTTPError as error:
        status, content, received = error.code, error.read(), dict(error.headers)
    is_json = received["content-type"] == "application/json" and content
    return status, json.loads(content) if is_json else content.decode(), received


def infer(server: LocalServer, *inputs: dict[str, Any], **more: Any) -> tuple[int, Any]:
    status, body, _ = send_request(server, INFER, json.dumps({"inputs": inputs, **more}).encode())
    return status, body

"""The index of Triton's model repository extension: the served model, and whether it is ready.

Loading and unloading are not supported: the InferenceService decides what a server serves.
"""

from typing import Any

import orjson

from flywheel_serving.errors import InvalidRequest
from flywheel_serving.infer.dataplane import DataPlane


def repository_index(dataplane: DataPlane, body: bytes) -> list[dict[str, Any]]:
    """`body` is empty, or an object whose `ready: true` excludes models that are not. Raises InvalidRequest."""
    try:
        document = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"body: not valid JSON: {error}") from error
    only_ready = document.get("ready", False) if isinstance(document, dict) else None
    if type(only_ready) is not bool:
        raise InvalidRequest("body: wanted nothing, or an object with 'ready': true or false")
    if only_ready and not dataplane.ready:
        return []
    state, reason = ("READY", "") if dataplane.ready else ("UNAVAILABLE", "it is warming up or draining")
    return [{"name": dataplane.name, "version": dataplane.version, "state": state, "reason": reason}]

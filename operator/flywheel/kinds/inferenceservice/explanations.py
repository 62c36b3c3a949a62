"""What a server's pod needs for `spec.explain`, and what explains the served version.

A container of its own, `explain`, loads the model once more and computes contributions. It has no key of the store, and listens on a
socket in a folder that it shares with the server alone. Whatever happens to it, the server answers.
"""

import json
from typing import Any

from flywheel.core.pods.fetch import ROOT
from flywheel.core.pods.pod_spec import resource_fields, serving_container
from flywheel.core.resource.schema import Resources
from flywheel.core.resource.values import parse_quantity
from flywheel.core.settings import Settings
from flywheel.kinds.inferenceservice.schema.explain import Explain

CONTAINER = "explain"
FILES = ("explanation.json",)  # of an artifact, beside those that a server loads
SOCKET_FOLDER = "/run/flywheel-explain"
MEMORY = "1Gi"
# The process that loads the model limits its own memory, so that it ends and not the container, without which the pod is not ready.
SPARE_BYTES = 128 * 1024 * 1024


def flags(explain: Explain | None) -> dict[str, str]:
    """The server's flag."""
    return {} if explain is None else {"--explain": _config(explain)}


def _config(explain: Explain) -> str:
    """The configuration of server and container."""
    config = {
        "sample": round(explain.sample.fraction, 6) if explain.sample else 0.0,
        "header": explain.header,
        "socket": f"{SOCKET_FOLDER}/explain.sock",
        "model": f"{ROOT}/inputs/model",
        "memory_bytes": int(parse_quantity(explain.memory or MEMORY)) - SPARE_BYTES,
    }
    return json.dumps(config, sort_keys=True)


def containers(explain: Explain | None, settings: Settings) -> list[dict[str, Any]]:
    """The container that explains."""
    if explain is None:
        return []
    limits = {"cpu": "1", "memory": explain.memory or MEMORY}
    resources = Resources(requests={"cpu": "10m", "memory": "128Mi"}, limits=limits)
    return [
        {
            **serving_container(CONTAINER, "flywheel_serving.explanation.sidecar", [_config(explain)], settings),
            **resource_fields(resources),
            "volumeMounts": [
                {"name": "flywheel", "mountPath": ROOT, "readOnly": True},
                {"name": CONTAINER, "mountPath": SOCKET_FOLDER},
            ],
        }
    ]


def volumes(explain: Explain | None) -> list[dict[str, Any]]:
    """The folder of the socket."""
    return [] if explain is None else [{"name": CONTAINER, "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}]


def mounts(explain: Explain | None) -> list[dict[str, Any]]:
    """The server's mount of that folder, in which it writes nothing."""
    return [] if explain is None else [{"name": CONTAINER, "mountPath": SOCKET_FOLDER, "readOnly": True}]


def method_note(explain: Explain | None, method: str | None) -> str:
    """By which method the version's answers are explained, or that none fits, as a sentence; "" where verification did not look for one."""
    if explain is None or method is None:
        return ""
    if method:
        return f" Answers are explained by {method}."
    return (
        " Answers are not explained: no exact method fits the version, and it keeps fewer than 10 rows for the others; "
        "train it again, or register it with a golden.json of 10 typical rows or more."
    )

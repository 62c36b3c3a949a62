"""What a server's pod needs for `spec.logging`.

A container of its own, `log-sink`, writes to the store. It alone mounts the store's Secret and the secret of hashes, and has another user than
the server, which loads models of users. They share a folder with a socket.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flywheel.core.pods.pod_spec import (
    CREDENTIALS_USER_ID,
    container_security_context,
    resource_fields,
    serving_container,
)
from flywheel.core.pods.store_secret import STORE_FOLDER, store_mount
from flywheel.core.resource.schema import Resources
from flywheel.core.settings import Settings
from flywheel.kinds.inferenceservice.schema.logging import Logging

HMAC_FOLDER, HMAC_FILE = "/etc/flywheel/hmac", "key"
WRITE_SECONDS = 8  # for the sink to write the rest, after the last response
MARGIN_SECONDS = 2
POD_VARIABLE = "FLYWHEEL_POD"
SOCKET_FOLDER = "/run/flywheel-log"
# A writer limits its own memory to 512 MiB, so that it ends and not the container, without which the pod is not ready.
SINK_RESOURCES = Resources(requests={"cpu": "10m", "memory": "64Mi"}, limits={"memory": "640Mi"})


@dataclass(frozen=True)
class Log:
    """The log of one version's servers; `explained`: rows have a column for explanations."""

    logging: Logging
    service: str
    namespace: str
    digest: str
    explained: bool = False


def flags(log: Log | None) -> dict[str, str]:
    """The server's flag."""
    return {} if log is None else {"--record": _config(log)}


def _config(log: Log) -> str:
    """The configuration of server and sink. The kubelet fills in the pod's name; other text that looks like a variable is escaped."""
    logging = log.logging
    columns = [
        {"name": each.name, "action": each.action, **({"width": each.width.value} if each.width else {})}
        for each in sorted(logging.columns, key=lambda each: each.name)
    ]
    config: dict[str, Any] = {
        "sample": round(logging.sample.fraction, 6),
        "service": log.service,
        "namespace": log.namespace,
        "digest": log.digest,
        "store": STORE_FOLDER,
        "socket": f"{SOCKET_FOLDER}/sink.sock",
        "drain_seconds": WRITE_SECONDS,
        **({"explanations": True} if log.explained else {}),
        **({"key": logging.key} if logging.key else {}),
        **({"columns": columns} if columns else {}),
        **({"hmac_file": f"{HMAC_FOLDER}/{HMAC_FILE}"} if logging.hmac else {}),
    }
    text = json.dumps(config, sort_keys=True).replace("$(", "$$(")
    return f'{text[:-1]}, "pod": "$({POD_VARIABLE})"}}'


def sinks(log: Log | None, settings: Settings) -> list[dict[str, Any]]:
    """The container that writes to the store."""
    if log is None:
        return []
    logging = log.logging
    hmac = [{"name": "hmac", "mountPath": HMAC_FOLDER, "readOnly": True}] if logging.hmac else []
    config = _config(log)
    return [
        {
            **serving_container("log-sink", "flywheel_serving.prediction_log.sink", [config], settings),
            "env": variables(logging),
            **resource_fields(SINK_RESOURCES),
            "securityContext": container_security_context(user_id=CREDENTIALS_USER_ID, group_id=CREDENTIALS_USER_ID),
            "volumeMounts": [{"name": "log", "mountPath": SOCKET_FOLDER}, store_mount(), *hmac],
        }
    ]


def variables(logging: Logging | None) -> list[dict[str, Any]]:
    """Environment variables of server and sink."""
    if logging is None:
        return []
    return [{"name": POD_VARIABLE, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]


def volumes(logging: Logging | None) -> list[dict[str, Any]]:
    """The folder of the socket, and the Secret of the hash, which is required. The pod has the store's Secret for `fetch`."""
    if logging is None:
        return []
    folder = {"name": "log", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}
    if logging.hmac is None:
        return [folder]
    items = [{"key": logging.hmac.key, "path": HMAC_FILE}]
    return [folder, {"name": "hmac", "secret": {"secretName": str(logging.hmac.name), "items": items}}]


def mounts(logging: Logging | None) -> list[dict[str, Any]]:
    """The server's mount of the socket's folder, in which it writes nothing."""
    return [] if logging is None else [{"name": "log", "mountPath": SOCKET_FOLDER, "readOnly": True}]


def extra_grace_seconds(logging: Logging | None) -> int:
    """Seconds of termination grace period beyond those of a server that logs nothing."""
    return 0 if logging is None else WRITE_SECONDS + MARGIN_SECONDS


def mismatch_note(logging: Logging | None, datatypes: Mapping[str, str]) -> str:
    """Why the server logs nothing, as a sentence, or "". `datatypes` are those of the model's inputs and outputs; empty: not known."""
    if logging is None or not datatypes:
        return ""
    problem = next(_column_problems(logging, datatypes), None)
    return f" Predictions are not logged: {problem}; correct spec.logging.columns." if problem else ""


def _column_problems(logging: Logging, datatypes: Mapping[str, str]) -> Iterator[str]:
    for each in logging.columns:
        if each.name not in datatypes and each.name != logging.key:
            yield f"column '{each.name}' is no input or output of the model, which has {', '.join(sorted(datatypes)[:20])}"
        elif each.action == "Bucket" and datatypes.get(each.name, "BYTES") in ("BYTES", "BOOL"):
            yield f"column '{each.name}' is no number and has no buckets; use Hmac or Drop"

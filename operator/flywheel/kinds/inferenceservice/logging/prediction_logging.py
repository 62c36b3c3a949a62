"""What a server's pod needs for `spec.logging`.

The server starts one child process that writes to the store. The store's Secret is mounted as a volume that only that process
reads, so that rotated keys reach it without a restart and the server's environment never holds them.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from flywheel.core.pods.store_secret import STORE_FOLDER, store_mount
from flywheel.kinds.inferenceservice.schema.logging import Logging

HMAC_FOLDER, HMAC_FILE = "/etc/flywheel/hmac", "key"
WRITE_SECONDS = 8  # for the child process to write the rest, after the last response
MARGIN_SECONDS = 2
POD_VARIABLE = "FLYWHEEL_POD"


def flags(logging: Logging | None, service: str, namespace: str, digest: str) -> dict[str, str]:
    """The server's flag. The kubelet fills in the pod's name; all other text that looks like a variable is escaped."""
    if logging is None:
        return {}
    columns = [
        {"name": each.name, "action": each.action, **({"width": each.width.value} if each.width else {})}
        for each in sorted(logging.columns, key=lambda each: each.name)
    ]
    config: dict[str, Any] = {
        "sample": round(logging.sample.fraction, 6),
        "service": service,
        "namespace": namespace,
        "digest": digest,
        "store": STORE_FOLDER,
        "drain_seconds": WRITE_SECONDS,
        **({"key": logging.key} if logging.key else {}),
        **({"columns": columns} if columns else {}),
        **({"hmac_file": f"{HMAC_FOLDER}/{HMAC_FILE}"} if logging.hmac else {}),
    }
    text = json.dumps(config, sort_keys=True).replace("$(", "$$(")
    return {"--record": f'{text[:-1]}, "pod": "$({POD_VARIABLE})"}}'}


def variables(logging: Logging | None) -> list[dict[str, Any]]:
    """Environment variables of the server."""
    if logging is None:
        return []
    return [{"name": POD_VARIABLE, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]


def volumes(logging: Logging | None) -> list[dict[str, Any]]:
    """The Secret of the hash as a volume, which is required. The pod has that of the store for `fetch`."""
    if logging is None or logging.hmac is None:
        return []
    items = [{"key": logging.hmac.key, "path": HMAC_FILE}]
    return [{"name": "hmac", "secret": {"secretName": str(logging.hmac.name), "items": items}}]


def mounts(logging: Logging | None) -> list[dict[str, Any]]:
    """The mounts of the store's Secret and of `volumes`."""
    if logging is None:
        return []
    return [store_mount(), *([{"name": "hmac", "mountPath": HMAC_FOLDER, "readOnly": True}] if logging.hmac else [])]


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

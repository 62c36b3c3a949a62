"""Logging of predictions: what a user says in `spec.logging`, and what the server's pod gets for it.

The server starts one child process that writes to the store. The store's Secret is a volume, which only that process reads, so that rotated
keys reach it without a restart and the server's environment never holds them.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from flywheel.core.settings import Settings
from flywheel.kinds.inferenceservice.schema.logging import Logging

STORE_FOLDER, HMAC_FOLDER, HMAC_FILE = "/etc/flywheel/store", "/etc/flywheel/hmac", "key"
WRITE_SECONDS = 8  # for the child to write what is left, after the last request was answered
MARGIN_SECONDS = 2
POD_VARIABLE = "FLYWHEEL_POD"


def flags(logging: Logging | None, service: str, namespace: str, digest: str) -> dict[str, str]:
    """The server's flag. The pod's name is filled in by the kubelet; whatever else looks like a variable is not one."""
    if logging is None:
        return {}
    columns = [
        {"name": each.name, "action": each.action, **({"width": each.width.value} if each.width else {})}
        for each in sorted(logging.columns, key=lambda each: each.name)
    ]
    told: dict[str, Any] = {
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
    text = json.dumps(told, sort_keys=True).replace("$(", "$$(")
    return {"--record": f'{text[:-1]}, "pod": "$({POD_VARIABLE})"}}'}


def variables(logging: Logging | None) -> list[dict[str, Any]]:
    """The server's environment."""
    if logging is None:
        return []
    return [{"name": POD_VARIABLE, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]


def volumes(logging: Logging | None, settings: Settings) -> list[dict[str, Any]]:
    """The store's Secret is optional here: a server whose log has no place to go still answers. The hash's key is not."""
    if logging is None:
        return []
    store = {"name": "store", "secret": {"secretName": settings.store_secret, "optional": True}}
    if logging.hmac is None:
        return [store]
    items = [{"key": logging.hmac.key, "path": HMAC_FILE}]
    return [store, {"name": "hmac", "secret": {"secretName": str(logging.hmac.name), "items": items}}]


def mounts(logging: Logging | None) -> list[dict[str, Any]]:
    """The mounts of `volumes`."""
    if logging is None:
        return []
    store = {"name": "store", "mountPath": STORE_FOLDER, "readOnly": True}
    return [store, *([{"name": "hmac", "mountPath": HMAC_FOLDER, "readOnly": True}] if logging.hmac else [])]


def grace(logging: Logging | None) -> int:
    """Seconds that the pod needs for its end beyond those of a server that logs nothing."""
    return 0 if logging is None else WRITE_SECONDS + MARGIN_SECONDS


def misfit(logging: Logging | None, datatypes: Mapping[str, str]) -> str:
    """Why the server logs nothing: a sentence, or "". `datatypes` are the model's inputs and outputs, empty where they are not known."""
    if logging is None or not datatypes:
        return ""
    wrong = [*_unknown(logging, datatypes), *_not_numbers(logging, datatypes)]
    return f" Predictions are not logged: {wrong[0]}; correct spec.logging.columns." if wrong else ""


def _unknown(logging: Logging, datatypes: Mapping[str, str]) -> Iterable[str]:
    for each in logging.columns:
        if each.name not in datatypes and each.name != logging.key:
            yield f"column '{each.name}' is no input or output of the model, which has {', '.join(sorted(datatypes)[:20])}"


def _not_numbers(logging: Logging, datatypes: Mapping[str, str]) -> Iterable[str]:
    for each in logging.columns:
        if each.action == "Bucket" and datatypes.get(each.name, "BYTES") in ("BYTES", "BOOL"):
            yield f"column '{each.name}' is no number and has no buckets; use Hmac or Drop"

"""Names of children, labels and owner references: the same question has the same answer, so a second try meets the first one's work."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from flywheel.core.resource.api import GROUP
from flywheel.core.resource.kind import AnyResource

MAX_NAME_LENGTH = 63
MANAGED_BY = "app.kubernetes.io/managed-by"
KIND_LABEL = f"{GROUP}/kind"
NAME_LABEL = f"{GROUP}/name"
UID_LABEL = f"{GROUP}/uid"
STEP_LABEL = f"{GROUP}/step"
ATTEMPT_LABEL = f"{GROUP}/attempt"
INPUTS_ANNOTATION = f"{GROUP}/inputs"
RENDERED_ANNOTATION = f"{GROUP}/rendered"
SHARED_FIELDS_ANNOTATION = f"{GROUP}/yields"


def digest(value: Mapping[str, Any] | list[Any] | str) -> str:
    """SHA-256 of a value's canonical JSON, in hexadecimal."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def truncate(text: str, longest: int) -> str:
    """The text if it fits; else its head and 6 digits of its hash, so that two long names stay two names."""
    if len(text) <= longest:
        return text
    return f"{text[: longest - 7].rstrip('-.')}-{digest(text)[:6]}"


def short_uid(uid: str) -> str:
    """8 digits that tell a resource from its namesake of yesterday."""
    return uid.replace("-", "")[:8]


def job(resource: AnyResource, step: str, attempt: int, longest: int = MAX_NAME_LENGTH) -> str:
    """`<name>-<step>-<attempt>-<8 hex of the uid>`, at most 63 characters."""
    tail = f"-{step}-{attempt}-{short_uid(resource.uid)}"
    return truncate(resource.name, longest - len(tail)) + tail


def child(resource: AnyResource, suffix: str = "", longest: int = MAX_NAME_LENGTH) -> str:
    """`<name>` or `<name>-<suffix>`."""
    return truncate(f"{resource.name}-{suffix}" if suffix else resource.name, longest)


def labels(resource: AnyResource) -> dict[str, str]:
    """What every child and every pod of a resource carries: by these they are watched and find their way back to it."""
    return {
        "app.kubernetes.io/name": truncate(resource.name, MAX_NAME_LENGTH),
        "app.kubernetes.io/component": resource.api.kind.lower(),
        "app.kubernetes.io/part-of": "flywheel",
        MANAGED_BY: "flywheel",
        KIND_LABEL: resource.api.kind,
        NAME_LABEL: truncate(resource.name, MAX_NAME_LENGTH),
        UID_LABEL: resource.uid,
    }


def owner_reference(resource: AnyResource, *, controls: bool = True) -> dict[str, Any]:
    """Deleting the resource deletes what carries this. `controls`: it is the resource's child, of which nobody else is parent."""
    return {
        "apiVersion": resource.api.api_version,
        "kind": resource.api.kind,
        "name": resource.name,
        "uid": resource.uid,
        "controller": controls,
        "blockOwnerDeletion": controls,
    }

"""Names, labels and owner references of children. They are derived, never random, so a second attempt meets the object of the first."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from flywheel.core.resource.api import GROUP
from flywheel.core.resource.kind import AnyResource

MAX_NAME_LENGTH = 63  # of a DNS label
MANAGED_BY = "app.kubernetes.io/managed-by"
KIND_LABEL = f"{GROUP}/kind"
NAME_LABEL = f"{GROUP}/name"
UID_LABEL = f"{GROUP}/uid"
STEP_LABEL = f"{GROUP}/step"
ATTEMPT_LABEL = f"{GROUP}/attempt"
INDEXED_LABEL = f"{GROUP}/spread"  # Group or Each: the sort of an Indexed Job, on the Job and its pods
ITEMS_ANNOTATION = f"{GROUP}/items"  # the numbers of the items of an Indexed Job, by pod index
INPUTS_ANNOTATION = f"{GROUP}/inputs"
RENDERED_ANNOTATION = f"{GROUP}/rendered"
SHARED_FIELDS_ANNOTATION = f"{GROUP}/yields"
JOB_LABEL = "batch.kubernetes.io/job-name"
INDEX_LABEL = "batch.kubernetes.io/job-completion-index"
UPGRADE_CONFIG_MAP = "flywheel-bound-results"  # of the chart; since its creation results are bound to their Jobs
RUN_ANNOTATION = f"{GROUP}/run"  # of an Experiment: the TrainingRun whose step it is
PIPELINE_ANNOTATION = f"{GROUP}/pipeline"
LEADER_RANK = 0  # the completion index of the pod that leads a group
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"


def digest(value: Mapping[str, Any] | list[Any] | str) -> str:
    """Returns the SHA-256 of a value's canonical JSON, in hexadecimal."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def truncate(text: str, max_length: int) -> str:
    """Returns the text if it fits, else its head and 6 digits of its hash, so that two long names stay different."""
    if len(text) <= max_length:
        return text
    return f"{text[: max_length - 7].rstrip('-.')}-{digest(text)[:6]}"


def short_uid(uid: str) -> str:
    """Returns 8 digits that tell a resource from a deleted one of the same name."""
    return uid.replace("-", "")[:8]


def job(resource: AnyResource, step: str, attempt: int, max_length: int = MAX_NAME_LENGTH) -> str:
    """Returns the name of the Job of an attempt: `<name>-<step>-<attempt>-<8 hex digits of the uid>`."""
    tail = f"-{step}-{attempt}-{short_uid(resource.uid)}"
    return truncate(resource.name, max_length - len(tail)) + tail


def child(resource: AnyResource, suffix: str = "", max_length: int = MAX_NAME_LENGTH) -> str:
    """Returns the name of a child: `<name>` or `<name>-<suffix>`."""
    return truncate(f"{resource.name}-{suffix}" if suffix else resource.name, max_length)


def labels(resource: AnyResource) -> dict[str, str]:
    """Returns the labels of every child and every pod of a resource. The watches select on them, and the uid leads back to the owner."""
    return {
        "app.kubernetes.io/name": truncate(resource.name, MAX_NAME_LENGTH),
        "app.kubernetes.io/component": resource.api.kind.lower(),
        "app.kubernetes.io/part-of": "flywheel",
        MANAGED_BY: "flywheel",
        KIND_LABEL: resource.api.kind,
        NAME_LABEL: truncate(resource.name, MAX_NAME_LENGTH),
        UID_LABEL: resource.uid,
    }


def object_reference(resource: AnyResource) -> dict[str, Any]:
    """Returns how other objects name the resource."""
    api = resource.api
    return {"apiVersion": api.api_version, "kind": api.kind, "name": resource.name, "uid": resource.uid}


def user_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Returns the labels that say something of the user's: without those of Flywheel, Kubernetes and their tools."""
    ours = ("flywheel.ml", "kubernetes.io", "k8s.io", "helm.sh", "fluxcd.io", "argoproj.io")
    return {
        name: value
        for name, value in sorted(labels.items())
        if not (name.partition("/")[0].endswith(ours) and "/" in name)
    }


def owner_reference(resource: AnyResource, *, controls: bool = True) -> dict[str, Any]:
    """Returns the owner reference, by which garbage collection deletes the object with the resource. `controls`: as its only controller."""
    return {**object_reference(resource), "controller": controls, "blockOwnerDeletion": controls}

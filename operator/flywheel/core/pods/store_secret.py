"""Secrets with credentials of stores in a pod: mounted as folders, so that a rotated key needs no restart, and in containers with our own code alone.

They are the installation's own, and those that a source or an output names for another store.
"""

from collections.abc import Mapping
from typing import Any, Literal

from flywheel.core.settings import Settings

Role = Literal["source", "output"]

STORE_FOLDER = "/etc/flywheel/store"


def store_volume(settings: Settings) -> dict[str, Any]:
    """Returns the volume of the Secret. A pod waits for one that is missing."""
    return {"name": "store", "secret": {"secretName": settings.store_secret}}


def store_mount() -> dict[str, Any]:
    """Returns the mount of `store_volume`."""
    return {"name": "store", "mountPath": STORE_FOLDER, "readOnly": True}


def store_env(settings: Settings) -> dict[str, str]:
    """Returns where a container of the runtime image finds the Secret, and the folders that all namespaces may read."""
    readable = {"FLYWHEEL_READABLE": " ".join(settings.readable)} if settings.readable else {}
    return {"FLYWHEEL_STORE_FOLDER": STORE_FOLDER, **readable}


def foreign_volume(role: Role, secret: str) -> dict[str, Any]:
    """Returns the volume of a Secret that a source or an output names."""
    return {"name": f"{role}-credentials", "secret": {"secretName": secret}}


def foreign_mount(role: Role) -> dict[str, Any]:
    """Returns the mount of `foreign_volume`."""
    return {"name": f"{role}-credentials", "mountPath": _foreign_folder(role), "readOnly": True}


def foreign_env(role: Role) -> dict[str, str]:
    """Returns where a container of the runtime image finds that Secret."""
    return {f"FLYWHEEL_{role.upper()}_FOLDER": _foreign_folder(role)}


def _foreign_folder(role: Role) -> str:
    return f"/etc/flywheel/{role}"


def identity_annotations(pod: Mapping[str, Any]) -> dict[str, str]:
    """Returns the annotation by which EKS gives a workload identity only to the containers of this pod that mount the Secret."""
    containers = [*pod.get("initContainers", ()), *pod["containers"]]
    others = [each["name"] for each in containers if store_mount() not in each.get("volumeMounts", ())]
    return {"eks.amazonaws.com/skip-containers": ",".join(others)} if others else {}

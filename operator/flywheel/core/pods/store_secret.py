"""The store's Secret in a pod: mounted as a folder, so that a rotated key needs no restart, and in containers with our own code alone."""

from collections.abc import Mapping
from typing import Any

from flywheel.core.settings import Settings

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


def identity_annotations(pod: Mapping[str, Any]) -> dict[str, str]:
    """Returns the annotation by which EKS gives a workload identity only to the containers of this pod that mount the Secret."""
    containers = [*pod.get("initContainers", ()), *pod["containers"]]
    others = [each["name"] for each in containers if store_mount() not in each.get("volumeMounts", ())]
    return {"eks.amazonaws.com/skip-containers": ",".join(others)} if others else {}

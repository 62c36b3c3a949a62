"""What the tests on an API server send to it."""

from collections.abc import Callable
from subprocess import CompletedProcess
from typing import Any

import yaml

Kubectl = Callable[..., CompletedProcess[str]]
OPEN: dict[str, Any] = {"auth": {"none": {}}}


def manifest(spec: dict[str, Any], name: str = "fraud") -> str:
    return yaml.safe_dump(
        {"apiVersion": "flywheel.ml/v1alpha1", "kind": "InferenceService", "metadata": {"name": name}, "spec": spec}
    )


def find_lost(sent: Any, stored: Any, path: str = "") -> list[str]:
    """The paths of what was sent and is not stored as it was. What the server added is left out."""
    if isinstance(sent, dict) and isinstance(stored, dict):
        return [at for key in sent for at in find_lost(sent[key], stored.get(key), f"{path}.{key}")]
    if isinstance(sent, list) and isinstance(stored, list) and len(sent) == len(stored):
        pairs = enumerate(zip(sent, stored, strict=True))
        return [at for index, (left, right) in pairs for at in find_lost(left, right, f"{path}[{index}]")]
    return [] if sent == stored else [path]

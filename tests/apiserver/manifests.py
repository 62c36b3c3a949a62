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

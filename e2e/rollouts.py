"""What the end-to-end tests about rollouts share: a Model, its versions as small ONNX files, and a service that judges them."""

import hashlib
import json
from typing import Any

import yaml

from e2e import kube
from e2e.namespace import Namespace
from e2e.waiting import wait_until

NAME = "fraud"
ROW = [
    100.0,
    1.0,
]  # what users ask: the challengers of `onnx_models` that go wrong do so on this, and on nothing that verify asks


def add_versions(namespace: Namespace, versions: dict[str, bytes]) -> None:
    """Models are put into the store and verified."""
    for name, content in versions.items():
        source = {
            "s3": {"uri": namespace.upload(f"{name}.onnx", content)},
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        namespace.apply(_manifest("ModelVersion", name, {"model": NAME, "source": source}))
    for name in versions:
        namespace.wait("fwver", name)


def serve_champion(namespace: Namespace, champion: str, rollout: dict[str, Any] | None, **spec: Any) -> None:
    """A Model with this champion, and an InferenceService that follows it; every server answers."""
    service = {"model": NAME, "auth": {"none": {}}, **({"rollout": rollout} if rollout else {}), **spec}
    namespace.apply(_manifest("Model", NAME, {"champion": champion}), _manifest("InferenceService", NAME, service))
    namespace.wait("fwsvc", NAME)


def set_champion(namespace: Namespace, version: str) -> None:
    """The Model's champion is another one from now on."""
    namespace.kubectl(
        "patch", "fwmodel", NAME, "--type", "merge", "--patch", json.dumps({"spec": {"champion": version}})
    )


def rollout_status(namespace: Namespace) -> dict[str, Any]:
    """How far it is."""
    found: dict[str, Any] = ((namespace.get("fwsvc", NAME) or {}).get("status") or {}).get("rollout") or {}
    return found


def wait_for_phase(namespace: Namespace, phase: str, challenger: str, seconds: float = 150) -> dict[str, Any]:
    """Until the rollout of that challenger is in that phase."""

    def found() -> dict[str, Any] | None:
        seen = rollout_status(namespace)
        return seen if (seen.get("phase"), seen.get("challenger")) == (phase, challenger) else None

    return wait_until(
        found, seconds, lambda: f"{phase} of {challenger} wanted, seen: {json.dumps(rollout_status(namespace))}"
    )


def server_uids(namespace: Namespace, *, ready: bool = True) -> dict[str, str]:
    """The uid of every server that is not on its way out, by name."""
    pods = kube.list_objects("pods", namespace.name, "flywheel.ml/kind=InferenceService,flywheel.ml/role")
    return {
        pod["metadata"]["name"]: pod["metadata"]["uid"]
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"] and (not ready or kube.condition(pod).get("status") == "True")
    }


def _manifest(kind: str, name: str, spec: dict[str, Any]) -> str:
    text: str = yaml.safe_dump(
        {"apiVersion": "flywheel.ml/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
    )
    return text

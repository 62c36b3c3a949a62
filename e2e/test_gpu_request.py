"""A resource that no hardware is needed for: two GPUs are advertised on the node, four are asked for, then two."""

import json
from collections.abc import Iterator

import pytest

from e2e import kube
from e2e.manifests import own_model
from e2e.namespace import Namespace
from e2e.onnx_models import linear

GPU = "gpu.intel.com/xe"  # each test that needs some advertises a name of its own


@pytest.fixture(scope="module")
def node() -> Iterator[str]:
    """A node that says it has two GPUs; it stops saying so afterwards."""
    with kube.extended_resource(GPU, 2) as name:
        yield name


def ask(namespace: Namespace, count: int) -> None:
    """Ask for that many GPUs for each server."""
    patch = {"spec": {"resources": {"limits": {GPU: count}}}}
    namespace.kubectl("patch", "fwsvc", "fraud", "--type", "merge", "--patch", json.dumps(patch))


def test_more_than_there_are_is_told_and_fewer_run(namespace: Namespace, node: str) -> None:

    model = linear([1.0, 2.0])
    manifests = own_model(namespace, model)
    namespace.apply(manifests.replace("  auth:", f"  resources: {{limits: {{{GPU}: 4}}}}\n  auth:"))

    condition = namespace.wait("fwsvc", "fraud", ready="False", reason="Unschedulable", seconds=180)
    assert f"4 {GPU}" in condition["message"]
    assert kube.condition(namespace.get("fwsvc", "fraud"), "Stalled") == {}

    ask(namespace, 2)
    namespace.wait("fwsvc", "fraud")
    [pod] = [
        pod
        for pod in kube.list_objects("pods", namespace.name, "flywheel.ml/kind=InferenceService")
        if kube.condition(pod).get("status") == "True"
    ]
    assert pod["spec"]["nodeName"] == node

"""A resource that no hardware is needed for: two GPUs are advertised on the node, four are asked for, then two."""

import json
from collections.abc import Iterator

import pytest

from e2e import kube
from e2e.manifests import own_model
from e2e.namespace import Story
from e2e.onnx_models import linear

GPU = "gpu.intel.com/xe"  # each story that needs some advertises a name of its own


@pytest.fixture(scope="module")
def node() -> Iterator[str]:
    """A node that says it has two GPUs; it stops saying so afterwards."""
    with kube.advertised(GPU, 2) as name:
        yield name


def ask(story: Story, count: int) -> None:
    """Ask for that many GPUs for each server."""
    patch = {"spec": {"resources": {"limits": {GPU: count}}}}
    story.kubectl("patch", "fwsvc", "fraud", "--type", "merge", "--patch", json.dumps(patch))


def test_more_than_there_are_is_told_and_fewer_run(story: Story, node: str) -> None:

    model = linear([1.0, 2.0])
    manifests = own_model(story, model)
    story.apply(manifests.replace("  auth:", f"  resources: {{limits: {{{GPU}: 4}}}}\n  auth:"))

    condition = story.wait("fwsvc", "fraud", ready="False", reason="Unschedulable", seconds=180)
    assert f"4 {GPU}" in condition["message"]
    assert kube.condition(story.get("fwsvc", "fraud"), "Stalled") == {}

    ask(story, 2)
    story.wait("fwsvc", "fraud")
    [pod] = [
        pod
        for pod in kube.listed("pods", story.namespace, "flywheel.ml/kind=InferenceService")
        if kube.condition(pod).get("status") == "True"
    ]
    assert pod["spec"]["nodeName"] == node

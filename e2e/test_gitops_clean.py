"""What Git holds stays what the cluster holds: a second diff is empty, and nothing of ours carries the applier's marks."""

import json

import pytest

from e2e import kube
from e2e.manifests import own_model
from e2e.namespace import Namespace
from e2e.onnx_models import linear

MARKS = {"argocd.argoproj.io/instance": "shop", "app.kubernetes.io/instance": "shop", "team": "fraud"}


@pytest.fixture(scope="module")
def applied(namespace: Namespace) -> tuple[Namespace, str]:
    """The manifests with the labels and annotations that a GitOps tool adds, and the test in which they are Ready."""
    model = linear([1.0, 1.0])
    text = own_model(namespace, model)
    marked = text.replace("metadata: {", f"metadata: {{labels: {json.dumps(MARKS)}, annotations: {json.dumps(MARKS)}, ")
    namespace.apply(marked)
    namespace.wait("fwsvc", "fraud")
    namespace.wait("fwmodel", "fraud")
    return namespace, marked


def test_the_diff_is_empty(applied: tuple[Namespace, str]) -> None:
    namespace, text = applied

    assert namespace.kubectl("diff", "--server-side", "--force-conflicts", "--filename", "-", stdin=text) == ""


@pytest.mark.parametrize(
    "kind", ["deployments", "services", "serviceaccounts", "poddisruptionbudgets", "networkpolicies", "jobs", "pods"]
)
def test_no_child_has_the_labels_of_the_applier(applied: tuple[Namespace, str], kind: str) -> None:
    namespace, _ = applied

    for child in kube.list_objects(kind, namespace.name, "app.kubernetes.io/managed-by=flywheel"):
        worn = {**child["metadata"].get("labels", {}), **child["metadata"].get("annotations", {})}
        assert not MARKS.keys() & worn.keys(), child["metadata"]["name"]

"""What Model, ModelVersion and InferenceService make, sent to a real API server: it takes all of it, and an idle operator writes nothing."""

import json
from typing import Any

import pytest

from flywheel.core.resource.kind import AnyResource
from flywheel.core.resource.model_reference import ResolvedVersion
from flywheel.core.resource.ownership import with_owner
from flywheel.core.resource.plan import Child
from flywheel.core.settings import Settings
from flywheel.engine.apply.canonical import matches
from flywheel.kinds.inferenceservice import children
from flywheel.kinds.inferenceservice.kind import KIND as SERVICE
from flywheel.kinds.modelversion.children import verify_job
from flywheel.kinds.modelversion.kind import KIND as VERSION
from tests.apiserver.manifests import Kubectl
from tests.simulation import resource

pytestmark = pytest.mark.apiserver


RESTRICTED = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {"name": "restricted", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
}
ROOM = {"requests": {"cpu": "0.5"}, "limits": {"memory": "1024Mi", "nvidia.com/gpu": 1}}
PLACE = {"nodeSelector": {"gpu": "a100"}, "tolerations": [{"key": "gpu", "operator": "Exists"}]}
FULL: dict[str, Any] = {
    "replicas": 2,
    "resources": ROOM,
    "placement": PLACE,
    "env": [{"name": "B", "value": ""}, {"name": "A", "secret": {"name": "hf", "key": "token"}}],
    "imagePullSecrets": [{"name": "registry"}],
    "sharedMemory": "1024Mi",
}
TARGET = ResolvedVersion("delay-1", "sha256:" + "1" * 64)
BROUGHT = {
    "s3": {"uri": "s3://acme/fraud.onnx", "endpoint": "https://s3.example", "secretName": "acme"},
    "sha256": "c" * 64,
}


def of_service(name: str, **spec: Any) -> tuple[AnyResource, tuple[Child, ...]]:
    service = resource(SERVICE, name, {"model": "delay", "auth": {"none": {}}, **spec}, namespace="restricted")
    every = children.service_children(service, TARGET, Settings())
    return service, tuple(child for child in every if isinstance(child, Child))


def of_version(name: str, **spec: Any) -> tuple[AnyResource, tuple[Child, ...]]:
    version = resource(VERSION, name, {"model": "delay", **spec}, namespace="restricted")
    return version, (verify_job(version, 1, Settings(image_pull_secrets=("ours",))),)


MADE = {
    "a plain service": of_service("plain"),
    "a full service": of_service("full", **FULL),
    "a trained version": of_version("trained", source={"artifact": {"digest": TARGET.digest}}),
    "a brought version": of_version("brought", source=BROUGHT, resources=ROOM, placement=PLACE),
}


@pytest.fixture(scope="module")
def restricted(kubectl: Kubectl) -> Kubectl:
    """kubectl, once there is a namespace that enforces Pod Security `restricted`."""
    made = kubectl("apply", "--filename", "-", stdin=json.dumps(RESTRICTED))
    assert made.returncode == 0, made.stderr
    return kubectl


@pytest.mark.parametrize("which", MADE)
def test_children_are_taken_and_stay_as_they_were_wanted(restricted: Kubectl, which: str) -> None:
    owner, made = MADE[which]
    for child in made:
        wanted = with_owner(owner, child)
        applied = restricted("apply", "--server-side", "--output", "json", "--filename", "-", stdin=json.dumps(wanted))
        assert applied.returncode == 0, applied.stderr
        assert "Warning" not in applied.stderr

        assert matches(wanted, json.loads(applied.stdout)), child.api.kind


@pytest.mark.parametrize("which", MADE)
def test_pods_are_let_into_a_restricted_namespace(restricted: Kubectl, which: str) -> None:
    templates = [
        child.manifest["spec"]["template"] for child in MADE[which][1] if "template" in child.manifest.get("spec", {})
    ]
    # Their priority class, service account and secrets are not there, and are not what this asks for.
    for template in templates:
        spec = {**template["spec"], "serviceAccountName": "default"}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one", "namespace": "restricted"}, "spec": spec}
        answer = restricted("create", "--dry-run=server", "--filename", "-", stdin=json.dumps(pod))
        assert answer.returncode == 0, answer.stderr

    assert len(templates) == 1


def test_that_namespace_does_refuse_pods(restricted: Kubectl) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "one", "namespace": "restricted"},
        "spec": {"containers": [{"name": "main", "image": "any"}]},
    }
    answer = restricted("create", "--dry-run=server", "--filename", "-", stdin=json.dumps(pod))

    assert 'violates PodSecurity "restricted' in answer.stderr

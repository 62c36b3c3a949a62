"""One byte of a stored model is flipped: nothing that reads it believes it, and what is served already goes on."""

import hashlib
import json

import pytest

from e2e import kube
from e2e.manifests import own_model
from e2e.namespace import Namespace
from e2e.onnx_models import linear
from e2e.waiting import wait_until


@pytest.fixture(scope="module")
def flipped(namespace: Namespace) -> tuple[Namespace, str, str]:
    """A served model whose blob in the store lost its word: (test, wanted, found) SHA-256."""
    model = linear([3.0, 1.0, 4.0, 1.0, 5.0], bias=9.26)
    wanted = hashlib.sha256(model).hexdigest()
    namespace.apply(own_model(namespace, model, wanted))
    namespace.wait("fwsvc", "fraud")
    spoiled = bytearray(model)
    spoiled[len(model) // 2] ^= 1
    blob = f"{namespace.name}/blobs/sha256/{wanted[:2]}/{wanted}"
    kube.store().put_object(Bucket=kube.bucket(), Key=blob, Body=bytes(spoiled))
    return namespace, wanted, hashlib.sha256(spoiled).hexdigest()


def test_a_new_pod_names_both_digests_and_the_old_one_goes_on(flipped: tuple[Namespace, str, str]) -> None:
    namespace, wanted, found = flipped
    [before] = kube.list_objects("pods", namespace.name, "flywheel.ml/kind=InferenceService")
    namespace.kubectl("patch", "fwsvc", "fraud", "--type", "merge", "--patch", '{"spec":{"replicas":2}}')

    def reported() -> str | None:
        message: str = kube.condition(namespace.get("fwsvc", "fraud")).get("message", "")
        return message if wanted in message and found in message else None

    wait_until(reported, 90, lambda: json.dumps(kube.condition(namespace.get("fwsvc", "fraud"))))
    pods = {
        pod["metadata"]["uid"]: pod
        for pod in kube.list_objects("pods", namespace.name, "flywheel.ml/kind=InferenceService")
    }

    assert kube.condition(namespace.get("fwsvc", "fraud"))["status"] == "False"
    assert kube.condition(pods[before["metadata"]["uid"]])["status"] == "True"


def test_a_verification_that_is_asked_for_again_names_both_digests(flipped: tuple[Namespace, str, str]) -> None:
    namespace, wanted, found = flipped
    digest = (namespace.get("fwver", "fraud-1") or {})["status"]["digest"]
    version = {
        "apiVersion": "flywheel.ml/v1alpha1",
        "kind": "ModelVersion",
        "metadata": {"name": "fraud-copy"},
        "spec": {"model": "fraud", "source": {"artifact": {"digest": digest}}},
    }
    namespace.apply(version)

    condition = namespace.wait("fwver", "fraud-copy", ready="False", reason="DigestMismatch")

    assert wanted in condition["message"]
    assert found in condition["message"]

"""Bring your own model: a ModelVersion with a source and a SHA-256 is verified and served, with no training anywhere."""

import hashlib
import json
import urllib.request

import pytest

from e2e import kube
from e2e.namespace import Story
from e2e.onnx_models import linear

MANIFESTS = """
apiVersion: flywheel.ml/v1alpha1
kind: Model
metadata: {name: fraud}
spec: {description: "Is this payment a fraud?"}
---
apiVersion: flywheel.ml/v1alpha1
kind: ModelVersion
metadata: {name: fraud-1}
spec:
  model: fraud
  source: {s3: {uri: "%(uri)s"}, sha256: "%(sha256)s"}
  metrics: {roc_auc: "0.71"}
---
apiVersion: flywheel.ml/v1alpha1
kind: InferenceService
metadata: {name: fraud}
spec:
  version: fraud-1
  auth: {none: {}}
"""


@pytest.fixture(scope="module")
def served(story: Story) -> Story:
    model = linear([1.0, 2.0, 3.0], bias=0.5)
    story.apply(MANIFESTS % {"uri": story.put("fraud.onnx", model), "sha256": hashlib.sha256(model).hexdigest()})
    story.wait("fwver", "fraud-1")
    story.wait("fwsvc", "fraud")
    return story


def test_it_is_verified_and_becomes_champion(served: Story) -> None:
    served.wait("fwmodel", "fraud")
    version = served.get("fwver", "fraud-1") or {}

    assert (served.get("fwmodel", "fraud") or {})["status"]["champion"] == "fraud-1"
    assert version["status"]["metrics"]["roc_auc"] == "0.71"
    assert version["status"]["digest"].startswith("sha256:")


def test_it_answers(served: Story) -> None:
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 1, 1]}]}

    with kube.forwarded("service/fraud", 8080, served.namespace) as port:
        request = urllib.request.Request(f"http://127.0.0.1:{port}/v2/models/fraud/infer", json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=10) as response:
            answer = json.load(response)

    assert answer["outputs"][0]["data"] == [6.5]


def test_a_wrong_sha256_is_refused_and_names_both(story: Story) -> None:
    model = linear([1.0])
    wrong = "0" * 64
    manifest = MANIFESTS.split("---")[1].replace("fraud-1", "fraud-2")
    story.apply(manifest % {"uri": story.put("other.onnx", model), "sha256": wrong})

    condition = story.wait("fwver", "fraud-2", ready="False", reason="DigestMismatch")

    assert wrong in condition["message"]
    assert hashlib.sha256(model).hexdigest() in condition["message"]


def test_a_pickle_that_calls_itself_onnx_is_refused(story: Story) -> None:
    import pickle

    evil = pickle.dumps({"weights": [1, 2, 3]})
    manifest = MANIFESTS.split("---")[1].replace("fraud-1", "fraud-3")
    story.apply(manifest % {"uri": story.put("evil.onnx", evil), "sha256": hashlib.sha256(evil).hexdigest()})

    condition = story.wait("fwver", "fraud-3", ready="False", stalled=True)

    assert "ONNX" in condition["message"]

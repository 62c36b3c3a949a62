"""Bring your own model: a ModelVersion with a source and a SHA-256 is verified and served, with no training anywhere."""

import hashlib
import json
import urllib.request

import pytest

from e2e import kube
from e2e.manifests import own_model, own_version
from e2e.namespace import Namespace
from e2e.onnx_models import linear


@pytest.fixture(scope="module")
def served(namespace: Namespace) -> Namespace:
    model = linear([1.0, 2.0, 3.0], bias=0.5)
    namespace.apply(own_model(namespace, model))
    namespace.wait("fwver", "fraud-1")
    namespace.wait("fwsvc", "fraud")
    return namespace


def test_it_is_verified_and_becomes_champion(served: Namespace) -> None:
    served.wait("fwmodel", "fraud")
    version = served.get("fwver", "fraud-1") or {}

    assert (served.get("fwmodel", "fraud") or {})["status"]["champion"] == "fraud-1"
    assert version["status"]["metrics"]["roc_auc"] == "0.71"
    assert version["status"]["digest"].startswith("sha256:")


def test_the_service_predicts(served: Namespace) -> None:
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 1, 1]}]}

    with kube.port_forward("service/fraud", 8080, served.name) as port:
        request = urllib.request.Request(f"http://127.0.0.1:{port}/v2/models/fraud/infer", json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=10) as response:
            answer = json.load(response)

    assert answer["outputs"][0]["data"] == [6.5]


def test_a_wrong_sha256_is_refused_and_names_both(namespace: Namespace) -> None:
    model = linear([1.0])
    wrong = "0" * 64
    namespace.apply(own_version(namespace.upload("other.onnx", model), wrong, "fraud-2"))

    condition = namespace.wait("fwver", "fraud-2", ready="False", reason="DigestMismatch")

    assert wrong in condition["message"]
    assert hashlib.sha256(model).hexdigest() in condition["message"]


def test_a_pickle_that_calls_itself_onnx_is_refused(namespace: Namespace) -> None:
    import pickle

    evil = pickle.dumps({"weights": [1, 2, 3]})
    namespace.apply(own_version(namespace.upload("evil.onnx", evil), hashlib.sha256(evil).hexdigest(), "fraud-3"))

    condition = namespace.wait("fwver", "fraud-3", ready="False", stalled=True)

    assert "ONNX" in condition["message"]

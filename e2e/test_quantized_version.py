"""A version is made smaller, what that costs is measured, and a gate may refuse it."""

import hashlib

import pytest

from e2e.namespace import Namespace
from e2e.onnx_models import network

MANIFESTS = """
apiVersion: flywheel.ml/v1alpha1
kind: Model
metadata: {name: %(name)s}
spec:
  gates:
  - {name: answers-as-before, threshold: {metric: quantization_gap, max: "%(most)s"}}
---
apiVersion: flywheel.ml/v1alpha1
kind: ModelVersion
metadata: {name: %(name)s-1}
spec:
  model: %(name)s
  quantize: Dynamic
  source: {s3: {uri: "%(uri)s"}, sha256: "%(sha256)s"}
"""


def applied(namespace: Namespace, name: str, model: bytes, most: str) -> None:
    uri = namespace.upload(f"{name}.onnx", model)
    namespace.apply(MANIFESTS % {"name": name, "most": most, "uri": uri, "sha256": hashlib.sha256(model).hexdigest()})


@pytest.fixture(scope="module")
def versions(namespace: Namespace) -> Namespace:
    applied(namespace, "lenient", network(), "0.2")
    applied(namespace, "strict", network(), "0.000001")
    applied(namespace, "plain", network()[:2000], "1")  # cut off
    namespace.wait("fwver", "lenient-1")
    namespace.wait("fwver", "strict-1")
    return namespace


def test_it_is_smaller_and_says_what_that_costs(versions: Namespace) -> None:
    version = versions.get("fwver", "lenient-1") or {}
    metrics = {name: float(value) for name, value in version["status"]["metrics"].items()}

    assert metrics["size_bytes"] < 0.6 * metrics["fp32_size_bytes"]
    assert 0 < metrics["quantization_gap"] < 0.2
    assert "Quantization made 2 weights int8" in versions.wait("fwver", "lenient-1")["message"]


def test_a_gate_on_the_gap_decides(versions: Namespace) -> None:
    versions.wait("fwmodel", "lenient")
    judged = versions.wait("fwmodel", "strict", ready="False")

    assert (versions.get("fwmodel", "lenient") or {})["status"]["champion"] == "lenient-1"
    assert "champion" not in (versions.get("fwmodel", "strict") or {})["status"]
    assert "quantization_gap" in str(versions.get("fwmodel", "strict")) + judged["message"]


def test_what_cannot_be_quantised_is_refused(versions: Namespace) -> None:
    condition = versions.wait("fwver", "plain-1", ready="False", reason="QuantizationFailed", stalled=True)

    assert "cannot be quantised" in condition["message"]

"""From one namespace's registry into the Git repository of another: what `flywheel promote` writes is verified again where it is applied."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e import kube
from e2e.cluster import cluster
from e2e.namespace import Namespace
from e2e.onnx_models import linear
from flywheel.cli import main

MODEL = """
apiVersion: flywheel.ml/v1alpha1
kind: Model
metadata: {name: fraud}
spec: {description: "Is this payment a fraud?", objective: {metric: roc_auc}}
"""
VERSION = """
apiVersion: flywheel.ml/v1alpha1
kind: ModelVersion
metadata: {name: %s}
spec:
  model: fraud
  source: %s
  metrics: {roc_auc: "%s"}
"""


@pytest.fixture(scope="module")
def target() -> Iterator[Namespace]:
    """The other namespace, with its own folder in the store."""
    other = Namespace("promoted-elsewhere-target")
    other.create()
    yield other
    other.delete(wait=False)


FILE = linear([1.0, 2.0, 3.0], bias=0.5)
SHA256 = hashlib.sha256(FILE).hexdigest()


@pytest.fixture(scope="module")
def brought(namespace: Namespace) -> Namespace:
    source = {"s3": {"uri": namespace.upload("fraud.onnx", FILE)}, "sha256": SHA256}
    namespace.apply(MODEL, VERSION % ("fraud-1", json.dumps(source), "0.71"))
    namespace.wait("fwver", "fraud-1")
    namespace.wait("fwmodel", "fraud")
    return namespace


@pytest.fixture(autouse=True)
def kubeconfig(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(cluster.chosen().kubeconfig))


def flywheel(namespace: Namespace, *words: str | Path) -> None:
    assert main([*(str(word) for word in words), "--namespace", namespace.name]) == 0


def digest(namespace: Namespace, version: str) -> str:
    return str((namespace.get("fwver", version) or {})["status"]["digest"])


def copied(source: Namespace, target: Namespace, artifact: str) -> None:
    """What a replicated bucket does: the manifest of an artifact and all that it names."""
    store, bucket = kube.store(), kube.bucket()
    manifest = f"manifests/sha256/{artifact.removeprefix('sha256:')}.json"
    text = store.get_object(Bucket=bucket, Key=f"{source.name}/{manifest}")["Body"].read()
    blobs = [f"blobs/sha256/{each['sha256'][:2]}/{each['sha256']}" for each in json.loads(text)["files"]]
    for key in (*blobs, manifest):
        body = store.get_object(Bucket=bucket, Key=f"{source.name}/{key}")["Body"].read()
        store.put_object(Bucket=bucket, Key=f"{target.name}/{key}", Body=body)


def test_a_champion_is_verified_again_and_becomes_champion_there(
    brought: Namespace, target: Namespace, tmp_path: Path
) -> None:
    # The target's credentials read its own folder alone.
    source = ("--source", target.upload("fraud.onnx", FILE), "--sha256", SHA256)
    flywheel(brought, "promote", "fraud", "--to", tmp_path, "--target-namespace", target.name, *source)
    target.apply(*sorted(tmp_path.iterdir()))

    target.wait("fwver", "fraud-1")
    target.wait("fwmodel", "fraud")
    assert (target.get("fwmodel", "fraud") or {})["status"]["champion"] == "fraud-1"
    assert digest(target, "fraud-1") == digest(brought, "fraud-1")
    assert (target.get("fwver", "fraud-1") or {})["status"]["metrics"]["roc_auc"] == "0.71"


def test_a_version_by_digest_waits_for_its_bytes_and_no_longer(
    brought: Namespace, target: Namespace, tmp_path: Path
) -> None:
    file = linear([3.0, 2.0, 1.0])
    source = {"s3": {"uri": brought.upload("other.onnx", file)}, "sha256": hashlib.sha256(file).hexdigest()}
    brought.apply(VERSION % ("fraud-2", json.dumps(source), "0.72"))
    brought.wait("fwver", "fraud-2")
    artifact = digest(brought, "fraud-2")
    # As an Experiment names what it trained.
    brought.apply(VERSION % ("fraud-3", json.dumps({"artifact": {"digest": artifact}}), "0.73"))
    brought.wait("fwver", "fraud-3")

    flywheel(brought, "promote", "fraud", "--version", "fraud-3", "--to", tmp_path)
    target.apply(tmp_path / "modelversion-fraud-3.yaml")

    target.wait("fwver", "fraud-3", ready="False", reason="ArtifactMissing")
    copied(brought, target, artifact)
    target.wait("fwver", "fraud-3")
    assert digest(target, "fraud-3") == artifact


def test_the_model_card_of_a_real_model_is_complete(brought: Namespace, tmp_path: Path) -> None:
    for form in ("card", "bom", "json"):
        flywheel(brought, "export", "fraud-1", "--format", form, "--to", tmp_path / form)

        flywheel(brought, "export", "--check", tmp_path / form)


def test_its_lineage_begins_with_its_file(brought: Namespace, capsys: pytest.CaptureFixture[str]) -> None:
    flywheel(brought, "lineage", "fraud-1")

    assert "└─ Source s3://" in capsys.readouterr().out

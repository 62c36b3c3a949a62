"""Code that logs with MLflow and names no server is tracked by Flywheel, and its ONNX model is verified and becomes champion."""

import json
from typing import Any

import pytest

import flywheel as fw
from e2e.artifacts import read_artifact, read_object
from e2e.cluster import cluster, extra_images
from e2e.manifests import PATIENTS, read_patients
from e2e.namespace import Namespace
from e2e.reader_access import bind, give_reader_a_key, wait_for_reader

pytestmark = pytest.mark.long_run

EXPERIMENT = """
apiVersion: flywheel.ml/v1alpha1
kind: Experiment
metadata: {name: patients}
spec:
  dataset: patients
  trainer:
    container:
      image: %s
      parameters: {C: "0.1"}
      model: {path: model.onnx}
  objective: {metric: roc_auc}
  budget: {maxTrials: 1, maxFailedTrials: 1}
  resources: {requests: {cpu: 50m, memory: 256Mi}}
  register: patients
"""
MODEL = """
apiVersion: flywheel.ml/v1alpha1
kind: Model
metadata: {name: patients}
spec: {promotion: Auto}
"""


@pytest.fixture(scope="module")
def trained(namespace: Namespace) -> Namespace:
    image = extra_images.ensure_image("mlflow")
    give_reader_a_key()
    bind(namespace, "science", "view")
    namespace.apply(PATIENTS % namespace.upload("patients.csv", read_patients().to_csv(index=False)))
    namespace.wait("fwds", "patients")
    namespace.apply(EXPERIMENT % image)
    namespace.wait("fwexp", "patients", seconds=180)
    return namespace


@pytest.fixture(scope="module")
def record(trained: Namespace) -> dict[str, Any]:
    """The first record of the namespace's index, which is that of the only trial."""
    found: dict[str, Any] = json.loads(read_object(trained, "tracking/log/0000000001.json"))
    return found


def test_metrics_parameters_and_tags_are_those_that_the_code_logged(record: dict[str, Any]) -> None:
    assert record["state"] == "Succeeded"
    assert record["metrics"]["roc_auc"] > 0.9
    assert record["metrics"]["training_accuracy_score"] > 0.9  # of autolog
    assert record["parameters"] == {"C": 0.1}
    assert record["loggedParameters"]["max_iter"] == "5000"  # of autolog
    assert record["tags"]["team"] == "oncology"
    assert record["tags"]["estimator_name"] == "LogisticRegression"  # of autolog
    assert record["tags"]["mlflow.registeredModelName"] == "patients"


def test_curves_and_files_stay(trained: Namespace, record: dict[str, Any]) -> None:
    files = read_artifact(trained, record["outputs"]["tracking"]["digest"])

    points = [json.loads(line) for line in files["metrics.jsonl"].splitlines()]
    assert [point["step"] for point in points if point["name"] == "loss"] == [0, 1, 2]
    assert files["artifacts/features.txt"].startswith(b"mean_radius\n")
    assert "artifacts/classifier/MLmodel" in files


def test_the_onnx_model_is_verified_and_becomes_champion(trained: Namespace) -> None:
    trained.apply(MODEL)
    trained.wait("fwmodel", "patients", seconds=90)

    assert (trained.get("fwmodel", "patients") or {})["status"]["champion"].startswith("patients-")


def test_the_trial_is_found_by_what_the_code_logged(trained: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(cluster.chosen().kubeconfig))
    workspace = fw.connect(trained.name, service_account="science")
    wait_for_reader(workspace)

    found = workspace.trials(
        "tags.estimator_name = 'LogisticRegression' and tags.team = 'oncology' and metrics.roc_auc > 0.9"
    )

    assert len(found.records) == 1
    assert found.trial(0).parameters["max_iter"] == "5000"
    assert workspace.trials("tags.team = 'another'").records == []

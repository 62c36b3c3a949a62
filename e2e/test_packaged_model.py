"""A pipeline makes its model smaller before it registers it: what is verified, judged and served is the small one."""

from pathlib import Path

import pytest

from e2e import pipelines
from e2e.namespace import Namespace

PIPELINE = """
apiVersion: flywheel.ml/v1alpha1
kind: TrainingPipeline
metadata: {name: small}
spec:
  inputs: [{name: patients, dataset: patients}]
  steps:
  - name: train
    train:
      from: patients
      trainer: {sklearn: {estimators: [{name: MLPClassifier, parameters: {hidden_layer_sizes: "64", max_iter: "300"}}]}}
      budget: {maxTrials: 1}
  - name: int8
    package: {from: train, quantize: Dynamic}
  - name: register
    register: {from: int8, model: malignant}
"""


@pytest.fixture(scope="module")
def done(namespace: Namespace, tmp_path_factory: pytest.TempPathFactory) -> Namespace:
    pipelines.create_pipeline(namespace, Path(tmp_path_factory.mktemp("data")), PIPELINE, "small")
    return namespace


def test_the_small_model_is_the_one_that_is_registered(done: Namespace) -> None:
    status = pipelines.wait_for_run(done, "one", 300)

    assert status["result"] == "Succeeded", status
    packaged = pipelines.step_status(status, "int8")
    assert float(packaged["metrics"]["size_bytes"]) < 0.8 * float(packaged["metrics"]["fp32_size_bytes"])
    version = done.get("fwver", status["challenger"]["version"]) or {}
    assert version["status"]["digest"] == packaged["outputs"]["model"]
    assert version["status"]["digest"] != pipelines.step_status(status, "train")["outputs"]["model"]
    assert float(version["status"]["metrics"]["roc_auc"]) > 0.9

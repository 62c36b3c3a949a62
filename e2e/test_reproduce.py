"""From data by SQL to a registered model, and the same once more: a run that repeats another says whether it came out alike."""

from pathlib import Path

import pytest

from e2e import pipelines
from e2e.namespace import Namespace

PIPELINE = """
apiVersion: flywheel.ml/v1alpha1
kind: TrainingPipeline
metadata: {name: malignant}
spec:
  parameters: [{name: least, type: Float, default: "8.0"}]
  inputs: [{name: patients, dataset: patients}]
  steps:
  - name: grown
    prepare:
      from: [patients]
      sql: SELECT *, mean_radius > 15 AS large FROM patients WHERE mean_radius >= $(params.least)
  - name: search
    train:
      from: grown
      trainer: {sklearn: {estimators: [{name: LogisticRegression, search: {C: {float: {min: "0.01", max: "10", log: true}}}}]}}
      budget: {maxTrials: 3}
      keepArtifacts: 1
  - name: slices
    evaluate: {from: search, by: [large]}
  - name: register
    register: {from: search, model: malignant}
    when: [{metric: {step: slices, name: roc_auc}, min: "0.9"}]
"""


@pytest.fixture(scope="module")
def done(namespace: Namespace, tmp_path_factory: pytest.TempPathFactory) -> Namespace:
    pipelines.create_pipeline(namespace, Path(tmp_path_factory.mktemp("data")), PIPELINE, "malignant")
    status = pipelines.wait_for_run(namespace, "one", 300)
    assert status["result"] == "Succeeded", status
    return namespace


def test_the_model_is_registered_with_all_that_made_it(done: Namespace) -> None:
    status = pipelines.wait_for_run(done, "one")
    version = done.get("fwver", status["challenger"]["version"]) or {}
    lineage = version["spec"]["lineage"]

    assert status["challenger"]["verdict"] == "Champion"
    assert (lineage["pipeline"], lineage["run"], lineage["dataset"]) == ("malignant", "one", "patients")
    assert lineage["datasetDigest"] == pipelines.step_status(status, "grown")["outputs"]["data"]
    prepared, [used] = lineage["prepared"], status["inputs"]
    assert (prepared["step"], prepared["values"]) == ("grown", {"params.least": "8.0"})
    assert "mean_radius >= $(params.least)" in prepared["sql"]
    assert prepared["from"] == [{key: used[key] for key in ("name", "dataset", "version", "digest")}]
    assert lineage["revision"] == status["revision"]
    assert float(pipelines.step_status(status, "slices")["metrics"]["roc_auc"]) > 0.9


def test_the_same_run_again_comes_out_alike(done: Namespace) -> None:
    pipelines.start_run(done, "again", "malignant", "")  # from the cache
    assert {each["cache"] for each in pipelines.wait_for_run(done, "again")["steps"][:3]} == {"Hit"}
    pipelines.start_run(done, "repeated", "malignant", ", reproduceOf: one")
    status = pipelines.wait_for_run(done, "repeated", 300)

    assert status["result"] == "Succeeded", status
    assert {each.get("cache") for each in status["steps"][:3]} == {"Miss"}
    assert status["reproduced"]["verdict"] in ("Equal", "WithinTolerance"), status["reproduced"]
    assert (
        pipelines.step_status(status, "grown")["outputs"]
        == pipelines.step_status(pipelines.wait_for_run(done, "one"), "grown")["outputs"]
    )


def test_another_parameter_is_another_model(done: Namespace) -> None:
    pipelines.start_run(done, "other", "malignant", ', parameters: {least: "12.5"}')
    status = pipelines.wait_for_run(done, "other", 300)

    assert status["result"] == "Succeeded", status
    assert (
        pipelines.step_status(status, "grown")["outputs"]
        != pipelines.step_status(pipelines.wait_for_run(done, "one"), "grown")["outputs"]
    )

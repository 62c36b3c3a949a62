"""From data by SQL to a registered model, and the same once more: a run that repeats another says whether it came out alike."""

from pathlib import Path

import pytest

from e2e import pipelines
from e2e.namespace import Story

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
def done(story: Story, tmp_path_factory: pytest.TempPathFactory) -> Story:
    pipelines.begun(story, Path(tmp_path_factory.mktemp("data")), PIPELINE, "malignant")
    status = pipelines.ended(story, "one", 300)
    assert status["result"] == "Succeeded", status
    return story


def test_the_model_is_registered_with_all_that_made_it(done: Story) -> None:
    status = pipelines.ended(done, "one")
    version = done.get("fwver", status["challenger"]["version"]) or {}
    lineage = version["spec"]["lineage"]

    assert status["challenger"]["verdict"] == "Champion"
    assert (lineage["pipeline"], lineage["run"], lineage["dataset"]) == ("malignant", "one", "patients")
    assert lineage["datasetDigest"] == pipelines.step(status, "grown")["outputs"]["data"]
    assert lineage["revision"] == status["revision"]
    assert float(pipelines.step(status, "slices")["metrics"]["roc_auc"]) > 0.9


def test_the_same_run_again_comes_out_alike(done: Story) -> None:
    pipelines.start(done, "again", "malignant", "")  # from the cache
    assert {each["cache"] for each in pipelines.ended(done, "again")["steps"][:3]} == {"Hit"}
    pipelines.start(done, "repeated", "malignant", ", reproduceOf: one")
    status = pipelines.ended(done, "repeated", 300)

    assert status["result"] == "Succeeded", status
    assert {each.get("cache") for each in status["steps"][:3]} == {"Miss"}
    assert status["reproduced"]["verdict"] in ("Equal", "WithinTolerance"), status["reproduced"]
    assert (
        pipelines.step(status, "grown")["outputs"] == pipelines.step(pipelines.ended(done, "one"), "grown")["outputs"]
    )


def test_another_parameter_is_another_model(done: Story) -> None:
    pipelines.start(done, "other", "malignant", ', parameters: {least: "12.5"}')
    status = pipelines.ended(done, "other", 300)

    assert status["result"] == "Succeeded", status
    assert (
        pipelines.step(status, "grown")["outputs"] != pipelines.step(pipelines.ended(done, "one"), "grown")["outputs"]
    )

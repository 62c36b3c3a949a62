"""Champion and challengers learnt from columns that different queries made: each is scored with its own, on the same raw test rows."""

from typing import Any

import pytest

from e2e import pipelines
from e2e.namespace import Namespace

MODEL = """
apiVersion: flywheel.ml/v1alpha1
kind: Model
metadata: {name: malignant}
spec:
  objective: {metric: roc_auc}
  defaultGates: Disabled
  gates: [{name: better, champion: {metric: roc_auc, minGain: "0.01"}}]
"""
PIPELINE = """---
apiVersion: flywheel.ml/v1alpha1
kind: TrainingPipeline
metadata: {name: %(name)s}
spec:
  inputs: [{name: patients, dataset: patients}]
  steps:
  - name: features
    prepare: {from: [patients], sql: "SELECT patient, malignant, flywheel_split, %(sql)s FROM patients"}
  - name: train
    train:
      from: features
      objective: {metric: roc_auc}
      trainer: {sklearn: {estimators: [{name: LogisticRegression}]}}
      budget: {maxTrials: 1}
  - {name: register, register: {from: train, model: malignant}}
"""
WEAK, STRONG, NOISE = "weak", "strong", "noise"
COLUMNS = {
    WEAK: "round(mean_smoothness, 2) AS smooth",
    STRONG: "mean_radius * mean_concavity AS dent, worst_area / mean_area AS growth",
    NOISE: "hash(patient) % 97 AS chance",
}


@pytest.fixture(scope="module")
def judged(namespace: Namespace, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Each run's step `register`: the verdict of the Model. The weak version is champion before the others come."""
    source = namespace.upload("patients.csv", pipelines.patients_csv(tmp_path_factory.mktemp("data")))
    written = (PIPELINE % {"name": name, "sql": sql} for name, sql in COLUMNS.items())
    namespace.apply(pipelines.DATASET % source, MODEL + "".join(written))
    namespace.wait("fwds", "patients")
    ended: dict[str, dict[str, Any]] = {}
    for names in ((WEAK,), (STRONG, NOISE)):
        for name in names:
            namespace.wait("fwpipe", name, reason="Live")
            pipelines.start_run(namespace, name, name)
        ended |= {name: pipelines.wait_for_run(namespace, name) for name in names}
    return {name: pipelines.step_status(status, "register")["facts"] for name, status in ended.items()}


def test_each_is_scored_with_its_own_preparation_and_the_better_one_is_promoted(
    namespace: Namespace, judged: dict[str, dict[str, Any]]
) -> None:
    weak, strong = judged[WEAK]["version"], judged[STRONG]["version"]
    lineage = (namespace.get("fwver", weak) or {})["spec"]["lineage"]
    assert COLUMNS[WEAK] in lineage["prepared"]["sql"]
    assert len(lineage["prepared"]["digest"]) == 16

    model = (namespace.get("fwmodel", "malignant") or {})["status"]
    [measured] = (namespace.get("fwver", strong) or {})["status"]["gates"]["entries"]
    print(measured["message"])

    assert model["champion"] == strong
    assert measured["passed"], measured
    assert "test rows, each prepared as for its own training: gain 0." in measured["message"]


def test_a_worse_one_is_measured_too_and_held(namespace: Namespace, judged: dict[str, dict[str, Any]]) -> None:
    [measured] = (namespace.get("fwver", judged[NOISE]["version"]) or {})["status"]["gates"]["entries"]
    print(measured["message"])

    assert judged[NOISE]["verdict"] == "GateFailed"
    assert (measured["passed"], measured.get("measured")) == (False, None)
    assert "each prepared as for its own training: gain -0." in measured["message"]

"""One training in two pods, with XGBoost's own collective: it equals the one in a single pod, and a killed rank costs no more than the
time since the last checkpoint."""

import json
from typing import Any

import pytest
from sklearn.datasets import load_breast_cancer

from e2e import kube, pipelines
from e2e.cluster import extra_images
from e2e.manifests import PATIENTS
from e2e.namespace import Namespace
from e2e.waiting import wait_until

ROUNDS = 20
SMALL = {"requests": {"cpu": "50m", "memory": "128Mi"}}
TWO_RANKS = {"framework": "XGBoost", "nodes": 2}


def training(name: str, container: dict[str, Any], **more: Any) -> str:
    """An Experiment of one trial."""
    spec = {
        "dataset": "patients",
        "trainer": {"container": container},
        "objective": {"metric": "roc_auc"},
        "budget": {"maxTrials": 1, "maxFailedTrials": 1},
        "resources": SMALL,
        **more,
    }
    return json.dumps(
        {"apiVersion": "flywheel.ml/v1alpha1", "kind": "Experiment", "metadata": {"name": name}, "spec": spec}
    )


def boosting(image: str, **parameters: str | int) -> dict[str, Any]:
    return {"image": image, "parameters": {"rounds": ROUNDS, **parameters}, "model": {"path": "model.ubj"}}


def best(namespace: Namespace, name: str) -> dict[str, Any]:
    found: dict[str, Any] = (namespace.get("fwexp", name) or {})["status"]["best"]
    return found


def metric(namespace: Namespace, experiment: str, name: str) -> float:
    return float(best(namespace, experiment)["metrics"][name])


@pytest.fixture(scope="module")
def image() -> str:
    return extra_images.ensure_image("xgboost")


@pytest.fixture(scope="module")
def patients(namespace: Namespace) -> Namespace:
    data = load_breast_cancer(as_frame=True)
    # Whole numbers, so that no rank has to guess where the others' values lie.
    frame = ((data.data - data.data.min()) / (data.data.max() - data.data.min()) * 200).round().astype(int)
    frame = frame.rename(columns=lambda name: name.replace(" ", "_"))
    frame["malignant"] = 1 - data.target
    namespace.apply(PATIENTS % namespace.upload("patients.csv", frame.to_csv(index=False)))
    namespace.wait("fwds", "patients")
    return namespace


@pytest.fixture(scope="module")
def trained(patients: Namespace, image: str) -> Namespace:
    """The same training in one pod and in two."""
    patients.apply(training("alone", boosting(image)))
    patients.apply(training("together", boosting(image), distributed=TWO_RANKS))
    patients.wait("fwexp", "alone")
    patients.wait("fwexp", "together")
    return patients


def test_two_ranks_learn_what_one_pod_learns(trained: Namespace) -> None:
    assert metric(trained, "together", "rows") == pytest.approx(metric(trained, "alone", "rows") / 2, abs=1)
    assert metric(trained, "alone", "roc_auc") > 0.95
    for name in ("roc_auc", "log_loss", "mean_probability"):
        assert metric(trained, "together", name) == pytest.approx(metric(trained, "alone", name), abs=1e-3)


def test_outputs_are_those_of_rank_0(trained: Namespace) -> None:
    assert best(trained, "together")["model"].startswith("sha256:")


def test_a_killed_rank_restarts_the_group_from_its_checkpoint(trained: Namespace, image: str) -> None:
    trained.apply(
        training("cut", boosting(image, pause="0.5"), distributed=TWO_RANKS, checkpoint={"every": "1s"}),
    )
    wait_until(lambda: keeps_a_checkpoint(trained, "cut"), 90, lambda: trained.kubectl("get", "pods"))
    [rank_1] = pods_of_rank(trained, "cut", 1)

    trained.kubectl("delete", "pod", rank_1, "--wait=false")
    trained.wait("fwexp", "cut", ready="False", reason="Retrying", seconds=60)
    trained.wait("fwexp", "cut", seconds=180)

    assert metric(trained, "cut", "began_after") > 0
    assert "-trial-1-2-" in best(trained, "cut")["job"]
    assert metric(trained, "cut", "log_loss") == pytest.approx(metric(trained, "alone", "log_loss"), abs=1e-3)


def test_a_rank_that_fails_says_why_and_ends_the_others(patients: Namespace, image: str) -> None:
    script = "import os, time; time.sleep(600) if os.environ['FLYWHEEL_NODE_RANK'] == '0' else exit('no column colour')"
    container = {"image": image, "command": ["python3", "-c", script]}

    patients.apply(training("broken", container, distributed={"framework": "Plain", "nodes": 2}))
    condition = patients.wait("fwexp", "broken", ready="False", stalled=True)

    assert condition["reason"] == "TrialsFailed"
    assert "Rank 1: " in condition["message"]
    assert "no column colour" in condition["message"]


def test_a_step_of_a_pipeline_trains_in_two_pods_as_well(trained: Namespace, image: str) -> None:
    container = {
        "image": image,
        "parameters": {"rounds": ROUNDS},
        "inputs": [{"name": "data", "from": "patients"}],
        "outputs": ["model"],
        "distributed": TWO_RANKS,
    }
    spec = {
        "inputs": [{"name": "patients", "dataset": "patients"}],
        "steps": [{"name": "fit", "container": container, "resources": SMALL}],
    }
    head = {"apiVersion": "flywheel.ml/v1alpha1", "kind": "TrainingPipeline", "metadata": {"name": "fitting"}}
    trained.apply(json.dumps({**head, "spec": spec}))
    trained.wait("fwpipe", "fitting", reason="Live")
    pipelines.start_run(trained, "fitted", "fitting")

    step = pipelines.step_status(pipelines.wait_for_run(trained, "fitted"), "fit")

    assert step["state"] == "Succeeded", step
    assert set(step["outputs"]) == {"model"}
    assert float(step["metrics"]["log_loss"]) == pytest.approx(metric(trained, "alone", "log_loss"), abs=1e-3)


def keeps_a_checkpoint(namespace: Namespace, name: str) -> bool:
    uid = (namespace.get("fwexp", name) or {})["metadata"]["uid"]
    found = kube.store().list_objects_v2(Bucket=kube.bucket(), Prefix=f"{namespace.name}/checkpoints/{uid}/")
    return bool(found["KeyCount"])


def pods_of_rank(namespace: Namespace, name: str, rank: int) -> list[str]:
    selector = f"flywheel.ml/name={name},batch.kubernetes.io/job-completion-index={rank}"
    return namespace.kubectl("get", "pods", "--selector", selector, "--output", "name").replace("pod/", "").split()

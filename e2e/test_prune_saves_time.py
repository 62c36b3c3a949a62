"""A pruner ends the trials that are not worth it: the same best model for less than two thirds of the rounds."""

import json
from typing import Any

import pytest

from e2e import kube
from e2e.cluster import paths
from e2e.namespace import Namespace

pytestmark = pytest.mark.long_run

ROUNDS = 24
# The better `height` is, the quicker a round: bad trials are slow. All are known after few rounds.
TRAINER = f"""
import time
from flywheel_runtime import run

height = run.params["height"]
for step in range({ROUNDS}):
    time.sleep(0.1 + 0.05 * (10 - height))
    run.log(step=step, score=height * (step + 1) / {ROUNDS}, done=1)
run.finish({{"score": float(height)}})
"""


def experiment(name: str, image: str, **more: Any) -> dict[str, Any]:
    container = {
        "image": image,
        "command": ["python3", "-c", TRAINER],
        "search": {"height": {"int": {"min": 1, "max": 10}}},
    }
    spec = {
        "dataset": "rows",
        "objective": {"metric": "score", "direction": "Maximize"},
        "trainer": {"container": container},
        "budget": {"maxTrials": 10},
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
        **more,
    }
    return {"apiVersion": "flywheel.ml/v1alpha1", "kind": "Experiment", "metadata": {"name": name}, "spec": spec}


# Our own trainer: whoever learns slowly is behind from the first rounds on. Scikit-learn's own rate, 0.1, is tried first. A slow trial has so
# many rounds that the pruner, which compares every two seconds, meets it at work on any machine.
BOOSTED = {
    "dataset": "rows",
    "objective": {"metric": "log_loss"},
    "trainer": {
        "sklearn": {
            "estimators": [
                {
                    "name": "HistGradientBoostingClassifier",
                    "parameters": {"max_iter": 12000, "max_leaf_nodes": 7},
                    "search": {"learning_rate": {"choice": ["0.1", "0.0001", "0.00005", "0.00002"]}},
                }
            ]
        }
    },
    "pruner": {"percentile": {"percentile": 1, "startupTrials": 1}},
    "parallelism": 1,
    "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}},
}


@pytest.fixture(scope="module")
def searched(namespace: Namespace) -> Namespace:
    """One Experiment whose trials all go on to their end, and the same with a pruner."""
    rows = "id,x,y,late\n" + "".join(f"{n},{n % 97},{n % 89},{int(n % 97 + n % 89 > 92)}\n" for n in range(1500))
    dataset = {"source": {"s3": {"uri": namespace.upload("rows.csv", rows)}}, "target": "late", "keys": ["id"]}
    namespace.apply(
        {"apiVersion": "flywheel.ml/v1alpha1", "kind": "Dataset", "metadata": {"name": "rows"}, "spec": dataset}
    )
    namespace.wait("fwds", "rows")
    image = json.loads(paths.IMAGES.read_text())["runtime"]["image"]
    pruner = {"median": {"startupTrials": 2, "warmupSteps": 3}}
    boosted = {**experiment("boosted", image), "spec": BOOSTED}
    namespace.apply(experiment("patient", image), experiment("pruned", image, pruner=pruner), boosted)
    for name in ("patient", "pruned", "boosted"):
        namespace.wait("fwexp", name, seconds=400)
    return namespace


def status(namespace: Namespace, name: str) -> dict[str, Any]:
    found: dict[str, Any] = (namespace.get("fwexp", name) or {})["status"]
    return found


def rounds(namespace: Namespace, name: str) -> int:
    """All that its trials went through: those that were pruned up to their last step."""
    history = status(namespace, name)["history"]
    return sum(record["step"] + 1 if record["state"] == "Pruned" else ROUNDS for record in history)


def test_the_best_is_the_same_for_less(searched: Namespace) -> None:
    with_pruner, without = status(searched, "pruned"), status(searched, "patient")

    assert with_pruner["best"]["parameters"] == without["best"]["parameters"] == {"height": "10"}
    assert without["trials"]["succeeded"] == 10
    assert with_pruner["trials"]["pruned"] >= 3
    assert with_pruner["trials"]["failed"] == 0
    assert rounds(searched, "pruned") * 3 <= rounds(searched, "patient") * 2, with_pruner["history"]


def test_it_says_why_a_trial_ended(searched: Namespace) -> None:
    pruned = [trial for trial in status(searched, "pruned")["lastTrials"] if trial["state"] == "Pruned"]

    assert pruned
    assert all(trial["reason"] == "Pruned" and "the median of" in trial["message"] for trial in pruned)


def test_curves_of_trials_that_succeeded_are_in_the_store(searched: Namespace) -> None:
    uid = (searched.get("fwexp", "pruned") or {})["metadata"]["uid"]
    prefix = f"{searched.name}/curves/{uid}/"
    found = kube.store().list_objects_v2(Bucket=kube.bucket(), Prefix=prefix).get("Contents", [])

    assert len(found) == status(searched, "pruned")["trials"]["succeeded"]


def test_the_built_in_trainer_reports_its_curve_and_is_pruned_too(searched: Namespace) -> None:
    boosted = status(searched, "boosted")

    assert boosted["best"]["parameters"] == {"learning_rate": "0.1"}
    assert boosted["trials"]["succeeded"] + boosted["trials"]["pruned"] == 4
    assert boosted["trials"]["pruned"] >= 2, boosted["history"]
    assert {record["step"] for record in boosted["history"] if record["state"] == "Pruned"} <= {10, 15, 20, 30, 40, 60}

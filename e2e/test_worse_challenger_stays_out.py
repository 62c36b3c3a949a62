"""A challenger is measured beside the champion on its own test rows: a worse one stays out with the numbers, a better one takes over, and the
store's audit records tell all of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from e2e import kube
from e2e.manifests import read_patients
from e2e.namespace import Namespace
from e2e.waiting import wait_until
from flywheel_runtime.audit import chain
from flywheel_runtime.store.artifacts import Store
from flywheel_runtime.store.retry import Retry

MANIFESTS = """
apiVersion: flywheel.ml/v1alpha1
kind: Dataset
metadata: {name: patients}
spec:
  source: {s3: {uri: "%s"}}
  target: malignant
  keys: [patient]
---
apiVersion: flywheel.ml/v1alpha1
kind: Model
metadata: {name: malignant}
spec:
  objective: {metric: roc_auc}
  gates:
  - {name: better-than-today, champion: {metric: roc_auc, minGain: "0.01", confidence: "80%%"}}
  - {name: every-size, slice: {by: large, metric: accuracy, min: "0.3", minRows: 5}}
  - {name: honest, calibration: {maxError: "60%%"}}
  - {name: quick, serving: {p95: 500ms, size: 50Mi}}
"""
EXPERIMENT = """
apiVersion: flywheel.ml/v1alpha1
kind: Experiment
metadata: {name: %s}
spec:
  dataset: patients
  objective: {metric: roc_auc}
  trainer: {sklearn: {features: {numeric: [%s]}, estimators: [{name: LogisticRegression}]}}
  budget: {maxTrials: 1}
  register: malignant
"""


@pytest.fixture(scope="module")
def ready(namespace: Namespace, tmp_path_factory: pytest.TempPathFactory) -> Namespace:
    frame = read_patients()
    frame["patient"] = range(len(frame))
    frame["large"] = (frame["mean_radius"] > frame["mean_radius"].median()).map({True: "yes", False: "no"})
    path = Path(tmp_path_factory.mktemp("data")) / "patients.csv"
    frame.to_csv(path, index=False)
    namespace.apply(MANIFESTS % namespace.upload("patients.csv", path.read_bytes()))
    namespace.wait("fwds", "patients")
    return namespace


def registered(namespace: Namespace, name: str, *features: str) -> str:
    """Train with these features; the name of the version that the Model has judged."""
    namespace.apply(EXPERIMENT % (name, ", ".join(features)))
    namespace.wait("fwexp", name, seconds=240)
    version: str = (namespace.get("fwexp", name) or {})["status"]["modelVersion"]
    wait_until(
        lambda: verdict(namespace, version).get("verdict") not in (None, "NotReady", "Measuring"),
        180,
        lambda: f"{version} has no verdict: {verdict(namespace, version)}",
    )
    return version


def verdict(namespace: Namespace, version: str) -> dict[str, Any]:
    candidates = ((namespace.get("fwmodel", "malignant") or {}).get("status") or {}).get("candidates") or []
    return next((each for each in candidates if each["version"] == version), {})


def champion(namespace: Namespace) -> str:
    found: str = (namespace.get("fwmodel", "malignant") or {})["status"]["champion"]
    return found


def test_a_worse_challenger_stays_out_and_a_better_one_takes_over(ready: Namespace) -> None:
    first = registered(ready, "first", "mean_smoothness")
    assert champion(ready) == first

    worse = registered(ready, "worse", "mean_fractal_dimension")
    assert (champion(ready), verdict(ready, worse)["verdict"]) == (first, "GateFailed")
    assert "gate 'better-than-today': roc_auc 0." in verdict(ready, worse)["message"]
    assert f"of champion '{first}'" in verdict(ready, worse)["message"]
    gates = (ready.get("fwver", worse) or {})["status"]["gates"]
    assert gates["championDigest"] == (ready.get("fwver", first) or {})["status"]["digest"]
    assert {each["name"]: each["passed"] for each in gates["entries"]} == {
        "better-than-today": False,
        "every-size": True,
        "honest": True,
        "beats-a-constant": False,
    }

    better = registered(ready, "better", "mean_radius", "mean_texture", "mean_concavity", "worst_area")
    assert champion(ready) == better
    history = (ready.get("fwmodel", "malignant") or {})["status"]["history"]
    assert [each["reason"] for each in history] == ["FirstVersion", "Better"]
    assert "gain 0." in history[-1]["message"]


def test_the_whole_report_of_the_gates_is_in_the_store(ready: Namespace) -> None:
    digest = (ready.get("fwver", champion(ready)) or {})["status"]["gates"]["artifact"].removeprefix("sha256:")
    store, bucket = kube.store(), kube.bucket()
    manifest = json.load(store.get_object(Bucket=bucket, Key=f"{ready.name}/manifests/sha256/{digest}.json")["Body"])

    assert [each["path"] for each in manifest["files"]] == ["gates.json"]


def test_every_step_is_in_the_audit_records(ready: Namespace) -> None:
    wait_until(
        lambda: ((ready.get("fwmodel", "malignant") or {})["status"].get("audit") or {}).get("recorded") == 2,
        120,
        lambda: str((ready.get("fwmodel", "malignant") or {})["status"].get("audit")),
    )
    store = Store.from_env(kube.store_environment(), ready.name, Retry())

    found = chain.check_chain(store, "malignant")
    events = [record.body["event"] for record in found.records]
    pointer = chain.read_champion(store, "malignant") or {}

    assert found.findings == ()
    assert (events.count("Verified"), events.count("Measured"), events.count("Promoted")) == (3, 3, 2)
    assert pointer["version"] == champion(ready)
    assert pointer["audit"]["sha256"] == (ready.get("fwmodel", "malignant") or {})["status"]["audit"]["sha256"]


def test_nothing_is_left_behind(ready: Namespace) -> None:
    """Jobs go once their outcome is recorded, and nobody measures again."""
    wait_until(
        lambda: not kube.list_objects("jobs", ready.name),
        60,
        lambda: str(kube.list_objects("jobs", ready.name)),
    )
    model = ready.get("fwmodel", "malignant") or {}

    assert "challenger" not in model["status"]

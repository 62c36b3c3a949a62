"""An Experiment and a pipeline's run end and are deleted: their records, metrics, curves and logs stay, and can be read with rights alone."""

import gzip
import json
import platform
from collections.abc import Iterator
from typing import Any

import pytest

import flywheel
from e2e import kube
from e2e.artifacts import read_artifact, read_object
from e2e.bad_input import dataset, resource
from e2e.cluster import cluster
from e2e.manifests import GOOD_ROWS
from e2e.namespace import Namespace
from e2e.pipelines import start_run, wait_for_run
from e2e.reader_access import bind, give_reader_a_key, wait_for_reader
from e2e.waiting import wait_until
from flywheel.client.workspace import Workspace

SECRET = "pa55word-of-the-registry"
STATUS: dict[str, Any] = {}  # of the Experiment before it is deleted
CODE = {"revision": "4f3c2b1", "repository": None}
# Logs for long enough that the API server knows its container, prints its Secret, and fails where its parameter says so, with metrics or without.
TRAINER = """
import json, os, pathlib, sys, time
out = pathlib.Path("/flywheel/outputs")
params = json.loads(pathlib.Path("/flywheel/params.json").read_text())
print("logging in with", os.environ["TOKEN"], flush=True)
with (out / "metrics.jsonl").open("w") as curve:
    for step in range(3):
        print("epoch", step, flush=True)
        curve.write(json.dumps({"step": step, "name": "loss", "value": 1 - 0.2 * step}) + "\\n")
        time.sleep(0.5)
(out / "tags.json").write_text('{"author": "ada"}')
if params["outcome"] == "fail":
    sys.exit("the last words of a failure")
(out / "metrics.json").write_text('{"loss": 0.6, "train_loss": 0.5}')
if params["outcome"] == "late":
    sys.exit(3)
"""
PIPELINE = """
apiVersion: flywheel.ml/v1alpha1
kind: TrainingPipeline
metadata: {name: nightly, labels: {team: risk}}
spec:
  inputs: [{name: rows, dataset: rows}]
  steps:
  - name: search
    train:
      from: rows
      trainer: {sklearn: {estimators: [{name: LogisticRegression, search: {C: {float: {min: "0.1", max: "1"}}}}]}}
      budget: {maxTrials: 2}
      resources: {requests: {cpu: 50m, memory: 256Mi}}
"""


def experiment(image: str) -> dict[str, Any]:
    container = {
        "image": image,
        "command": ["python3", "-c", TRAINER],
        "search": {"outcome": {"choice": ["pass", "fail", "late"]}},
        "env": [{"name": "TOKEN", "secret": {"name": "registry", "key": "token"}}],
    }
    spec = {
        "dataset": "rows",
        "objective": {"metric": "loss"},
        "trainer": {"container": container},
        "search": {"algorithm": "Grid"},
        "budget": {"maxTrials": 3, "maxFailedTrials": 3},
        "parallelism": 1,
        "code": {"revision": CODE["revision"]},
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}},
    }
    found = resource("Experiment", "delays", spec)
    return {**found, "metadata": {"name": "delays", "labels": {"team": "risk"}}}


@pytest.fixture(scope="module")
def deleted(namespace: Namespace, image: str) -> Namespace:
    """The namespace after its Experiment and its run have ended and are gone."""
    give_reader_a_key()
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "registry"}, "stringData": {"token": SECRET}}
    namespace.apply(secret, dataset("rows", namespace.upload("rows.csv", GOOD_ROWS)), PIPELINE)
    namespace.wait("fwds", "rows")
    namespace.apply(experiment(image))
    wait_until(
        lambda: kube.condition(namespace.get("fwexp", "delays"), "Succeeded").get("status") in ("True", "False"), 180
    )
    STATUS.update((namespace.get("fwexp", "delays") or {})["status"])
    start_run(namespace, "one", "nightly")
    assert wait_for_run(namespace, "one", 240)["result"] == "Succeeded"
    namespace.kubectl("delete", "fwexp/delays", "fwrun/one", "--wait")
    wait_until(lambda: not kube.list_objects("fwexp", namespace.name), 60)
    return namespace


@pytest.fixture(scope="module")
def records(deleted: Namespace) -> list[dict[str, Any]]:
    """All records of the index, from the store itself."""
    head = json.loads(read_object(deleted, "tracking/head.json"))["number"]
    return [json.loads(read_object(deleted, f"tracking/log/{number:010d}.json")) for number in range(1, head + 1)]


def by_outcome(records: list[dict[str, Any]], outcome: str) -> dict[str, Any]:
    return next(each for each in records if each["name"] == "delays" and each["parameters"]["outcome"] == outcome)


def test_the_records_of_the_trials_stay(records: list[dict[str, Any]]) -> None:
    good, bad = by_outcome(records, "pass"), by_outcome(records, "fail")

    assert (good["metrics"], good["dataset"]) == ({"loss": 0.6, "train_loss": 0.5}, "rows")
    assert (good["tags"], good["code"]) == ({"author": "ada", "team": "risk"}, CODE)
    assert (good["state"], bad["state"], bad["metrics"]) == ("Succeeded", "Failed", {"loss": 0.6})
    assert good["node"]


def test_the_records_agree_with_what_the_operator_counted(records: list[dict[str, Any]]) -> None:
    """Also of a main that had left its metrics when it failed: the kernel of the node says how main ended (Linux 6.15)."""
    if tuple(int(number) for number in platform.release().split(".")[:2]) < (6, 15):
        pytest.skip("this kernel does not say how another container's process ended")
    counted = {each["trial"]: (each["state"], each.get("reason")) for each in STATUS["lastTrials"]}
    recorded = {each["trial"]: (each["state"], each["reason"]) for each in records if each["name"] == "delays"}

    assert len(recorded) == 3
    assert recorded == counted
    late = by_outcome(records, "late")
    assert (late["state"], late["reason"], late["exitCode"]) == ("Failed", "ExitCode3", 3)
    assert late["metrics"] == {"loss": 0.6, "train_loss": 0.5}


@pytest.mark.parametrize("outcome", ["pass", "fail"])
def test_the_log_stays_and_has_no_value_of_a_secret(
    deleted: Namespace, records: list[dict[str, Any]], outcome: str
) -> None:
    record = by_outcome(records, outcome)
    assert record["log"], record["logMessage"]

    log = gzip.decompress(read_artifact(deleted, record["outputs"]["tracking"]["digest"])["main.log.gz"]).decode()

    assert log.startswith("logging in with ***\nepoch 0\nepoch 1\nepoch 2\n")
    assert SECRET not in log
    assert ("the last words of a failure" in log) == (outcome == "fail")


def test_the_curve_of_each_trial_stays(deleted: Namespace, records: list[dict[str, Any]]) -> None:
    for outcome in ("pass", "fail"):
        files = read_artifact(deleted, by_outcome(records, outcome)["outputs"]["tracking"]["digest"])

        assert [json.loads(line)["step"] for line in files["metrics.jsonl"].splitlines()] == [0, 1, 2]


def test_a_pipelines_search_stays_with_the_names_of_run_and_pipeline(records: list[dict[str, Any]]) -> None:
    searched = [each for each in records if each["run"] == "one"]

    assert len(searched) == 2
    assert {(each["pipeline"], each["kind"], each["state"]) for each in searched} == {
        ("nightly", "Experiment", "Succeeded")
    }
    assert all(each["metrics"] and each["tags"] == {"team": "risk"} and each["log"] for each in searched)


@pytest.fixture(scope="module")
def workspace(deleted: Namespace) -> Iterator[Workspace]:
    """What a user sees who may get Experiments, and holds no key of the store."""
    bind(deleted, "scientist", "flywheel-view")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("KUBECONFIG", str(cluster.chosen().kubeconfig))
        found = flywheel.connect(deleted.name, service_account="scientist")
        wait_for_reader(found)
        yield found


def test_whoever_may_see_experiments_reads_them_through_the_reader(workspace: Workspace) -> None:
    found = workspace.trials("metrics.loss < 0.7 and attributes.state = 'Succeeded'", experiment="delays")

    assert [record["tags"]["author"] for record in found.records] == ["ada"]
    assert "epoch 2" in found.trial(0).log()

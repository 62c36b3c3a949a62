"""What gates on traffic read: the logs of the services that serve the Model, and the labels of their monitors."""

import json
from typing import Any

import pytest

from flywheel.core.pods.step_config.promotion import GatesConfig
from flywheel.core.resource.api import DATASET, INFERENCE_SERVICE, MODEL, MODEL_MONITOR, Manifest
from flywheel.kinds.model.schema.spec import ModelSpec
from tests.kinds.modelversion.gates.nomination import RIVAL, nominated_version
from tests.kinds.modelversion.situations import TRAINED, Version, trained
from tests.simulation.resources import custom

REPLAY = {"name": "yesterday", "replay": {"window": "24h", "maxFlips": "2%", "by": "origin"}}
LABELLED: dict[str, Any] = {"name": "labels", "labelled": {"metric": "roc_auc", "minGain": "0", "window": "7d"}}
LOGGING = {"sample": "10%", "columns": [{"name": "age", "action": "Bucket", "width": "5"}]}


def model(*gates: dict[str, Any], champion: str | None = RIVAL) -> Manifest:
    spec = {"gates": list(gates), "defaultGates": "Disabled"}
    hashed = ModelSpec.model_validate(spec).gates_hash()
    challenger = {"version": "flight-delay-3f9a1c2e", "gates": hashed}
    rival = {"champion": "flight-delay-old", "championDigest": champion} if champion else {}
    status = {"champion": "flight-delay-old", "challenger": {**challenger, **rival}}
    return custom(MODEL, "flight-delay", spec, status=status)


def service(name: str = "delay", **more: Any) -> Manifest:
    return custom(INFERENCE_SERVICE, name, {"model": "flight-delay", "auth": {"none": {}}, "logging": LOGGING, **more})


def monitor(name: str = "delay", **truth: Any) -> Manifest:
    spec = {"inferenceService": "delay", "groundTruth": {"delay": {"max": "1d"}, **truth}}
    return custom(MODEL_MONITOR, name, spec)


def job_of(*manifests: Manifest, nominated: Manifest) -> tuple[dict[str, Any], dict[str, Any]]:
    """The inputs by name, and what params.json has of the traffic."""
    found = nominated_version(*manifests, nominated=nominated)
    found.reconcile()
    [job] = found.jobs()
    containers = {each["name"]: each for each in job["spec"]["template"]["spec"]["initContainers"]}
    env = {each["name"]: each.get("value") for each in containers["fetch"]["env"]}
    params = json.loads(env["FLYWHEEL_PARAMS"])
    GatesConfig.model_validate(params)
    return {each["name"]: each for each in json.loads(env["FLYWHEEL_FETCH"])["inputs"]}, params.get("traffic", {})


def test_a_replay_reads_the_log_of_each_service_that_serves_the_model() -> None:
    silent = service("silent", logging={"sample": "0%"})
    other = custom(INFERENCE_SERVICE, "other", {"model": "another", "auth": {"none": {}}, "logging": {}})
    inputs, traffic = job_of(service(), silent, other, nominated=model(REPLAY))

    assert inputs["rows-delay"]["folder"] == {
        "path": "predictions/delay/rows/",
        "parts": [f"dt=2025-12-31/hour={hour:02}/" for hour in range(11, 24)]
        + [f"dt=2026-01-01/hour={hour:02}/" for hour in range(12)],
    }
    assert "rows-silent" not in inputs
    assert traffic["until"].startswith("2026-01-01T12:")
    assert traffic["services"] == [
        {"name": "delay", "sample": "10%", "protected": {"age": "Bucket"}},
        {"name": "silent"},
    ]


def test_labels_are_those_of_the_only_monitor_that_has_some() -> None:
    without = custom(MODEL_MONITOR, "no-labels", {"inferenceService": "delay"})
    inputs, traffic = job_of(service(), monitor(), without, nominated=model(LABELLED))

    assert traffic["labels"] == [{"gate": "labels", "monitor": "delay", "service": "delay", "maxDelaySeconds": 86_400}]
    assert inputs["labels-delay"]["folder"]["path"] == "predictions/delay/labels/"
    assert len(inputs["labels-delay"]["folder"]["parts"]) == 13 + 6 + 12, "whole days are one folder"


def test_the_guards_of_the_monitor_are_those_of_the_gate() -> None:
    guards = {"trustedSources": ["system:serviceaccount:shop:claims"], "maxSourceShare": "20%", "maxDeviations": 6}
    _, traffic = job_of(service(), monitor(guards=guards), nominated=model(LABELLED))

    [labels] = traffic["labels"]
    assert {name: labels[name] for name in guards} == {**guards, "maxSourceShare": "0.2"}


def test_labels_of_a_dataset_are_its_artifact() -> None:
    truths = custom(DATASET, "truths", {}, status={"digest": "sha256:" + "5" * 64})
    by_key = monitor(dataset="truths", key="flight_id", column="late")
    inputs, traffic = job_of(service(), by_key, truths, nominated=model(LABELLED))

    assert inputs["labels-delay"]["artifact"] == "sha256:" + "5" * 64
    assert (traffic["labels"][0]["key"], traffic["labels"][0]["column"]) == ("flight_id", "late")


@pytest.mark.parametrize(
    ("manifests", "named", "words"),
    [
        ((), None, "no ModelMonitor of InferenceService 'delay' have spec.groundTruth"),
        ((monitor(), monitor("second")), None, "2 ModelMonitors (delay, second)"),
        ((monitor(), monitor("second")), "third", "ModelMonitor 'third' does not exist, has no spec.groundTruth"),
        ((monitor(dataset="truths", key="id", column="late"),), None, "Dataset 'truths', which has the labels"),
    ],
)  # fmt: skip
def test_what_keeps_labels_away_is_told(manifests: tuple[Manifest, ...], named: str | None, words: str) -> None:
    gate = {"name": "labels", "labelled": {**LABELLED["labelled"], **({"monitor": named} if named else {})}}
    _, traffic = job_of(service(), *manifests, nominated=model(gate))

    assert words in traffic["labels"][0]["problem"]


def test_a_version_without_data_is_measured_on_traffic() -> None:
    found = Version(trained(), model(REPLAY), service())
    found.reconcile()
    found.succeed()
    for _ in range(3):
        found.reconcile()
    [job] = found.jobs()
    fetch = job["spec"]["template"]["spec"]["initContainers"][1]
    env = {each["name"]: each.get("value") for each in fetch["env"]}

    names = [each["name"] for each in json.loads(env["FLYWHEEL_FETCH"])["inputs"]]
    assert names == ["model", "champion", "rows-delay"]
    assert json.loads(env["FLYWHEEL_PARAMS"])["digest"] == TRAINED


def test_the_first_version_reads_no_log() -> None:
    slices = {"name": "slices", "slice": {"by": "origin", "metric": "f1", "min": "0.5"}}
    inputs, traffic = job_of(service(), nominated=model(REPLAY, slices, champion=None))

    assert [*inputs] == ["model", "data"]
    assert traffic == {}

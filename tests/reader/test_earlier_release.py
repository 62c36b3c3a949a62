"""Trials of an Experiment that a release without records ran are shown as the others, and marked."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from flywheel_reader.tracking.earlier_results import newest_results
from tests.reader.running_reader import RunningReader
from tests.reader.seeds import new_record

TRIALS = "/v1/namespaces/shop/trials"
UID = "uid-old"
CURVE = b'{"step": 0, "name": "loss", "value": 0.5}\n'


def history(*states: str) -> list[dict[str, Any]]:
    return [
        {"trial": number, "state": state, "value": f"0.{number}", "point": "[0]"}
        for number, state in enumerate(states, 1)
    ]


@pytest.fixture(scope="module")
def experiment(reader_process: RunningReader) -> Iterator[None]:
    """Four trials in the history: two with results, one that a newer release recorded, and one that still runs."""
    seeds = reader_process.seeds
    params = {"estimator": "Forest", "parameters": {"depth": 3}, "seed": 5, "objective": {"metric": "roc_auc"}}
    digest = seeds.artifact({"params.json": json.dumps(params).encode(), "metrics.jsonl": CURVE})
    result = {
        "v": 1,
        "complete": True,
        "metrics": {"roc_auc": 0.75},
        "outputs": {"tracking": {"digest": digest, "size": 1, "files": 2}},
        "startedAt": "2026-11-01T00:00:00Z",
        "finishedAt": "2026-11-01T00:01:00Z",
    }
    seeds.put(f"results/{UID}/trial-1/1.json", json.dumps({**result, "metrics": {"roc_auc": 0.1}}).encode())
    seeds.put(f"results/{UID}/trial-1/2/job-uid.json", json.dumps(result).encode())
    seeds.records([new_record(1, id=f"{UID}.trial-3", uid=UID, name="old", trial=3)])
    reader_process.cluster.objects["experiments", "shop", "old"] = {
        "metadata": {"name": "old", "uid": UID},
        "spec": {"dataset": "flights"},
        "status": {
            "metric": "roc_auc",
            "direction": "Maximize",
            "data": {"version": "flights-1", "digest": "sha256:1"},
            "history": history("Succeeded", "Failed", "Succeeded", "Running"),
            "lastTrials": [{"trial": 2, "state": "Failed", "reason": "OOMKilled", "message": "too much memory"}],
        },
    }
    yield
    reader_process.cluster.objects.clear()


@pytest.mark.integration
@pytest.mark.usefixtures("experiment")
def test_results_are_not_read_for_a_caller_without_the_right(reader: RunningReader) -> None:
    reader.cluster.tokens["token-of-eve"] = ("eve", "flywheel-reader")
    reader.cluster.requests.clear()

    assert reader.get(f"{TRIALS}/{UID}.trial-1", "token-of-eve").status == 403

    assert not any(path.endswith("/experiments/old") for _, path in reader.cluster.requests)


@pytest.mark.integration
@pytest.mark.usefixtures("experiment")
def test_one_trial_is_found_before_any_list(reader: RunningReader) -> None:
    found = reader.get(f"{TRIALS}/{UID}.trial-1").json

    assert (found["recorded"], found["metrics"], found["parameters"]) == (False, {"roc_auc": 0.75}, {"depth": 3})
    assert {file["path"] for file in found["files"]} == {"params.json", "metrics.jsonl"}
    assert reader.get(f"{TRIALS}/{UID}.trial-1/curves").json["curves"]["loss"] == [[0, 0.5, None]]
    log = reader.get(f"{TRIALS}/{UID}.trial-1/log")
    assert (log.status, "stored no logs" in log.message) == (404, True)


@pytest.mark.integration
@pytest.mark.usefixtures("experiment")
def test_the_list_has_them_beside_those_with_records(reader: RunningReader) -> None:
    items = {item["trial"]: item for item in reader.items("?experiment=old&orderBy=attributes.trial")}

    assert {trial: item.get("recorded", True) for trial, item in items.items()} == {1: False, 2: False, 3: True}
    assert (items[2]["state"], items[2]["reason"], items[2]["metrics"]) == ("Failed", "OOMKilled", {"roc_auc": 0.2})
    assert (items[1]["estimator"], items[1]["datasetVersion"], items[1]["seed"]) == ("Forest", "flights-1", 5)
    assert [item["trial"] for item in reader.items("?experiment=old&filter=params.depth%20%3D%203")] == [1]


@pytest.mark.parametrize(
    ("keys", "counts"),
    [
        (["results/u/trial-1/1.json"], "results/u/trial-1/1.json"),
        (["results/u/trial-1/10/a.json", "results/u/trial-1/9/b.json"], "results/u/trial-1/10/a.json"),
        (["results/u/trial-1/1/job/3.json", "results/u/trial-1/1/job/0.json"], "results/u/trial-1/1/job/0.json"),
        (["results/u/trial-1/1/a.json", "results/u/trial-1/1/b.json"], "results/u/trial-1/1/b.json"),
        (["results/u/trial-1/x.json", "results/u/trial-1/1.txt", "results/u/trial-1"], None),
    ],
)
def test_the_result_that_counts(keys: list[str], counts: str | None) -> None:
    objects = [(key, datetime(2026, 11, 1, second, tzinfo=UTC)) for second, key in enumerate(keys)]

    assert newest_results(objects).get("trial-1") == counts

"""A training is applied, followed and read, on an API server and a reader on loopback."""

import asyncio
import time
from typing import Any

import pytest

from flywheel.client.aio import AsyncWorkspace
from flywheel.client.errors import FlywheelError
from flywheel.client.training.experiment_manifest import TrainingOptions, experiment_manifest
from flywheel.client.training.function_training import Training
from flywheel.client.training.log_stream import clean_line
from flywheel.core.resource.api import EXPERIMENT
from tests.client.local_cluster import Call, LocalCluster, Reply, status
from tests.client.sample_records import record

REQUEST = TrainingOptions(data="flights", objective="f1", search={"rate": (0.1, 1.0)})
FLIGHTS = {"metadata": {"name": "flights", "namespace": "shop"}, "spec": {}}
POD_LOG = "/api/v1/namespaces/shop/pods/score-trial-1/log"


def score(rate: float) -> float:
    return rate


def experiment(succeeded: str | None, reason: str, message: str, **more: Any) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": "False", "reason": reason, "message": message, "observedGeneration": 1}]
    if succeeded is not None:
        conditions.append({"type": "Succeeded", "status": succeeded, "reason": reason, "message": message})
    return {
        "metadata": {"name": "score", "namespace": "shop", "uid": "u-1", "generation": 1},
        "spec": {},
        "status": {"metric": "f1", "conditions": conditions, **more},
    }


def trial(number: int, state: str, **more: Any) -> dict[str, Any]:
    return {"trial": number, "state": state, "parameters": {"rate": "0.5"}, **more}


def pod() -> dict[str, Any]:
    return {
        "metadata": {"name": "score-trial-1", "uid": "p-1", "labels": {"flywheel.ml/step": "trial-1"}},
        "status": {"containerStatuses": [{"name": "main", "state": {"running": {}}}]},
    }


def follow(cluster: LocalCluster) -> list[str]:
    """What is shown of the Experiment as it is."""
    lines: list[str] = []
    session = cluster.workspace().session
    Training(session, EXPERIMENT, "score", "u-1").wait(show=lines.append)
    return lines


def test_the_function_becomes_an_experiment(cluster: LocalCluster) -> None:
    cluster.add("datasets", FLIGHTS)
    name = experiment_manifest(score, REQUEST)["metadata"]["name"]
    made = Reply({"metadata": {"name": name, "uid": "u-1"}})
    cluster.api[f"/apis/flywheel.ml/v1alpha1/namespaces/shop/experiments/{name}"] = made

    training = cluster.workspace().train(score, wait=False, **REQUEST)

    applied = next(call for call in cluster.calls if call.method == "PATCH")
    container = applied.body["spec"]["trainer"]["container"]
    assert (training.name, training.uid) == (name, "u-1")
    assert ("force", "false") in applied.query
    assert "def score(rate: float) -> float:\n    return rate\n" in container["source"]
    assert container["search"] == {"rate": {"float": {"min": "0.1", "max": "1.0"}}}


def test_a_function_is_trained_from_asyncio(cluster: LocalCluster) -> None:
    cluster.add("datasets", FLIGHTS)
    name = experiment_manifest(score, REQUEST)["metadata"]["name"]
    made = Reply({"metadata": {"name": name, "uid": "u-1"}})
    cluster.api[f"/apis/flywheel.ml/v1alpha1/namespaces/shop/experiments/{name}"] = made

    training = asyncio.run(AsyncWorkspace(cluster.workspace()).train(score, wait=False, **REQUEST))

    assert training.name == name


def test_nothing_is_sent_for_a_function_that_cannot_run(cluster: LocalCluster) -> None:
    with pytest.raises(FlywheelError, match="nothing was started"):
        cluster.workspace().train(lambda rate: rate, **REQUEST)

    assert cluster.calls == []


def test_a_dataset_that_does_not_exist_is_named_before_anything_starts(cluster: LocalCluster) -> None:
    with pytest.raises(FlywheelError, match="Dataset 'flights' in namespace 'shop' does not exist"):
        cluster.workspace().train(score, **REQUEST)

    assert {call.method for call in cluster.calls} == {"GET"}


@pytest.mark.parametrize("token", [None, "user-token"], ids=["a client certificate", "a token"])
def test_trials_that_cannot_be_read_are_named_before_anything_starts(
    cluster: LocalCluster, capsys: pytest.CaptureFixture[str], token: str | None
) -> None:
    cluster.add("datasets", FLIGHTS)
    name = experiment_manifest(score, REQUEST)["metadata"]["name"]
    printed: list[str] = []

    def applied(_call: Call) -> Reply:
        printed.append(capsys.readouterr().out)
        return Reply({"metadata": {"name": name, "uid": "u-1"}})

    cluster.api[f"/apis/flywheel.ml/v1alpha1/namespaces/shop/experiments/{name}"] = applied
    if token:
        cluster.reader["/v1/namespaces/shop/trials"] = Reply({"items": [], "next": None})

    cluster.workspace(token=token).train(score, wait=False, **REQUEST)

    assert [line.partition(": ")[2].partition(" (")[0] for line in printed[0].splitlines()] == (
        [] if token else ["your kubeconfig has no token"]
    )


def test_progress_and_logs_are_shown_line_by_line(cluster: LocalCluster) -> None:
    last = [trial(2, "Failed", message="exit code 1"), trial(1, "Succeeded", value="0.5")]
    cluster.add("experiments", experiment("True", "BudgetSpent", "The search is over.", lastTrials=last, best=last[1]))
    cluster.add("pods", pod())
    cluster.api[POD_LOG] = Reply(b"step 1 loss=0.5\nred \x1b[31m\nend")

    lines = follow(cluster)

    assert "BudgetSpent: The search is over." in lines
    assert "trial 1 Succeeded f1=0.5 (rate=0.5)" in lines
    assert "trial 2 Failed (rate=0.5): exit code 1" in lines
    assert [line for line in lines if line.startswith("trial 1 | ")] == [
        "trial 1 | step 1 loss=0.5",
        "trial 1 | red \\x1b[31m",
        "trial 1 | end",
    ]
    assert ("container", "main") in next(call.query for call in cluster.calls if call.path == POD_LOG)


def test_without_the_right_to_logs_one_line_says_so(cluster: LocalCluster) -> None:
    cluster.add("experiments", experiment("True", "Trained", "Trained."))
    cluster.add("pods", pod())
    cluster.api[POD_LOG] = status(403, "Forbidden", "pods/log is forbidden")

    assert "Logs are shown when trials have ended: you may not 'get' pods/log in namespace 'shop'." in follow(cluster)


def test_without_the_right_to_pods_one_line_says_so(cluster: LocalCluster) -> None:
    cluster.add("experiments", experiment("True", "Trained", "Trained."))
    cluster.api["/api/v1/namespaces/shop/pods"] = status(403, "Forbidden", "pods is forbidden")

    assert "Logs are shown when trials have ended: you may not 'list' pods in namespace 'shop'." in follow(cluster)


def test_an_interrupt_leaves_the_search_running_and_says_so(
    cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.add("experiments", experiment(None, "Searching", "Searching."))
    lines: list[str] = []

    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        Training(cluster.workspace().session, EXPERIMENT, "score", "u-1").wait(show=lines.append)

    assert lines == ["Experiment 'score' continues; the same cell, or wait(), follows it again."]


def test_a_timeout_leaves_the_search_running(cluster: LocalCluster) -> None:
    cluster.add("experiments", experiment(None, "Searching", "1 of 4 trials run."))

    with pytest.raises(FlywheelError, match="has not ended in time; it continues: 1 of 4 trials run"):
        Training(cluster.workspace().session, EXPERIMENT, "score", "u-1").wait(timeout=0, show=lambda _line: None)


def test_a_search_that_found_nothing_raises_with_its_condition_and_shows_the_recorded_log(
    cluster: LocalCluster,
) -> None:
    failed = [trial(1, "Failed", message="exit code 1")]
    cluster.add("experiments", experiment("False", "TrialsFailed", "All trials failed.", lastTrials=failed))
    found = record(1, name="score", id="u-1.trial-1")
    cluster.reader["/v1/namespaces/shop/trials"] = Reply({"items": [found], "next": None, "total": 1})
    cluster.reader[f"/v1/namespaces/shop/trials/{found['id']}/log"] = Reply(b"ValueError: rate is wrong\n")
    lines: list[str] = []

    with pytest.raises(FlywheelError) as raised:
        Training(cluster.workspace().session, EXPERIMENT, "score", "u-1").wait(show=lines.append)

    assert raised.value.condition["reason"] == "TrialsFailed"
    assert lines[-1] == "trial 1 | ValueError: rate is wrong"


def test_the_best_trial_is_that_of_this_experiment_and_not_of_a_deleted_one(cluster: LocalCluster) -> None:
    cluster.add("experiments", experiment("True", "Trained", "Trained.", best=trial(7, "Succeeded", value="0.5")))
    asked: list[Call] = []

    def trials(call: Call) -> Reply:
        asked.append(call)
        return Reply({"items": [record(7, id="u-0.trial-7"), record(7, id="u-1.trial-7")], "next": None, "total": 2})

    cluster.reader["/v1/namespaces/shop/trials"] = trials
    training = Training(cluster.workspace().session, EXPERIMENT, "score", "u-1")

    best = training.best

    assert best is not None
    assert best.id == "u-1.trial-7"
    assert ("experiment", "score") in asked[0].query
    assert len(training.trials) == 1


def test_a_training_without_a_trial_has_no_best(cluster: LocalCluster) -> None:
    cluster.add("experiments", experiment(None, "Searching", "Searching."))

    assert Training(cluster.workspace().session, EXPERIMENT, "score", "u-1").best is None


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        pytest.param(b"plain \t text\r", "plain \t text", id="text"),
        pytest.param(b"\x1b]0;title\x07", "\\x1b]0;title\\x07", id="what controls a terminal"),
        pytest.param(b"caf\xe9", "caf\N{REPLACEMENT CHARACTER}", id="another encoding"),
        pytest.param(b"x" * 3000, "x" * 2000 + "…", id="long"),
    ],
)
def test_lines_are_safe_to_print(line: bytes, shown: str) -> None:
    assert clean_line(line) == shown

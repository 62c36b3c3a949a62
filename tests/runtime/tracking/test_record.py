"""What a record says of the end of a trial."""

import json
from pathlib import Path
from typing import Any

import pytest

from flywheel_runtime.commands.collect.main_failure import exit_failure, reported_failure
from flywheel_runtime.contract.config.track import TrackConfig
from flywheel_runtime.contract.paths import Attempt
from flywheel_runtime.tracking.index import canonical_bytes
from flywheel_runtime.tracking.record import MAX_RECORD_BYTES, End, Logged, new_record, record_id
from tests.runtime import pods

ATTEMPT = Attempt("shop", "1234", "trial-7", "2")
TRACK = TrackConfig("Experiment", "delays", trial=7, parameters={"alpha": 0.1}, tags={"team": "a", "stage": "x"})


def record(report: dict[str, Any], logged: Logged | None = None, end: End | None = None) -> dict[str, Any]:
    env = {"FLYWHEEL_IMAGE": "acme/trainer:3", "FLYWHEEL_NODE": "node-1"}
    return new_record(TRACK, ATTEMPT, None, env, report, logged or Logged(), end or End())


def golden(name: str) -> dict[str, Any]:
    return dict(pods.golden(f"collect_{name}")["message"])


def finished_pods() -> list[Any]:
    """The golden pods that collect saw to their end, and that the operator counts, by their names."""
    found = []
    for file in sorted(pods.GOLDEN.glob("pod_*.json")):
        body = json.loads(file.read_text(encoding="utf-8"))
        message = (body["pod"].get("collect") or {}).get("message", "")
        if '"phase":"Finished"' in message and body["reading"]["result"] != "Infrastructure":
            found.append(pytest.param(body["pod"], body["reading"], id=body["description"]))
    return found


@pytest.mark.parametrize(("pod", "reading"), finished_pods())
def test_the_record_has_the_state_and_the_reason_that_the_operator_decides(
    pod: dict[str, Any], reading: dict[str, str], tmp_path: Path
) -> None:
    main, fetch = pod.get("main") or {}, pod.get("fetch") or {}
    (tmp_path / "main").write_text(main.get("message") or "")
    (tmp_path / "fetch").write_text(fetch.get("message") or "")
    failure = exit_failure(main.get("exitCode"), tmp_path / "main")
    if not main and fetch.get("exitCode") == 2:
        failure = reported_failure(tmp_path / "fetch")

    found = record(json.loads(pod["collect"]["message"]), end=End(main.get("exitCode"), failure))

    states = {"Succeeded": "Succeeded", "Failed": "Failed", "Invalid": "Failed"}
    pruned = reading["reason"] == "Pruned"
    assert found["state"] == ("Pruned" if pruned else states[reading["result"]])
    assert found["reason"] == (None if found["state"] == "Succeeded" else reading["reason"])
    assert found["exitCode"] == main.get("exitCode")


@pytest.mark.parametrize(
    ("code", "reason"), [(0, None), (None, None), (1, "ExitCode1"), (143, "Killed"), (139, "ExitCode139")]
)
def test_a_main_that_left_its_metrics_failed_if_its_exit_code_says_so(
    code: int | None, reason: str | None, tmp_path: Path
) -> None:
    found = record(golden("finished"), end=End(code, exit_failure(code, tmp_path / "none")))

    assert (found["state"], found["reason"]) == ("Failed" if reason else "Succeeded", reason)


@pytest.mark.parametrize("text", ["", "boom", "[1]", '{"reason": 7}', "[" * 100_000])
def test_a_report_of_another_form_is_no_reason(text: str, tmp_path: Path) -> None:
    (tmp_path / "failure.json").write_text(text)

    failure = exit_failure(1, tmp_path / "failure.json")

    assert failure is not None
    assert (failure.reason, failure.message) == ("ExitCode1", "main ended with exit code 1")


@pytest.mark.parametrize(
    ("name", "state", "reason"),
    [
        pytest.param("finished", "Succeeded", None, id="a success"),
        pytest.param("metrics_missing", "Failed", "MetricsMissing", id="a failure has its reason"),
        pytest.param("timed_out", "Failed", "TimedOut", id="a timeout"),
        pytest.param("timed_out_but_complete", "Failed", "TimedOut", id="a timeout counts although metrics were left"),
        pytest.param("oom_of_child", "Failed", "OOMKilled", id="a killed child"),
        pytest.param("pruned", "Pruned", "Pruned", id="a pruned trial"),
    ],
)
def test_the_state_is_what_the_operator_makes_of_the_report(name: str, state: str, reason: str | None) -> None:
    found = record(golden(name))

    assert (found["state"], found["reason"]) == (state, reason)


def test_a_record_has_what_the_operator_knows_and_what_main_left() -> None:
    found = record(golden("finished"), Logged({"depth": 3}, {"stage": "y"}, log=True))

    assert (found["id"], found["attempt"], found["trial"]) == ("1234.trial-7", 2, 7)
    assert (found["parameters"], found["loggedParameters"]) == ({"alpha": 0.1}, {"depth": 3})
    assert found["tags"] == {"team": "a", "stage": "y"}
    assert (found["image"], found["node"], found["log"]) == ("acme/trainer:3", "node-1", True)
    assert found["metrics"] == golden("finished")["metrics"]


def test_a_main_without_metrics_has_the_last_values_of_its_curves() -> None:
    assert record(golden("metrics_missing"), Logged(metrics={"loss": 0.5}))["metrics"] == {"loss": 0.5}


def test_each_item_of_a_step_has_a_record_of_its_own() -> None:
    assert record_id(ATTEMPT, 3) == "1234.trial-7.3"


def test_a_record_of_thousands_of_metrics_is_shortened_and_says_so() -> None:
    report = {**golden("finished"), "metrics": {f"metric_{number}_{'x' * 40}": 0.123456789 for number in range(5000)}}

    found = record(report, Logged(tags={"note": "x" * 1000}))

    assert len(canonical_bytes({**found, "number": 1})) <= MAX_RECORD_BYTES
    assert found["shortened"][-1] == "metrics"
    assert "metric_0_" + "x" * 40 in found["metrics"]

"""Findings of a ModelMonitor start runs: once for each change of the world, and only for what the trigger names."""

from typing import Any

import pytest

from flywheel.core.resource.api import MODEL_MONITOR, TRAINING_RUN, Reference
from flywheel.kinds.trainingpipeline.schema.triggers import Skipped
from tests.kinds.trainingpipeline.situations import Loop, pipeline
from tests.simulation.resources import custom

WORSE = {"name": "worse", "monitor": {"name": "watch", "when": "Performance"}}
FOUND = {"signal": "performance", "subject": "accuracy", "version": "m-1", "since": "2026-01-01T10:00:00Z"}
LATER = FOUND | {"since": "2026-01-02T10:00:00Z"}


def loop_with(*triggers: dict[str, Any], **spec: Any) -> Loop:
    loop = Loop(pipeline(*(triggers or (WORSE,)), **spec))
    loop.serve("m-1")
    return loop


def skipped(loop: Loop, name: str = "worse") -> Skipped:
    found = loop.trigger(name).skipped
    assert found is not None
    return found


def test_a_finding_starts_one_run_however_often_it_is_found_again() -> None:
    loop = loop_with()
    loop.find()
    loop.settle()
    assert loop.runs() == []
    loop.find(FOUND | {"message": "accuracy of version m-1 is 0.71, and was 0.84 on test rows."})
    for _ in range(3):
        loop.settle()
        loop.end_runs()
        loop.advance(hours=1)
        loop.wake_all()

    [run] = loop.runs()
    cause = run["spec"]["cause"]
    assert (cause["monitor"], cause["finding"], cause["version"]) == ("watch", "performance", "m-1")
    assert (
        cause["message"] == "ModelMonitor 'watch' has found: accuracy of version m-1 is 0.71, and was 0.84 on test rows"
    )


def test_a_finding_that_begins_after_the_run_is_another_cause() -> None:
    loop = loop_with()
    loop.find(FOUND)
    loop.settle()
    loop.end_runs()
    loop.find()
    loop.settle()
    loop.advance(days=1)
    loop.find(LATER)
    loop.settle()

    assert {run["spec"]["cause"]["since"] for run in loop.runs()} == {FOUND["since"], LATER["since"]}


@pytest.mark.parametrize(
    ("when", "signal"),
    [
        ("Performance", "performance"),
        ("EstimatedPerformance", "estimatedPerformance"),
        ("PredictionDrift", "predictionDrift"),
        ("DataHealth", "dataQuality"),
    ],
)
def test_a_trigger_fires_for_what_it_names_and_for_nothing_else(when: str, signal: str) -> None:
    loop = loop_with({"name": "worse", "monitor": {"name": "watch", "when": when}})
    others = {"featureDrift", "performance", "estimatedPerformance", "predictionDrift", "dataQuality"} - {signal}
    estimated: dict[str, Any] = {"estimatedPerformance": {"metric": "accuracy"}}
    loop.find(*(FOUND | {"signal": other} for other in sorted(others)), **estimated)
    loop.settle()
    assert loop.runs() == []
    loop.find(FOUND | {"signal": signal}, **estimated)
    loop.settle()

    assert [run["spec"]["cause"]["finding"] for run in loop.runs()] == [signal]


@pytest.mark.parametrize("is_owned", [False, True])
def test_a_cause_that_somebody_wrote_by_hand_keeps_no_run_away(is_owned: bool) -> None:
    loop = loop_with(guard={"concurrency": 5})
    about = {"trigger": "worse", "key": "x", "message": "by hand", "finding": "performance", "version": "m-1"}
    by_hand = custom(TRAINING_RUN, "by-hand", {"pipeline": "loop", "cause": about})
    if is_owned:
        owner = {"apiVersion": "flywheel.ml/v1alpha1", "kind": "TrainingPipeline", "name": "loop"}
        by_hand["metadata"]["ownerReferences"] = [owner | {"uid": loop.resource.uid}]
    loop.put(by_hand)
    loop.find(FOUND)
    loop.settle()

    assert len(loop.runs()) == 2


def test_two_monitors_with_one_cause_start_one_run() -> None:
    other = {"name": "other", "monitor": {"name": "second", "when": "Performance"}}
    loop = loop_with(WORSE, other, guard={"concurrency": 5})
    loop.find(FOUND)
    loop.find(FOUND | {"since": "2026-01-01T09:00:00Z"}, monitor="second")
    for _ in range(2):
        loop.settle()
        loop.end_runs()

    [run] = loop.runs()
    assert skipped(loop, "other").reason == "SameCause"
    assert run["metadata"]["name"] in skipped(loop, "other").message


def test_one_change_in_two_columns_starts_one_run_and_is_told() -> None:
    loop = loop_with({"name": "worse", "monitor": {"name": "watch", "when": "DataHealth"}})
    first, second = (FOUND | {"signal": "dataQuality", "subject": column} for column in ("age", "weight"))
    loop.find(first)
    loop.settle()
    loop.end_runs()
    loop.find(first, second)
    loop.settle()

    assert len(loop.runs()) == 1
    assert skipped(loop).reason == "SameCause"


def test_findings_of_two_versions_are_two_causes_and_each_is_handled_once() -> None:
    loop = loop_with(retention={"succeeded": 1, "failed": 1})
    loop.serve("m-1", rollout=CANARY)
    both = (FOUND, FOUND | {"version": "m-2"})
    loop.find(*both)
    for _ in range(5):
        loop.settle()
        loop.end_runs()
        loop.advance(hours=1)
        loop.wake_all()

    assert len(loop.status.starts) == 2
    assert len(loop.trigger("worse").handled) == 2


CANARY = {
    "phase": "Judging",
    "mode": "Canary",
    "challenger": "m-2",
    "champion": "m-1",
    "started": "2026-01-01T09:00:00Z",
    "since": "2026-01-01T09:00:00Z",
}


@pytest.mark.parametrize(
    ("serving", "version"),
    [
        pytest.param({"version": "m-2"}, "m-1", id="another champion has taken over"),
        pytest.param(
            {"version": "m-1", "rollout": CANARY | {"phase": "RolledBack"}}, "m-2", id="its rollout was rolled back"
        ),
    ],
)
def test_labels_that_arrive_after_a_version_was_replaced_start_no_run(serving: dict[str, Any], version: str) -> None:
    loop = loop_with()
    loop.serve(**serving)
    loop.find(FOUND | {"version": version})
    loop.settle()

    assert loop.runs() == []
    assert skipped(loop).reason == "VersionNotServed"
    assert f"Version '{version}' answers no requests any more" in skipped(loop).message


def test_a_monitor_that_is_deleted_while_its_trigger_waits_starts_no_run_and_is_told() -> None:
    loop = loop_with(guard={"cooldown": "6h"})
    loop.find(FOUND)
    loop.settle()
    loop.end_runs()
    loop.advance(hours=1)
    loop.find(LATER | {"since": "2026-01-01T12:30:00Z"})
    loop.settle()
    assert skipped(loop).reason == "Cooldown"
    loop.cluster.remove(Reference(MODEL_MONITOR, "default", "watch"))
    loop.advance(hours=6)
    loop.settle()

    assert len(loop.runs()) == 1
    assert (skipped(loop).reason, "create it" in skipped(loop).message) == ("MonitorNotFound", True)
    loop.find()
    loop.settle()
    assert loop.trigger("worse").skipped is None


def test_a_finding_that_ends_while_its_trigger_waits_starts_no_run_and_is_told() -> None:
    loop = loop_with(suspend=True)
    loop.find(FOUND)
    loop.settle()
    assert skipped(loop).reason == "Suspended"
    loop.find()
    loop.settle()
    ended = skipped(loop)
    loop.patch_spec(suspend=None)
    loop.settle()

    assert loop.runs() == []
    assert (ended.reason, skipped(loop)) == ("CauseEnded", ended)


def test_the_guard_holds_a_finding_and_a_waiting_one_fires_later() -> None:
    loop = loop_with(guard={"cooldown": "6h"})
    loop.find(FOUND)
    loop.settle()
    loop.end_runs()
    loop.advance(hours=1)
    loop.find(FOUND | {"since": "2026-01-01T12:30:00Z"})
    loop.settle()
    assert (len(loop.runs()), skipped(loop).reason) == (1, "Cooldown")
    loop.advance(hours=5)
    loop.settle()

    assert len(loop.runs()) == 2


@pytest.mark.parametrize(
    ("when", "spec", "field"),
    [
        ("Performance", {"performance": None}, "spec.performance"),
        ("EstimatedPerformance", {}, "spec.estimatedPerformance"),
        ("PredictionDrift", {"predictionDrift": {"disabled": True}}, "spec.predictionDrift.disabled"),
    ],
)
def test_a_signal_that_the_monitor_does_not_test_is_told(when: str, spec: dict[str, Any], field: str) -> None:
    loop = loop_with({"name": "worse", "monitor": {"name": "watch", "when": when}})
    loop.find(**spec)
    loop.settle()

    assert skipped(loop).reason == "SignalNotTested"
    assert field in skipped(loop).message


def test_a_status_that_was_lost_starts_no_second_run() -> None:
    loop = loop_with(guard={"concurrency": 5})
    loop.find(FOUND)
    for _ in range(3):
        loop.reconcile_and_lose_status()
    loop.settle()

    [run] = loop.runs()
    fired = loop.trigger("worse").fired
    assert fired is not None
    assert (fired.run, fired.version) == (run["metadata"]["name"], "m-1")


def test_a_monitor_created_anew_finds_the_same_and_starts_no_second_run() -> None:
    loop = loop_with()
    loop.find(FOUND)
    loop.settle()
    loop.end_runs()
    loop.find(FOUND, uid="7c3e7c4e-0000-4000-8000-000000000000")
    loop.settle()

    assert len(loop.runs()) == 1
    assert skipped(loop).reason == "SameCause"


FLOOD = {
    "admitted": 400,
    "reasons": [{"reason": "OverShare", "rows": 100}],
    "sources": [{"source": "stranger", "rows": 100}],
}


def test_labels_that_do_not_count_start_no_run_and_the_trigger_says_so() -> None:
    loop = loop_with()
    loop.find(refused=FLOOD)
    loop.settle()

    assert loop.runs() == []
    assert skipped(loop).reason == "LabelsRefused"
    assert "100 OverShare, most of them of 'stranger'" in skipped(loop).message


def test_a_flood_of_labels_is_no_cause_of_a_run_for_the_health_of_data() -> None:
    loop = loop_with({"name": "worse", "monitor": {"name": "watch", "when": "DataHealth"}})
    loop.find(FOUND | {"signal": "labels", "subject": "stranger"}, refused=FLOOD)
    loop.settle()

    assert (loop.runs(), loop.trigger("worse").skipped) == ([], None)


def test_a_few_labels_that_differ_are_as_usual() -> None:
    loop = loop_with()
    loop.find(refused={"admitted": 400, "reasons": [{"reason": "Conflicts", "rows": 2}]})
    loop.settle()

    assert loop.trigger("worse").skipped is None


def test_a_finding_that_the_labels_which_count_show_starts_its_run() -> None:
    loop = loop_with()
    loop.find(FOUND, refused=FLOOD)
    loop.settle()

    assert len(loop.runs()) == 1

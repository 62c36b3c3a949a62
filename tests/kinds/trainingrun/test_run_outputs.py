"""Outputs of another pipeline's run as inputs: those of the run that was the cause, else of the newest that succeeded."""

from datetime import timedelta
from typing import Any

import pytest

from flywheel.core.resource.api import EXPERIMENT, MODEL_VERSION, TRAINING_PIPELINE, TRAINING_RUN, Reference
from tests.kinds.trainingrun.situations import Runs, container, run
from tests.simulation import NOON
from tests.simulation.resources import custom, stamp

INPUT = {"name": "rows", "run": {"pipeline": "up", "step": "window"}}
FIRST, SECOND = (f"sha256:{digit * 64}" for digit in "12")


def succeeded(name: str, digest: str, minutes: int = 0, **outputs: str) -> dict[str, Any]:
    """A run of pipeline `up` that succeeded, whose step `window` prepared data."""
    step = {
        "name": "window",
        "state": "Succeeded",
        "outputs": {"data": digest, **outputs},
        "facts": {"task": "Classification", "classes": "2"},
    }
    used = {"name": "flights", "dataset": "flights", "version": "flights-aaaaaaaa", "digest": f"sha256:{'f' * 64}"}
    ended = stamp(NOON + timedelta(minutes=minutes))
    status = {"result": "Succeeded", "completionTime": ended, "steps": [step], "inputs": [used]}
    return custom(TRAINING_RUN, name, {"pipeline": "up"}, status=status)


def cause(name: str) -> dict[str, Any]:
    return {
        "trigger": "after",
        "key": f"uid of {name}",
        "message": f"'{name}' has succeeded",
        "pipeline": "up",
        "run": name,
    }


def test_a_run_takes_the_outputs_of_the_run_that_started_it() -> None:
    runs = Runs({"inputs": [INPUT], "steps": [container("work", "rows")]})
    runs.put(succeeded("up-1", FIRST), succeeded("up-2", SECOND, minutes=5))
    now = runs.finish(run(cause=cause("up-1")))

    [used] = now.status.inputs
    assert (used.run, used.step, used.output, used.digest) == ("up-1", "window", "data", FIRST)
    assert (used.dataset, used.version) == ("flights", "flights-aaaaaaaa")
    assert now.status.result == "Succeeded"


def test_a_run_by_hand_takes_those_of_the_newest_run_that_succeeded() -> None:
    runs = Runs({"inputs": [INPUT], "steps": [container("work", "rows")]})
    runs.put(succeeded("up-1", FIRST), succeeded("up-2", SECOND, minutes=5))

    assert runs.finish(run()).status.inputs[0].digest == SECOND


def test_it_waits_until_a_run_has_succeeded_and_then_keeps_its_input() -> None:
    runs = Runs({"inputs": [INPUT], "steps": [container("work", "rows")]})
    runs.start(run())
    assert runs.plan.reason == "NoSuccessfulRun"
    assert "Waiting for a run of TrainingPipeline 'up'" in runs.plan.message
    runs.put(succeeded("up-1", FIRST), custom(TRAINING_PIPELINE, "up", {"steps": []}, status={"lastRun": "up-1"}))
    runs.settle()
    runs.put(succeeded("up-2", SECOND, minutes=5))

    assert runs.finish().status.inputs[0].digest == FIRST


def test_outputs_of_a_run_that_is_gone_end_the_run_with_a_message() -> None:
    runs = Runs({"inputs": [INPUT], "steps": [container("work", "rows")]})
    now = runs.start(run(cause=cause("up-1")))

    assert (now.status.result, now.status.reason) == ("Failed", "RunNotFound")
    assert "TrainingRun 'up-1', whose output is input 'rows', was deleted" in str(now.status.message)


@pytest.mark.parametrize(
    ("spec", "status"),
    [
        pytest.param({"pipeline": "elsewhere"}, {}, id="a run of another pipeline"),
        pytest.param({"test": True}, {}, id="a test run"),
        pytest.param({"reproduceOf": "up-0"}, {}, id="a reproduction"),
        pytest.param({}, {"result": "Failed"}, id="a run that failed"),
        pytest.param({}, {"result": None}, id="a run that goes on"),
    ],
)
def test_a_cause_by_hand_names_no_run_but_one_of_the_pipeline_that_succeeded(
    spec: dict[str, Any], status: dict[str, Any]
) -> None:
    runs = Runs({"inputs": [INPUT], "steps": [container("work", "rows")]})
    other = succeeded("other-1", SECOND, minutes=5)
    other["spec"] |= spec
    other["status"] |= status
    runs.put(succeeded("up-1", FIRST), other)
    now = runs.start(run(cause=cause("other-1")))

    assert (now.status.result, now.status.reason) == ("Failed", "RunNotFound")
    assert "or is no run of TrainingPipeline 'up' that succeeded; start a new run" in str(now.status.message)


def test_an_output_that_the_step_did_not_leave_ends_the_run_with_those_that_it_left() -> None:
    missing = {**INPUT, "run": {**INPUT["run"], "output": "vocabulary"}}  # type: ignore[dict-item]
    runs = Runs({"inputs": [missing], "steps": [container("work", "rows")]})
    runs.put(succeeded("up-1", FIRST))
    now = runs.start(run(cause=cause("up-1")))

    assert now.status.reason == "OutputNotFound"
    assert "that step left data; correct the input of TrainingPipeline 'loop'" in str(now.status.message)


def test_an_experiment_trains_on_it_and_the_version_says_where_it_comes_from() -> None:
    steps = [
        {"name": "fit", "train": {"from": "rows", "trainer": {"sklearn": {}}}},
        {"name": "save", "register": {"from": "fit", "model": "m"}},
    ]
    runs = Runs({"inputs": [INPUT], "steps": steps})
    runs.put(succeeded("up-1", FIRST))
    runs.start(run(cause=cause("up-1")))
    [experiment] = runs.cluster.children(runs.now.uid, EXPERIMENT)
    assert experiment["spec"]["artifact"] == {
        "digest": FIRST,
        "version": "rows-11111111",
        "task": "Classification",
        "classes": 2,
    }
    succeeds = [{"type": "Succeeded", "status": "True", "reason": "Done", "message": ""}]
    best = {"trial": 0, "model": SECOND, "parameters": {}}
    runs.put({**experiment, "status": {"conditions": succeeds, "best": best, "metric": "accuracy"}})
    runs.settle()

    version = runs.manifest(Reference(MODEL_VERSION, "default", f"m-{SECOND[7:15]}"))
    lineage = version["spec"]["lineage"]
    assert lineage["prepared"] == {"step": "window", "run": "up-1"}
    assert (lineage["dataset"], lineage["datasetDigest"]) == ("flights", FIRST)

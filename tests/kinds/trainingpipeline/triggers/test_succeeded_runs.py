"""Each run of another pipeline that succeeds starts one run, whatever happens meanwhile."""

from typing import Any

import pytest

from flywheel.core.resource.api import TRAINING_RUN, Reference
from flywheel.kinds.trainingpipeline.schema.triggers import MAX_HANDLED, Skipped
from tests.kinds.trainingpipeline.situations import Loop, pipeline

AFTER: dict[str, Any] = {"name": "after", "run": {"pipeline": "up"}}


def loop_with(**spec: Any) -> Loop:
    loop = Loop(pipeline(AFTER, **spec))
    loop.put_pipeline("up")
    loop.settle()
    return loop


def sources(loop: Loop) -> list[str]:
    """The runs for which runs were started."""
    return sorted(run["spec"]["cause"]["run"] for run in loop.runs())


def skipped(loop: Loop) -> Skipped:
    found = loop.trigger("after").skipped
    assert found is not None
    return found


def let_it_work(loop: Loop, rounds: int = 4) -> None:
    for _ in range(rounds):
        loop.settle()
        loop.end_runs()
        loop.advance(minutes=1)
        loop.wake_all()


def test_a_success_starts_one_run_that_names_it() -> None:
    loop = loop_with()
    loop.advance(minutes=1)
    loop.succeed("up-1")
    let_it_work(loop)

    [run] = loop.runs()
    cause = run["spec"]["cause"]
    assert (cause["pipeline"], cause["run"]) == ("up", "up-1")
    assert cause["message"] == "TrainingRun 'up-1' of TrainingPipeline 'up' has succeeded"


def test_each_of_several_successes_starts_one_run_the_oldest_first() -> None:
    loop = loop_with()
    for number in range(3):
        loop.advance(minutes=1)
        loop.succeed(f"up-{number}")
    loop.settle()
    assert sources(loop) == ["up-0"]
    assert skipped(loop).reason == "RunUnderWay"
    let_it_work(loop)

    assert sources(loop) == ["up-0", "up-1", "up-2"]


def test_a_new_trigger_begins_with_the_newest_success() -> None:
    loop = Loop(pipeline())
    for number in range(3):
        loop.advance(minutes=1)
        loop.succeed(f"up-{number}")
    loop.settle()
    loop.patch_spec(triggers=[AFTER])
    let_it_work(loop)

    assert sources(loop) == ["up-2"]


def test_a_trigger_that_is_changed_to_another_pipeline_begins_with_its_newest_success() -> None:
    loop = loop_with()
    for number in range(3):
        loop.advance(minutes=1)
        loop.succeed(f"other-{number}", pipeline="other")
    loop.succeed("up-1")
    let_it_work(loop)
    loop.patch_spec(triggers=[AFTER | {"run": {"pipeline": "other"}}])
    let_it_work(loop, rounds=8)

    assert sources(loop) == ["other-2", "up-1"]
    assert loop.trigger("after").source == "TrainingPipeline/other"


def test_a_status_of_an_earlier_build_goes_on_where_it_was() -> None:
    loop = loop_with()
    loop.succeed("up-1")
    let_it_work(loop)
    [handled] = loop.trigger("after").handled
    manifest = loop.manifest(loop.subject)
    for trigger in manifest["status"]["triggers"]:
        del trigger["source"]
    loop.put(manifest)
    loop.advance(minutes=1)
    loop.succeed("up-2")
    let_it_work(loop)

    assert loop.trigger("after").handled[0] == handled
    assert sources(loop) == ["up-1", "up-2"]


def test_two_runs_that_succeed_before_the_operator_sees_either_are_two_causes() -> None:
    loop = loop_with()
    for name in ("up-1", "up-2"):
        loop.advance(minutes=1)
        loop.succeed(name)
    let_it_work(loop)

    assert sources(loop) == ["up-1", "up-2"]


def test_an_end_that_is_seen_late_is_not_missed() -> None:
    loop = loop_with()
    loop.advance(minutes=2)
    loop.succeed("up-2")
    let_it_work(loop)
    loop.advance(minutes=-6)
    loop.succeed("up-1")  # its end was written later
    loop.advance(minutes=6)
    let_it_work(loop)

    assert sources(loop) == ["up-1", "up-2"]


@pytest.mark.parametrize("spec", [{"test": True}, {"reproduceOf": "up-0"}])
def test_test_runs_and_reproductions_start_nothing(spec: dict[str, Any]) -> None:
    loop = loop_with()
    loop.advance(minutes=1)
    loop.succeed("up-1", **spec)
    loop.succeed("elsewhere-1", pipeline="elsewhere")
    let_it_work(loop)

    assert loop.runs() == []


def test_many_successes_are_each_handled_once_in_a_status_that_stays_small() -> None:
    loop = loop_with(retention={"succeeded": 1, "failed": 1})
    count = MAX_HANDLED + 6
    started: set[str] = set()
    for number in range(count):
        loop.advance(seconds=10)
        loop.succeed(f"up-{number:03}")
        loop.settle()
        loop.end_runs()
        started |= set(sources(loop))
        loop.settle()

    assert len(started) == count
    assert len(loop.status.starts) == count
    assert len(loop.trigger("after").handled) == MAX_HANDLED


def test_a_status_that_was_lost_starts_no_second_run() -> None:
    loop = loop_with(guard={"concurrency": 5})
    loop.advance(minutes=1)
    loop.succeed("up-1")
    for _ in range(3):
        loop.reconcile_and_lose_status()
    let_it_work(loop)

    assert sources(loop) == ["up-1"]


def test_a_success_that_is_deleted_while_its_trigger_waits_is_told() -> None:
    loop = loop_with(suspend=True)
    loop.advance(minutes=1)
    loop.succeed("up-1")
    loop.settle()
    loop.cluster.remove(Reference(TRAINING_RUN, "default", "up-1"))
    loop.wake_all()
    loop.settle()

    assert (loop.runs(), skipped(loop).reason) == ([], "CauseEnded")


def test_a_pipeline_that_does_not_exist_is_told() -> None:
    loop = Loop(pipeline(AFTER))
    loop.settle()
    assert skipped(loop).reason == "PipelineNotFound"
    assert "correct run.pipeline of the trigger" in skipped(loop).message
    loop.put_pipeline("up")
    loop.settle()

    assert loop.trigger("after").skipped is None


@pytest.mark.parametrize("other", ["loop", "between"])
def test_pipelines_that_start_one_another_for_ever_are_refused(other: str) -> None:
    loop = Loop(pipeline(AFTER if other != "loop" else {"name": "after", "run": {"pipeline": "loop"}}))
    if other == "between":
        loop.put_pipeline("up", triggers=[{"name": "a", "run": {"pipeline": "between"}}])
        loop.put_pipeline("between", triggers=[{"name": "b", "run": {"pipeline": "loop"}}])
    loop.settle()
    loop.advance(minutes=1)
    if other == "between":
        loop.succeed("up-1")
        loop.put_pipeline("up", triggers=[{"name": "a", "run": {"pipeline": "between"}}])
    else:
        loop.succeed("mine", pipeline="loop")
        loop.put(
            loop.manifest(loop.subject)
            | {
                "spec": {
                    **loop.manifest(loop.subject)["spec"],
                    "triggers": [{"name": "after", "run": {"pipeline": "loop"}}],
                }
            }
        )
    loop.settle()

    assert [run for run in loop.runs() if "cause" in run["spec"]] == []
    assert skipped(loop).reason == "TriggerLoop"

"""Triggers and their guard under an adversarial clock: what fires, what is skipped and why, and nothing twice."""

from datetime import timedelta
from typing import Any

from flywheel.core.resource.api import CRON_JOB, DATASET, MODEL, TRAINING_RUN, Reference
from flywheel.core.resource.plan import Child
from flywheel.kinds.trainingpipeline.children import RESUME_ANNOTATION
from tests.kinds.trainingpipeline.situations import NEW_DATA, NIGHTLY, Loop, pipeline
from tests.simulation import NOON
from tests.simulation.resources import custom


def test_a_tick_starts_one_run_and_is_over_when_that_is() -> None:
    loop = Loop(pipeline(NIGHTLY))
    loop.tick("tick-1")
    loop.settle()
    [run] = loop.runs()
    assert run["spec"]["cause"]["tick"] == "tick-1"
    assert loop.completed_ticks() == set()

    loop.end_runs()
    loop.settle()

    assert loop.completed_ticks() == {"tick-1"}
    assert len(loop.runs()) == 1


def test_a_run_that_somebody_deletes_does_not_hold_the_schedule_up() -> None:
    loop = Loop(pipeline(NIGHTLY))
    loop.tick("tick-1")
    loop.settle()
    [run] = loop.runs()
    loop.cluster.remove(Reference(TRAINING_RUN, "default", run["metadata"]["name"]))
    loop.settle()

    assert loop.completed_ticks() == {"tick-1"}
    assert loop.runs() == []


def test_300_ticks_at_once_are_one_run() -> None:
    loop = Loop(pipeline(NIGHTLY))
    for number in range(300):
        loop.tick(f"tick-{number:03}", scheduled=NOON - timedelta(minutes=300 - number))
    loop.settle()
    loop.settle()

    [run] = loop.runs()
    assert run["spec"]["cause"]["tick"] == "tick-299"
    assert loop.completed_ticks() == {f"tick-{number:03}" for number in range(299)}


def test_a_status_that_was_lost_starts_no_second_run() -> None:
    loop = Loop(pipeline(NIGHTLY, NEW_DATA, guard={"concurrency": 5}))
    loop.add_version("flights-1", 1000)
    loop.tick("tick-1")
    for _ in range(5):
        loop.reconcile_and_lose_status()

    assert len(loop.runs()) == 2
    loop.settle()
    fired = {loop.trigger(name).fired.run for name in ("nightly", "new")}  # type: ignore[union-attr]
    assert fired == {run["metadata"]["name"] for run in loop.runs()}


def test_new_data_fires_once_for_each_version_with_enough_rows() -> None:
    loop = Loop(pipeline(NEW_DATA))
    loop.settle()
    assert loop.runs() == []  # no data yet
    for version, rows, count in (
        ("flights-1", 1000, 1),
        ("flights-1", 1000, 1),
        ("flights-2", 1050, 1),
        ("flights-3", 1100, 2),
    ):
        loop.add_version(version, rows)
        loop.settle()
        loop.settle()
        loop.end_runs()
        assert len(loop.runs()) == count, version

    skipped = loop.trigger("new").skipped
    assert skipped is not None
    assert (skipped.reason, skipped.message) == ("TooFewNewRows", "The version has 50 new rows, and minNewRows is 100.")


def test_rows_of_another_dataset_do_not_hold_a_changed_trigger() -> None:
    loop = Loop(pipeline(NEW_DATA))
    loop.add_version("flights-1", 1000)
    loop.settle()
    loop.end_runs()
    loop.add_version("buses-1", 10, dataset="buses")
    loop.patch_spec(triggers=[NEW_DATA | {"newData": {"dataset": "buses", "minNewRows": 100}}])
    loop.settle()

    assert sorted(run["spec"]["cause"]["key"] for run in loop.runs()) == ["buses-1", "flights-1"]


def test_a_trigger_that_is_changed_to_a_schedule_retains_its_last_run_alone() -> None:
    loop = Loop(pipeline({"name": "up", "modelVersion": {"model": "embed"}}))
    loop.put(custom(MODEL, "embed", {}, status={"champion": "embed-1"}))
    loop.settle()
    loop.patch_spec(triggers=[NIGHTLY | {"name": "up"}])
    loop.settle()

    trigger = loop.trigger("up")
    assert (trigger.source, trigger.answered) == ("schedule", None)
    assert trigger.fired is not None


def test_a_run_by_hand_with_a_cause_is_none_of_a_tick() -> None:
    loop = Loop(pipeline(NIGHTLY))
    loop.settle()
    cause = {"trigger": "nightly", "key": "tick-1", "message": "by hand", "tick": "tick-1"}
    ended = {"result": "Succeeded", "completionTime": "2026-01-01T12:00:00Z"}
    loop.put(custom(TRAINING_RUN, "by-hand", {"pipeline": "loop", "cause": cause}, status=ended))
    loop.tick("tick-1")
    loop.settle()

    assert loop.completed_ticks() == set()
    assert len(loop.runs()) == 2


def test_of_several_new_versions_the_newest_starts_a_run() -> None:
    loop = Loop(pipeline(NEW_DATA))
    loop.add_version("flights-1", 1000)
    loop.add_version("flights-2", 1200, "flights-1")
    loop.settle()

    assert "Dataset 'flights' has version 'flights-2' with 1,200 rows" in loop.trigger("new").fired.cause  # type: ignore[union-attr]


def test_another_model_that_has_a_new_champion() -> None:
    loop = Loop(pipeline({"name": "up", "modelVersion": {"model": "embed"}}))
    for champion in ("embed-1", "embed-1", "embed-2"):
        loop.put(custom(MODEL, "embed", {}, status={"champion": champion}))
        loop.settle()
        loop.end_runs()

    assert [run["spec"]["cause"]["key"] for run in sorted(loop.runs(), key=lambda run: str(run["spec"]))] == [
        "embed-1",
        "embed-2",
    ]


def test_a_condition_of_any_resource() -> None:
    wanted = {"kind": "Dataset", "name": "flights", "status": "False", "reasons": ["CheckFailed"]}
    loop = Loop(pipeline({"name": "bad", "condition": wanted}))

    def says(status: str, reason: str, minute: int) -> None:
        condition = {
            "type": "Ready",
            "status": status,
            "reason": reason,
            "message": "m",
            "lastTransitionTime": f"2026-01-01T12:{minute:02}:00Z",
        }
        loop.put(custom(DATASET, "flights", {}, status={"conditions": [condition]}))
        loop.settle()
        loop.end_runs()

    says("True", "Checked", 1)
    assert loop.runs() == []
    says("False", "Other", 2)
    assert loop.runs() == []
    says("False", "CheckFailed", 3)
    says("False", "CheckFailed", 3)
    assert len(loop.runs()) == 1
    says("False", "CheckFailed", 4)
    assert len(loop.runs()) == 2


def test_the_guard_says_why_not_and_when() -> None:
    loop = Loop(pipeline(NEW_DATA | {"newData": {"dataset": "flights"}}, guard={"cooldown": "6h"}))
    loop.add_version("flights-1", 1)
    loop.settle()
    loop.end_runs()
    loop.add_version("flights-2", 2)
    loop.advance(hours=2)
    plan = loop.settle()

    skipped = loop.trigger("new").skipped
    assert skipped is not None
    assert (skipped.reason, plan.requeue_after) == ("Cooldown", timedelta(hours=4))
    assert "the trigger may fire from 2026-01-01 18:00 UTC on" in skipped.message
    loop.advance(hours=4)
    loop.settle()
    assert len(loop.runs()) == 2


def test_a_held_cause_is_written_once() -> None:
    loop = Loop(pipeline(NEW_DATA, suspend=True))
    loop.add_version("flights-1", 1)
    loop.settle()
    before = loop.status
    for _ in range(5):
        loop.advance(minutes=7)
        loop.settle()

    assert loop.status == before


def test_so_many_runs_in_a_day() -> None:
    loop = Loop(pipeline(NIGHTLY, guard={"maxRunsPerDay": 2}, retention={"succeeded": 1}))
    for number in range(4):
        loop.tick(f"tick-{number}")
        loop.settle()
        loop.end_runs()
        loop.settle()
        loop.advance(hours=1)

    assert loop.completed_ticks() == {f"tick-{number}" for number in range(4)}
    assert len(loop.status.starts) == 2
    skipped = loop.trigger().skipped
    assert skipped is not None
    assert skipped.reason == "DaySpent"
    loop.advance(hours=21)
    loop.tick("tick-9")
    loop.settle()
    assert {run["spec"]["cause"]["tick"] for run in loop.runs()} >= {"tick-9"}


FAILED: dict[str, Any] = {
    "challenger": {"version": "v", "verdict": "GateFailed", "message": "roc_auc 0.6 is below 0.7"}
}


def test_the_breaker_opens_after_failed_challengers_and_says_how_to_close_it() -> None:
    loop = Loop(pipeline(NIGHTLY, guard={"stopAfterFailedChallengers": 2}))
    for number in range(3):
        loop.tick(f"tick-{number}")
        loop.settle()
        loop.end_runs(**FAILED)
        loop.advance(days=1)
        loop.settle()

    assert len(loop.runs()) == 2
    assert (loop.plan.ready, loop.plan.reason) == (True, "BreakerOpen")
    assert "roc_auc 0.6 is below 0.7" in loop.plan.message
    loop.annotate({RESUME_ANNOTATION: "looked at it"})
    loop.tick("tick-8")
    loop.settle()
    assert len(loop.runs()) == 3
    assert loop.plan.reason == "Live"


def test_a_good_challenger_closes_the_breaker() -> None:
    loop = Loop(pipeline(NIGHTLY, guard={"stopAfterFailedChallengers": 2}))
    for number, verdict in enumerate(("GateFailed", "Champion", "GateFailed")):
        loop.tick(f"tick-{number}")
        loop.settle()
        loop.end_runs(challenger={"version": "v", "verdict": verdict})
        loop.advance(days=1)
        loop.settle()

    assert loop.status.breaker is None


def test_one_run_at_a_time_and_the_cause_waits() -> None:
    loop = Loop(pipeline(NEW_DATA, NIGHTLY))
    loop.add_version("flights-1", 1000)
    loop.tick("tick-1")
    loop.settle()
    assert len(loop.runs()) == 1
    skipped = loop.trigger().skipped
    assert skipped is not None
    assert skipped.reason == "RunUnderWay"
    loop.end_runs()
    loop.settle()

    assert {run["spec"]["cause"]["trigger"] for run in loop.runs()} == {"new", "nightly"}


def test_a_tick_that_is_too_late_is_skipped() -> None:
    loop = Loop(pipeline(NIGHTLY | {"schedule": {"cron": "0 3 * * *", "startingDeadlineSeconds": 600}}))
    loop.tick("tick-1")
    loop.settle()
    loop.tick("tick-2")
    loop.settle()
    assert loop.completed_ticks() == set()
    loop.advance(minutes=11)
    loop.settle()

    assert loop.completed_ticks() == {"tick-2"}
    assert len(loop.runs()) == 1


def test_retention_takes_the_oldest_and_never_what_runs() -> None:
    loop = Loop(
        pipeline(
            NEW_DATA | {"newData": {"dataset": "flights"}},
            guard={"concurrency": 3},
            retention={"succeeded": 2, "failed": 1},
        )
    )
    for number in range(6):
        loop.add_version(f"flights-{number}", number)
        loop.settle()
        loop.end_runs(result="Failed" if number % 2 else "Succeeded")
        loop.advance(minutes=1)
    loop.add_version("flights-9", 9)
    loop.settle()

    kept = sorted(run["spec"]["cause"]["key"] for run in loop.runs())
    assert kept == ["flights-2", "flights-4", "flights-5", "flights-9"]


def test_unknown_names_stall_with_a_sentence() -> None:
    steps = [{"name": "work", "container": {"image": "i", "args": ["$(params.moths)"]}}]
    loop = Loop(pipeline(steps=steps, parameters=[{"name": "months", "default": "3"}]))
    plan = loop.settle()

    assert (plan.stalled, plan.reason) == (True, "StepsInvalid")
    assert "Step 'work': there is no $(params.moths); there are $(params.months), $(run.date)" in plan.message


def test_each_schedule_has_a_ticker_of_its_own() -> None:
    loop = Loop(pipeline(NIGHTLY, {"name": "weekly", "schedule": {"cron": "0 3 * * 0", "timeZone": "Europe/Berlin"}}))
    plan = loop.settle()

    made = {
        child.name: child.manifest["spec"]
        for child in plan.children or ()
        if isinstance(child, Child) and child.api == CRON_JOB
    }
    assert {name: spec["timeZone"] for name, spec in made.items()} == {
        "loop-nightly": "Etc/UTC",
        "loop-weekly": "Europe/Berlin",
    }


def test_the_message_and_the_summary_are_about_the_newest_run() -> None:
    loop = Loop(pipeline(NIGHTLY))
    assert loop.settle().message.endswith(" is live. No run yet.")
    for number, result in enumerate(("Failed", "Succeeded")):
        loop.tick(f"tick-{number}")
        loop.settle()
        loop.end_runs(result=result)
        loop.advance(minutes=1)
    plan = loop.settle()
    newest = max(loop.runs(), key=lambda run: run["metadata"]["creationTimestamp"])["metadata"]["name"]

    assert loop.status.last_run == newest
    assert plan.message.endswith(f"The last run, '{newest}', ended: Succeeded.")
    assert plan.summary.endswith("last: Succeeded")


def test_a_tick_of_a_suspended_pipeline_is_over_and_starts_nothing() -> None:
    loop = Loop(pipeline(NIGHTLY, suspend=True))
    loop.tick("tick-1")
    loop.settle()

    assert loop.completed_ticks() == {"tick-1"}
    assert loop.runs() == []


def test_a_users_runs_stay_as_long_as_those_of_triggers() -> None:
    loop = Loop(pipeline(retention={"succeeded": 1, "failed": 1}))
    loop.settle()
    for name in ("first", "second"):
        loop.advance(minutes=1)
        loop.put(custom(TRAINING_RUN, name, {"pipeline": "loop"}, created=loop.cluster.now))
        loop.end_runs()
        loop.settle()

    assert [run["metadata"]["name"] for run in loop.runs()] == ["second"]


def test_a_spec_that_fails_its_test_run_leaves_the_earlier_revision_live() -> None:
    loop = Loop(pipeline(test={"sample": "1%"}))
    loop.settle()
    loop.end_runs()
    assert loop.settle().reason == "Live"

    loop.patch_spec(steps=[{"name": "other", "container": {"image": "i"}}])
    assert loop.settle().reason == "Testing"
    loop.end_runs("Failed", message="Step 'other' failed. " * 50)
    plan = loop.settle()

    assert (plan.ready, plan.reason) == (True, "TestFailed")
    assert "failed its test run" in plan.message
    assert [len(each.message or "") for each in loop.status.revisions if each.state == "Failed"] == [512], (
        "it fits into status"
    )

"""Triggers and their guard under an adversarial clock: what fires, what is skipped and why, and nothing twice."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from flywheel.core.resource import names
from flywheel.core.resource.api import CRON_JOB, DATASET, MODEL, TRAINING_RUN, Manifest
from flywheel.core.resource.ownership import with_owner
from flywheel.core.resource.plan import Child, Plan
from flywheel.kinds.trainingpipeline.decide import decide
from flywheel.kinds.trainingpipeline.kind import KIND
from flywheel.kinds.trainingpipeline.observe import observe
from flywheel.kinds.trainingpipeline.schema import TrainingPipeline, TrainingPipelineStatus
from flywheel.kinds.trainingpipeline.schema.triggers import TriggerStatus
from flywheel.kinds.trainingrun.kind import KIND as RUN
from flywheel.testing import NOON, FakeCluster, job, resource, uid_of
from flywheel.testing.resources import custom, stamp

STEPS = [{"name": "work", "container": {"image": "i"}}]
NIGHTLY = {"name": "nightly", "schedule": {"cron": "0 3 * * *"}}
NEW_DATA = {"name": "new", "newData": {"dataset": "flights", "minNewRows": 100}}


def pipeline(*triggers: Mapping[str, Any], **spec: Any) -> TrainingPipeline:
    made: TrainingPipeline = resource(KIND, "loop", {"steps": STEPS, "triggers": list(triggers), **spec})
    return made


class World:
    """One pipeline, its runs and ticks; time passes when it is told to."""

    def __init__(self, at: TrainingPipeline) -> None:
        self.at = at
        self.cluster = FakeCluster(kinds=(KIND, RUN), now=NOON)
        self.plan: Plan | None = None
        self.finished: set[str] = set()

    def look(self, *, write: bool = True) -> Plan:
        """One pass of the engine; without `write` the operator dies before it writes the status."""
        self.cluster.put(self.at)
        plan = decide(self.at, observe(self.at, self.cluster))
        kept = {child.name for child in plan.children or ()}
        for child in plan.children or ():
            if isinstance(child, Child) and child.api == TRAINING_RUN and child.name not in self.names():
                manifest = with_owner(self.at, child)
                known = {
                    "uid": uid_of("TrainingRun", "default", child.name),
                    "creationTimestamp": stamp(self.cluster.now),
                }
                self.cluster.put({**manifest, "metadata": {**manifest["metadata"], **known}})
        for run in self.runs():
            if run["metadata"]["name"] not in kept:
                self.cluster.remove(resource(RUN, run["metadata"]["name"], run["spec"]).reference)
        self.finished |= {each.name for each in plan.completed_ticks}
        if write:
            text = plan.status.model_dump(mode="json", by_alias=True, exclude_none=True)
            self.at = replace(
                self.at, status=TrainingPipelineStatus.model_validate(text | {"observedGeneration": self.at.generation})
            )
        self.plan = plan
        return plan

    def tick(self, name: str, trigger: str = "nightly", at: datetime | None = None) -> None:
        labels = {names.STEP_LABEL: "tick", "flywheel.ml/trigger-name": trigger}
        when = at or self.cluster.now
        scheduled = {"batch.kubernetes.io/cronjob-scheduled-timestamp": stamp(when)}
        self.cluster.put(job(self.at, name, labels=labels, annotations=scheduled, created=when, state="Suspended"))

    def data(self, version: str, rows: int) -> None:
        ready = [{"type": "Ready", "status": "True", "reason": "Checked", "message": "", "observedGeneration": 1}]
        digest = "sha256:" + "a" * 64
        status = {
            "conditions": ready,
            "versions": [{"name": version, "digest": digest, "content": digest, "rows": rows}],
        }
        self.cluster.put(custom(DATASET, "flights", {}, status=status))

    def end(self, name: str, result: str = "Succeeded", **status: Any) -> None:
        run = next(run for run in self.runs() if run["metadata"]["name"] == name)
        told = {"result": result, "completionTime": stamp(self.cluster.now), **status}
        self.cluster.put({**run, "status": told})

    def end_all(self, **status: Any) -> None:
        for run in self.runs():
            if not (run.get("status") or {}).get("result"):
                self.end(run["metadata"]["name"], **status)

    def runs(self) -> list[Manifest]:
        return list(self.cluster.referrers(TRAINING_RUN, self.at.reference))

    def names(self) -> set[str]:
        return {run["metadata"]["name"] for run in self.runs()}

    def trigger(self, name: str = "nightly") -> TriggerStatus:
        return next(each for each in self.at.status.triggers if each.name == name)


def test_a_tick_starts_one_run_and_is_over_when_that_is() -> None:
    world = World(pipeline(NIGHTLY))
    world.tick("tick-1")
    world.look()
    [run] = world.runs()
    assert run["spec"]["cause"]["tick"] == "tick-1"
    assert world.finished == set()

    world.end_all()
    world.look()

    assert world.finished == {"tick-1"}
    assert len(world.runs()) == 1


def test_a_run_that_somebody_deletes_does_not_hold_the_schedule_up() -> None:
    world = World(pipeline(NIGHTLY))
    world.tick("tick-1")
    world.look()
    [run] = world.runs()
    world.cluster.remove(resource(RUN, run["metadata"]["name"], run["spec"]).reference)
    world.look()

    assert world.finished == {"tick-1"}
    assert world.runs() == []


def test_300_ticks_at_once_are_one_run() -> None:
    world = World(pipeline(NIGHTLY))
    for number in range(300):
        world.tick(f"tick-{number:03}", at=NOON - timedelta(minutes=300 - number))
    world.look()
    world.look()

    [run] = world.runs()
    assert run["spec"]["cause"]["tick"] == "tick-299"
    assert world.finished == {f"tick-{number:03}" for number in range(299)}


def test_a_status_that_was_lost_starts_no_second_run() -> None:
    world = World(pipeline(NIGHTLY, NEW_DATA, guard={"concurrency": 5}))
    world.data("flights-1", 1000)
    world.tick("tick-1")
    for _ in range(5):
        world.look(write=False)

    assert len(world.runs()) == 2
    world.look()
    assert {world.trigger(name).fired.run for name in ("nightly", "new")} == world.names()  # type: ignore[union-attr]


def test_new_data_fires_once_for_each_version_with_enough_rows() -> None:
    world = World(pipeline(NEW_DATA))
    world.look()
    assert world.runs() == []  # no data yet
    for version, rows, count in (
        ("flights-1", 1000, 1),
        ("flights-1", 1000, 1),
        ("flights-2", 1050, 1),
        ("flights-3", 1100, 2),
    ):
        world.data(version, rows)
        world.look()
        world.look()
        world.end_all()
        assert len(world.runs()) == count, version

    skipped = world.trigger("new").skipped
    assert skipped is not None
    assert (skipped.reason, skipped.message) == ("TooFewNewRows", "The version has 50 new rows, and minNewRows is 100.")


def test_another_model_that_has_a_new_champion() -> None:
    world = World(pipeline({"name": "up", "modelVersion": {"model": "embed"}}))
    for champion in ("embed-1", "embed-1", "embed-2"):
        world.cluster.put(custom(MODEL, "embed", {}, status={"champion": champion}))
        world.look()
        world.end_all()

    assert [run["spec"]["cause"]["key"] for run in sorted(world.runs(), key=lambda run: str(run["spec"]))] == [
        "embed-1",
        "embed-2",
    ]


def test_a_condition_of_any_resource() -> None:
    wanted = {"kind": "Dataset", "name": "flights", "status": "False", "reasons": ["CheckFailed"]}
    world = World(pipeline({"name": "bad", "condition": wanted}))

    def says(status: str, reason: str, minute: int) -> None:
        condition = {
            "type": "Ready",
            "status": status,
            "reason": reason,
            "message": "m",
            "lastTransitionTime": f"2026-01-01T12:{minute:02}:00Z",
        }
        world.cluster.put(custom(DATASET, "flights", {}, status={"conditions": [condition]}))
        world.look()
        world.end_all()

    says("True", "Checked", 1)
    assert world.runs() == []
    says("False", "Other", 2)
    assert world.runs() == []
    says("False", "CheckFailed", 3)
    says("False", "CheckFailed", 3)
    assert len(world.runs()) == 1
    says("False", "CheckFailed", 4)
    assert len(world.runs()) == 2


def test_the_guard_says_why_not_and_when() -> None:
    world = World(pipeline(NEW_DATA | {"newData": {"dataset": "flights"}}, guard={"cooldown": "6h"}))
    world.data("flights-1", 1)
    world.look()
    world.end_all()
    world.data("flights-2", 2)
    world.cluster.advance(timedelta(hours=2))
    plan = world.look()

    skipped = world.trigger("new").skipped
    assert skipped is not None
    assert (skipped.reason, plan.requeue_after) == ("Cooldown", timedelta(hours=4))
    assert "the trigger may fire from 2026-01-01 18:00 UTC on" in skipped.message
    world.cluster.advance(timedelta(hours=4))
    world.look()
    assert len(world.runs()) == 2


def test_a_held_cause_is_written_once() -> None:
    world = World(pipeline(NEW_DATA, suspend=True))
    world.data("flights-1", 1)
    world.look()
    before = world.at.status
    for _ in range(5):
        world.cluster.advance(timedelta(minutes=7))
        world.look()

    assert world.at.status == before


def test_so_many_runs_in_a_day() -> None:
    world = World(pipeline(NIGHTLY, guard={"maxRunsPerDay": 2}, retention={"succeeded": 1}))
    for number in range(4):
        world.tick(f"tick-{number}")
        world.look()
        world.end_all()
        world.look()
        world.cluster.advance(timedelta(hours=1))

    assert world.finished == {f"tick-{number}" for number in range(4)}
    assert len(world.at.status.starts) == 2
    skipped = world.trigger().skipped
    assert skipped is not None
    assert skipped.reason == "DaySpent"
    world.cluster.advance(timedelta(hours=21))
    world.tick("tick-9")
    world.look()
    assert {run["spec"]["cause"]["tick"] for run in world.runs()} >= {"tick-9"}


FAILED = {"challenger": {"version": "v", "verdict": "GateFailed", "message": "roc_auc 0.6 is below 0.7"}}


def test_the_breaker_opens_after_failed_challengers_and_says_how_to_close_it() -> None:
    world = World(pipeline(NIGHTLY, guard={"stopAfterFailedChallengers": 2}))
    for number in range(3):
        world.tick(f"tick-{number}")
        world.look()
        world.end_all(**FAILED)
        world.cluster.advance(timedelta(days=1))
        world.look()

    assert len(world.runs()) == 2
    assert world.plan is not None
    assert (world.plan.ready, world.plan.reason) == (True, "BreakerOpen")
    assert "roc_auc 0.6 is below 0.7" in world.plan.message
    world.at = replace(world.at, annotations={"flywheel.ml/resume-triggers": "looked at it"})
    world.tick("tick-8")
    world.look()
    assert len(world.runs()) == 3
    assert world.plan.reason == "Live"


def test_a_good_challenger_closes_the_breaker() -> None:
    world = World(pipeline(NIGHTLY, guard={"stopAfterFailedChallengers": 2}))
    for number, verdict in enumerate(("GateFailed", "Champion", "GateFailed")):
        world.tick(f"tick-{number}")
        world.look()
        world.end_all(challenger={"version": "v", "verdict": verdict})
        world.cluster.advance(timedelta(days=1))
        world.look()

    assert world.at.status.breaker is None


def test_one_run_at_a_time_and_the_cause_waits() -> None:
    world = World(pipeline(NEW_DATA, NIGHTLY))
    world.data("flights-1", 1000)
    world.tick("tick-1")
    world.look()
    assert len(world.runs()) == 1
    skipped = world.trigger().skipped
    assert skipped is not None
    assert skipped.reason == "RunUnderWay"
    world.end_all()
    world.look()

    assert {run["spec"]["cause"]["trigger"] for run in world.runs()} == {"new", "nightly"}


def test_a_tick_that_is_too_late_is_skipped() -> None:
    world = World(pipeline(NIGHTLY | {"schedule": {"cron": "0 3 * * *", "startingDeadlineSeconds": 600}}))
    world.tick("tick-1")
    world.look()
    world.tick("tick-2")
    world.look()
    assert world.finished == set()
    world.cluster.advance(timedelta(minutes=11))
    world.look()

    assert world.finished == {"tick-2"}
    assert len(world.runs()) == 1


def test_retention_takes_the_oldest_and_never_what_runs() -> None:
    world = World(
        pipeline(
            NEW_DATA | {"newData": {"dataset": "flights"}},
            guard={"concurrency": 3},
            retention={"succeeded": 2, "failed": 1},
        )
    )
    for number in range(6):
        world.data(f"flights-{number}", number)
        world.look()
        world.end_all(result="Failed" if number % 2 else "Succeeded")
        world.cluster.advance(timedelta(minutes=1))
    world.data("flights-9", 9)
    world.look()

    kept = sorted(run["spec"]["cause"]["key"] for run in world.runs())
    assert kept == ["flights-2", "flights-4", "flights-5", "flights-9"]


def test_unknown_names_stall_with_a_sentence() -> None:
    steps = [{"name": "work", "container": {"image": "i", "args": ["$(params.moths)"]}}]
    world = World(pipeline(steps=steps, parameters=[{"name": "months", "default": "3"}]))
    plan = world.look()

    assert (plan.stalled, plan.reason) == (True, "StepsInvalid")
    assert "Step 'work': there is no $(params.moths); there are $(params.months), $(run.date)" in plan.message


def test_each_schedule_has_a_ticker_of_its_own() -> None:
    world = World(pipeline(NIGHTLY, {"name": "weekly", "schedule": {"cron": "0 3 * * 0", "timeZone": "Europe/Berlin"}}))
    plan = world.look()

    made = {
        child.name: child.manifest["spec"]
        for child in plan.children or ()
        if isinstance(child, Child) and child.api == CRON_JOB
    }
    assert {name: spec["timeZone"] for name, spec in made.items()} == {
        "loop-nightly": "Etc/UTC",
        "loop-weekly": "Europe/Berlin",
    }

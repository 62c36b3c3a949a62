"""The life of a BatchInference, look by look."""

from datetime import timedelta
from typing import Any

import pytest

from flywheel.core.resource import names
from flywheel.core.resource.api import BATCH_INFERENCE, MODEL
from flywheel.core.resource.plan import Removal
from flywheel.kinds.batchinference.children import REQUEST_ANNOTATION
from flywheel.testing import NOON, oom_killed, pod, terminated
from flywheel.testing.resources import custom
from tests.kinds.batchinference.world import DIGEST, PLAN, PLANNED, World, failing, model


def test_a_run_plans_scores_and_finishes() -> None:
    world = World()
    told = []
    for ends in (
        None,
        lambda: world.ends("plan", 1, **PLANNED),
        lambda: world.shard_ends(2, 0, done=3, over=True),
        lambda: world.ends("finish", 3),
    ):
        if ends is not None:
            ends()
        told.append((world.look().reason, world.jobs))

    assert told == [
        ("Planning", ["plan-1"]),
        ("Scoring", ["score-2"]),
        ("Finishing", ["finish-3"]),
        ("Scored", ["finish-3"]),
    ]
    run = world.batch.status.run
    assert run is not None
    assert (run.version, run.digest, run.plan, run.rows_done, run.row_errors) == ("fraud-1", DIGEST, PLAN, 297, 3)
    assert (run.shards, run.shards_done, run.rows) == (3, 3, 300)
    assert (world.plan.ready, world.plan.succeeded) == (True, True)
    assert "297 rows" in world.plan.message
    assert "3 rows could not be scored; see 's3://acme/out/_errors/'" in world.plan.message


def test_the_last_job_goes_and_then_nothing_happens() -> None:
    world = World().scored()

    assert world.look().children == ()
    before = world.batch.status
    world.passes(days=3)
    assert world.look().status.run == before.run  # type: ignore[attr-defined]
    assert world.plan.requeue_after is None


def test_a_lost_status_is_made_again_from_the_job() -> None:
    world = World()
    world.look(status_is_lost=True)
    assert world.batch.status.run is None
    world.look()
    world.ends("plan", 1, **PLANNED)
    world.look(status_is_lost=True)

    world.look()

    run = world.batch.status.run
    assert run is not None
    assert (world.jobs, run.phase, run.number, run.plan) == (["score-2"], "Scoring", 2, PLAN)


def test_progress_is_told_by_the_shards_that_are_done() -> None:
    world = World()
    world.look()
    world.ends("plan", 1, **PLANNED)
    world.look()
    world.shard_ends(2, 0, done=1)
    world.shard_ends(2, 2, done=2, rows=90, errors=10)

    plan = world.look()

    run = world.batch.status.run
    assert run is not None
    assert (run.shards, run.shards_done, run.rows, run.rows_done, run.row_errors) == (3, 2, 300, 190, 11)
    assert "2 of 3 shards" in plan.message
    assert plan.summary == "2/3 shards, 190 rows, 11 row errors"


def test_the_same_work_is_not_done_twice() -> None:
    world = World()
    world.look()
    world.ends("plan", 1, **PLANNED, manifest="s3://acme/out/_manifest.json")

    plan = world.look()

    assert (plan.ready, plan.reason, world.jobs) == (True, "Scored", ["plan-1"])


@pytest.mark.parametrize(
    ("manifests", "reason"),
    [((model(champion=None),), "NoChampion"), ((custom(MODEL, "another", {}),), "ModelNotFound")],
)  # fmt: skip
def test_without_a_model_it_waits(manifests: Any, reason: str) -> None:
    world = World(*manifests)

    plan = world.look()

    assert (plan.ready, plan.reason, plan.stalled, world.jobs) == (False, reason, False, [])
    world.cluster.put(model())
    assert world.look().reason == "Planning"


@pytest.mark.parametrize(
    ("main", "reason"),
    [
        pytest.param(failing("ColumnsMissing", retry=False), "ColumnsMissing", id="no such column"),
        pytest.param(failing("OutputExists", retry=False), "OutputExists", id="an output of other inputs"),
        pytest.param(oom_killed(), "OOMKilled", id="too little memory"),
    ],
)
def test_what_cannot_heal_stalls_until_somebody_asks(main: Any, reason: str) -> None:
    world = World()
    world.look()
    world.ends("plan", 1, main=main)

    plan = world.look()

    assert (plan.ready, plan.stalled, plan.succeeded, plan.reason) == (False, True, False, reason)
    assert "kubectl annotate fwbatch scores" in plan.message
    assert world.jobs == ["plan-1"]  # for its logs
    world.passes(days=1)
    assert world.look().reason == reason
    world.change(annotations={REQUEST_ANNOTATION: "now"})
    world.look()
    assert world.jobs == ["plan-2"]


def test_what_may_heal_is_tried_again_with_growing_pauses() -> None:
    world = World()
    world.look()
    pauses = []
    for number in (1, 2, 3):
        world.ends("plan", number, main=failing("SourceMissing", retry=True))
        plan = world.look()
        assert (plan.ready, plan.stalled, plan.reason) == (False, False, "SourceMissing")
        assert plan.requeue_after is not None
        pauses.append(plan.requeue_after.total_seconds())
        world.passes(seconds=pauses[-1])
        world.look()

    assert pauses == [10, 20, 40]
    assert world.jobs == ["plan-4"]


@pytest.mark.parametrize("reason", ["InputChanged", "PlanOutdated"])
def test_an_input_that_changed_is_planned_anew(reason: str) -> None:
    world = World()
    world.look()
    world.ends("plan", 1, **PLANNED)
    world.look()
    world.ends("score", 2, main=failing(reason, retry=False))
    world.look()
    world.passes(seconds=10)

    world.look()

    run = world.batch.status.run
    assert run is not None
    assert (world.jobs, run.plan) == (["plan-3"], None)


def test_the_shard_that_can_never_work_speaks_for_the_job_and_not_those_that_it_took_with_it() -> None:
    world = World()
    world.look()
    world.ends("plan", 1, **PLANNED)
    world.look()
    world.ends("score", 2, main=failing("TooManyRowErrors", retry=False))
    name = world.job("score", 2)["metadata"]["name"]
    stopped = pod(
        world.batch,
        f"{name}-later",
        job=name,
        main=terminated(143),
        init={"fetch": terminated(0), "server": terminated(0)},
        created=NOON + timedelta(minutes=1),
    )
    world.cluster.put(stopped)

    plan = world.look()

    assert (plan.reason, plan.stalled) == ("TooManyRowErrors", True)


def test_a_shard_that_is_lost_is_scored_again_and_not_planned_again() -> None:
    world = World()
    world.look()
    world.ends("plan", 1, **PLANNED)
    world.look()
    world.shard_ends(2, 0, done=3, over=True)
    world.look()
    world.ends("finish", 3, main=failing("ShardMissing", retry=True))
    world.look()
    world.passes(seconds=10)

    world.look()

    assert world.jobs == ["score-4"]
    assert world.batch.status.run is not None
    assert world.batch.status.run.plan == PLAN


def test_suspended_its_pods_go_and_afterwards_it_goes_on_where_it_was() -> None:
    world = World()
    world.look()
    world.ends("plan", 1, **PLANNED)
    world.look()
    world.respec(suspend=True)

    plan = world.look()
    assert (plan.reason, plan.ready, world.jobs) == ("Suspended", False, [])
    suspended = world.batch.status.run
    world.passes(hours=5)
    world.look()
    assert world.batch.status.run == suspended

    world.respec(suspend=False)
    world.look()
    assert world.jobs == ["score-3"]


def test_a_spec_that_changes_the_output_begins_anew_and_others_do_not() -> None:
    world = World()
    world.look()
    world.ends("plan", 1, **PLANNED)
    world.look()
    world.respec(parallelism=5)
    assert (world.look().reason, world.jobs) == ("Scoring", ["score-2"])

    world.respec(output={"s3": {"uri": "s3://acme/elsewhere/"}})
    world.look()

    assert world.jobs == ["plan-3"]
    assert world.batch.status.run is not None
    assert world.batch.status.run.output == "s3://acme/elsewhere/"


def test_after_its_ttl_it_goes_and_not_before() -> None:
    world = World(ttl="1h").scored()
    before = world.look()
    world.passes(hours=1)

    after = world.look()

    assert (before.removals, before.requeue_after) == ((), timedelta(hours=1))
    assert after.removals == (Removal(BATCH_INFERENCE, "scores", world.batch.uid),)


def test_the_score_job_is_indexed_and_gives_each_shard_its_own_tries() -> None:
    world = World()
    world.look()
    world.ends("plan", 1, **PLANNED)
    world.look()

    spec = world.job("score", 2)["spec"]

    wanted = {"completionMode": "Indexed", "completions": 3, "parallelism": 2, "backoffLimitPerIndex": 4}
    assert {key: spec[key] for key in wanted} == wanted
    assert world.cluster.now == NOON
    assert names.job(world.batch, "score", 2) == world.job("score", 2)["metadata"]["name"]

"""The life of a BatchInference, look by look."""

from datetime import timedelta
from typing import Any

import pytest

from flywheel.core.resource import names
from flywheel.core.resource.api import BATCH_INFERENCE, MODEL
from flywheel.core.settings import AllowedPlacement, Settings
from flywheel.kinds.batchinference.children import REQUEST_ANNOTATION
from tests.kinds.batchinference.situations import DIGEST, PLAN, PLANNED, SIDECARS, Batch, failing, golden, model
from tests.simulation import NOON, oom_killed_state, pod, terminated_state
from tests.simulation.resources import custom


def test_a_run_plans_scores_and_finishes() -> None:
    batch = Batch()
    seen = []
    for ends in (
        None,
        lambda: batch.end("plan", 1, **PLANNED),
        lambda: batch.end_shard(2, 0, done=3, over=True),
        lambda: batch.end("finish", 3),
    ):
        if ends is not None:
            ends()
        seen.append((batch.reconcile().reason, batch.steps))

    assert seen == [
        ("Planning", ["plan-1"]),
        ("Scoring", ["score-2"]),
        ("Finishing", ["finish-3"]),
        ("Scored", ["finish-3"]),
    ]
    run = batch.status.run
    assert run is not None
    assert (run.version, run.digest, run.plan, run.rows_done, run.row_errors) == ("fraud-1", DIGEST, PLAN, 297, 3)
    assert (run.shards, run.shards_done, run.rows) == (3, 3, 300)
    assert (batch.plan.ready, batch.plan.succeeded) == (True, True)
    assert "297 rows" in batch.plan.message
    assert "3 rows could not be scored; see 's3://acme/out/_errors/'" in batch.plan.message


def test_the_last_job_goes_and_then_nothing_happens() -> None:
    batch = Batch().score()

    assert batch.reconcile().children == ()
    before = batch.status
    batch.advance(days=3)
    assert batch.reconcile().status.run == before.run  # type: ignore[attr-defined]
    assert batch.plan.requeue_after is None


def test_a_lost_status_is_made_again_from_the_job() -> None:
    batch = Batch()
    batch.reconcile_and_lose_status()
    assert batch.status.run is None
    batch.reconcile()
    batch.end("plan", 1, **PLANNED)
    batch.reconcile_and_lose_status()

    batch.reconcile()

    run = batch.status.run
    assert run is not None
    assert (batch.steps, run.phase, run.number, run.plan) == (["score-2"], "Scoring", 2, PLAN)


def test_progress_counts_the_shards_that_are_done() -> None:
    batch = Batch()
    batch.reconcile()
    batch.end("plan", 1, **PLANNED)
    batch.reconcile()
    batch.end_shard(2, 0, done=1)
    batch.end_shard(2, 2, done=2, rows=90, errors=10)

    plan = batch.reconcile()

    run = batch.status.run
    assert run is not None
    assert (run.shards, run.shards_done, run.rows, run.rows_done, run.row_errors) == (3, 2, 300, 190, 11)
    assert "2 of 3 shards" in plan.message
    assert plan.summary == "2/3 shards, 190 rows, 11 row errors"


def test_fields_without_effect_are_in_the_message_of_the_run() -> None:
    warning = "spec.input.ignore names column 'note', which the files do not have; correct or remove the name."
    batch = Batch()
    batch.reconcile()
    batch.end("plan", 1, **PLANNED, warning=warning)
    assert batch.reconcile().message.endswith(f"are done. {warning}")
    batch.end_shard(2, 0, done=3, over=True)
    batch.reconcile()
    batch.end("finish", 3, manifest="s3://acme/out/_manifest.json")

    plan = batch.reconcile()

    assert (plan.ready, plan.reason) == (True, "Scored")
    assert plan.message.endswith(warning)


def test_the_same_work_is_not_done_twice() -> None:
    batch = Batch()
    batch.reconcile()
    batch.end("plan", 1, **PLANNED, manifest="s3://acme/out/_manifest.json")

    plan = batch.reconcile()

    assert (plan.ready, plan.reason, batch.steps) == (True, "Scored", ["plan-1"])


@pytest.mark.parametrize(
    ("manifests", "reason"),
    [((model(champion=None),), "NoChampion"), ((custom(MODEL, "another", {}),), "ModelNotFound")],
)  # fmt: skip
def test_without_a_model_it_waits(manifests: Any, reason: str) -> None:
    batch = Batch(*manifests)

    plan = batch.reconcile()

    assert (plan.ready, plan.reason, plan.stalled, batch.steps) == (False, reason, False, [])
    batch.put(model())
    assert batch.reconcile().reason == "Planning"


@pytest.mark.parametrize(
    ("main", "reason"),
    [
        pytest.param(failing("ColumnsMissing", retry=False), "ColumnsMissing", id="no such column"),
        pytest.param(failing("OutputExists", retry=False), "OutputExists", id="an output of other inputs"),
        pytest.param(oom_killed_state(), "OOMKilled", id="too little memory"),
    ],
)
def test_what_cannot_heal_stalls_until_somebody_asks(main: Any, reason: str) -> None:
    batch = Batch()
    batch.reconcile()
    batch.end("plan", 1, main=main)

    plan = batch.reconcile()

    assert (plan.ready, plan.stalled, plan.succeeded, plan.reason) == (False, True, False, reason)
    assert "kubectl annotate fwbatch scores" in plan.message
    assert batch.steps == ["plan-1"]  # for its logs
    batch.advance(days=1)
    assert batch.reconcile().reason == reason
    batch.annotate({REQUEST_ANNOTATION: "now"})
    batch.reconcile()
    assert batch.steps == ["plan-2"]


def test_what_may_heal_is_tried_again_with_growing_pauses() -> None:
    batch = Batch()
    batch.reconcile()
    pauses = []
    for number in (1, 2, 3):
        batch.end("plan", number, main=failing("SourceMissing", retry=True))
        plan = batch.reconcile()
        assert (plan.ready, plan.stalled, plan.reason) == (False, False, "SourceMissing")
        assert plan.requeue_after is not None
        pauses.append(plan.requeue_after.total_seconds())
        batch.advance(seconds=pauses[-1])
        batch.reconcile()

    assert pauses == [10, 20, 40]
    assert batch.steps == ["plan-4"]


@pytest.mark.parametrize("reason", ["InputChanged", "PlanOutdated"])
def test_an_input_that_changed_is_planned_anew(reason: str) -> None:
    batch = Batch()
    batch.reconcile()
    batch.end("plan", 1, **PLANNED)
    batch.reconcile()
    batch.end("score", 2, main=failing(reason, retry=False))
    batch.reconcile()
    batch.advance(seconds=10)

    batch.reconcile()

    run = batch.status.run
    assert run is not None
    assert (batch.steps, run.plan) == (["plan-3"], None)


def test_the_shard_that_can_never_work_speaks_for_the_job_and_not_those_that_it_took_with_it() -> None:
    batch = Batch()
    batch.reconcile()
    batch.end("plan", 1, **PLANNED)
    batch.reconcile()
    batch.end("score", 2, main=failing("TooManyRowErrors", retry=False))
    name = batch.job("score", 2)["metadata"]["name"]
    stopped = pod(
        batch.now,
        f"{name}-later",
        job=name,
        main=terminated_state(143),
        init={"fetch": terminated_state(0), "server": terminated_state(0)},
        created=NOON + timedelta(minutes=1),
    )
    batch.put(stopped)

    plan = batch.reconcile()

    assert (plan.reason, plan.stalled) == ("TooManyRowErrors", True)


def test_a_shard_that_is_lost_is_scored_again_and_not_planned_again() -> None:
    batch = Batch()
    batch.reconcile()
    batch.end("plan", 1, **PLANNED)
    batch.reconcile()
    batch.end_shard(2, 0, done=3, over=True)
    batch.reconcile()
    batch.end("finish", 3, main=failing("ShardMissing", retry=True))
    batch.reconcile()
    batch.advance(seconds=10)

    batch.reconcile()

    assert batch.steps == ["score-4"]
    assert batch.status.run is not None
    assert batch.status.run.plan == PLAN


def test_suspended_its_pods_go_and_afterwards_it_goes_on_where_it_was() -> None:
    batch = Batch()
    batch.reconcile()
    batch.end("plan", 1, **PLANNED)
    batch.reconcile()
    batch.patch_spec(suspend=True)

    plan = batch.reconcile()
    assert (plan.reason, plan.ready, batch.steps) == ("Suspended", False, [])
    assert "is suspended. 0 of 3 shards" in plan.message
    suspended = batch.status.run
    batch.advance(hours=5)
    batch.reconcile()
    assert batch.status.run == suspended

    batch.patch_spec(suspend=False)
    batch.reconcile()
    assert batch.steps == ["score-3"]


def test_a_spec_that_changes_the_output_begins_anew_and_others_do_not() -> None:
    batch = Batch()
    batch.reconcile()
    batch.end("plan", 1, **PLANNED)
    batch.reconcile()
    batch.patch_spec(parallelism=5)
    assert (batch.reconcile().reason, batch.steps) == ("Scoring", ["score-2"])

    batch.patch_spec(output={"s3": {"uri": "s3://acme/elsewhere/"}})
    batch.reconcile()

    assert batch.steps == ["plan-3"]
    assert batch.status.run is not None
    assert batch.status.run.output == "s3://acme/elsewhere/"


def test_after_its_ttl_it_goes_and_not_before() -> None:
    batch = Batch(ttl="1h").score()
    before = batch.reconcile()
    batch.advance(hours=1)

    after = batch.reconcile()

    assert (before.removals, before.requeue_after) == ((), timedelta(hours=1))
    assert [(each.api, each.name) for each in after.removals] == [(BATCH_INFERENCE, "scores")]
    assert batch.cluster.get(batch.subject) is None


def test_the_score_job_is_indexed_and_gives_each_shard_its_own_tries() -> None:
    batch = Batch()
    batch.reconcile()
    batch.end("plan", 1, **PLANNED)
    batch.reconcile()

    spec = batch.job("score", 2)["spec"]

    wanted = {"completionMode": "Indexed", "completions": 3, "parallelism": 2, "backoffLimitPerIndex": 4}
    assert {key: spec[key] for key in wanted} == wanted
    assert batch.cluster.now == NOON
    assert names.job(batch.now, "score", 2) == batch.job("score", 2)["metadata"]["name"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({}, "SourceNotAllowed", id="an input that is not the namespace's own"),
        pytest.param(
            {"input": {"s3": {"uri": "s3://acme/default/in/"}}}, "OutputNotAllowed", id="an output that is not"
        ),
        pytest.param(
            {
                "input": {"s3": {"uri": "s3://elsewhere/in/", "secretName": "theirs"}},
                "output": {"s3": {"uri": "s3://acme/default/out/"}},
            },
            "Planning",
            id="an input with a Secret, and the own folder",
        ),
    ],
)
def test_a_run_stays_in_the_namespaces_own_folder(changes: dict[str, Any], reason: str) -> None:
    batch = Batch(**changes)
    batch.restart_with(Settings(store_folders=("default=s3://acme/default/",)))

    assert [batch.reconcile().reason for _ in range(2)] == [reason, reason]
    assert batch.steps == (["plan-1"] if reason == "Planning" else [])


def test_a_forbidden_run_takes_in_what_ended_and_starts_no_further_job() -> None:
    batch = Batch(placement={"priorityClassName": "system-node-critical"})
    batch.reconcile()
    batch.restart_with(Settings(placement=AllowedPlacement(())))
    batch.end("plan", 1, **PLANNED)
    for _ in range(3):
        batch.settle()
        batch.advance(minutes=1)

    run = batch.status.run
    assert run is not None
    assert (run.phase, run.number, run.plan, run.retries) == ("Scoring", 1, PLAN, 0)
    assert (batch.plan.reason, batch.plan.stalled, batch.steps) == ("PlacementNotAllowed", True, ["plan-1"])

    batch.restart_with(Settings())
    batch.settle()
    assert batch.steps == ["score-2"]


def test_a_run_that_is_requested_of_a_forbidden_spec_is_refused() -> None:
    batch = Batch(placement={"priorityClassName": "system-node-critical"}).score()
    batch.settle()
    batch.restart_with(Settings(placement=AllowedPlacement(())))
    batch.annotate({REQUEST_ANNOTATION: "again"})
    batch.settle()

    assert (batch.plan.reason, batch.plan.stalled) == ("PlacementNotAllowed", True)
    assert batch.status.run is not None
    assert batch.status.run.request is None


def test_the_first_pod_may_do_all_of_a_small_input() -> None:
    batch = Batch()
    batch.reconcile()
    message = {
        **golden("finished"),
        "facts": {**PLANNED, "shards": 1, "manifest": "s3://acme/out/_manifest.json"},
        "metrics": {"rows": 3_000.0, "errors": 0.0, "seconds": 1.5},
    }

    batch.end_job(names.job(batch.now, "plan", 1), main=terminated_state(0, message), init=SIDECARS)
    batch.reconcile()

    run = batch.status.run
    assert run is not None
    assert (run.phase, run.rows_done, run.shards_done, run.rows_per_second) == ("Succeeded", 3_000, 1, 2_000)
    assert (batch.plan.ready, batch.plan.succeeded, batch.steps) == (True, True, ["plan-1"])

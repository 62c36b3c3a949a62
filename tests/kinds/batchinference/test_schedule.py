"""Ticks and what becomes of them."""

from datetime import datetime, timedelta, timezone

from flywheel.core.resource.api import CRON_JOB, JOB, Reference
from flywheel.kinds.batchinference.children import REQUEST_ANNOTATION
from tests.kinds.batchinference.situations import DAILY, Batch, failing

EVENING = datetime(2026, 11, 21, 22, tzinfo=timezone(timedelta(hours=-5)))


def test_a_schedule_waits_for_its_first_tick() -> None:
    batch = Batch(**DAILY)

    plan = batch.reconcile()

    assert (plan.ready, plan.reason, batch.steps) == (True, "Scheduled", [])
    cron = batch.cluster.get(Reference(CRON_JOB, "default", "scores"))
    assert cron is not None
    assert cron["spec"]["jobTemplate"]["spec"]["managedBy"] == "flywheel.ml/trigger"


def test_a_tick_is_answered_with_its_own_day_and_finished_when_the_run_has_ended() -> None:
    batch = Batch(**DAILY)
    batch.reconcile()
    batch.add_tick("scores-1", EVENING)
    finished = []

    batch.reconcile()
    run = batch.status.run
    assert run is not None
    assert (run.input, run.output) == ("s3://acme/day=2026-11-21/", "s3://acme/out/2026-11-21T22-00/")
    finished.append(batch.plan.completed_ticks)
    batch.score()
    finished.append(batch.plan.completed_ticks)

    assert finished == [(), ("scores-1",)]
    assert [(each.result, each.rows) for each in batch.status.history] == [("Succeeded", 297)]


def test_a_schedule_runs_at_once_when_somebody_asks_before_its_first_tick() -> None:
    batch = Batch(**DAILY)
    batch.annotate({REQUEST_ANNOTATION: "now"})
    batch.reconcile()

    assert batch.steps == ["plan-1"]


def test_ticks_are_answered_one_after_the_other() -> None:
    batch = Batch(**DAILY)
    batch.add_tick("scores-1", EVENING)
    batch.advance(seconds=1)
    batch.add_tick("scores-2", EVENING + timedelta(days=1))
    batch.score()
    assert batch.plan.completed_ticks == ("scores-1",), "else it would be answered again"
    batch.cluster.remove(Reference(JOB, "default", "scores-1"))

    batch.reconcile()

    run = batch.status.run
    assert run is not None
    assert (run.tick, run.input) == ("scores-2", "s3://acme/day=2026-11-22/")
    assert batch.plan.ready is True, "the last output stands"


def test_under_policy_replace_a_newer_tick_overtakes() -> None:
    batch = Batch(**{**DAILY, "schedule": {"cron": "0 22 * * *", "concurrencyPolicy": "Replace"}})
    batch.add_tick("scores-1", EVENING)
    batch.reconcile()
    batch.cluster.remove(Reference(JOB, "default", "scores-1"))
    batch.add_tick("scores-2", EVENING + timedelta(days=1))

    batch.reconcile()

    run = batch.status.run
    assert run is not None
    assert (run.tick, batch.steps) == ("scores-2", ["plan-2"])


def test_a_run_of_a_schedule_gives_up_after_an_hour_so_that_the_next_one_comes() -> None:
    batch = Batch(**DAILY)
    batch.add_tick("scores-1", EVENING)
    batch.reconcile()
    started = batch.cluster.now
    while batch.plan.reason != "Failed" and batch.status.run and batch.status.run.phase == "Planning":
        batch.end("plan", batch.status.run.number, main=failing("SourceMissing", retry=True))
        batch.reconcile()
        batch.advance(seconds=(batch.plan.requeue_after or timedelta(0)).total_seconds())
        if batch.status.run.phase == "Planning":
            batch.reconcile()

    assert batch.plan.completed_ticks == ("scores-1",)
    assert (batch.plan.ready, batch.plan.stalled, batch.plan.reason) == (False, False, "SourceMissing")
    assert timedelta(minutes=30) < batch.cluster.now - started < timedelta(hours=2)

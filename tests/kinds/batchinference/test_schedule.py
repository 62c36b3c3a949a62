"""Ticks and what becomes of them."""

from datetime import datetime, timedelta, timezone

from flywheel.core.resource.api import CRON_JOB, JOB, Reference
from tests.kinds.batchinference.world import DAILY, World, failing

EVENING = datetime(2026, 11, 21, 22, tzinfo=timezone(timedelta(hours=-5)))


def test_a_schedule_waits_for_its_first_tick() -> None:
    world = World(**DAILY)

    plan = world.look()

    assert (plan.ready, plan.reason, world.jobs) == (True, "Scheduled", [])
    cron = world.cluster.get(Reference(CRON_JOB, "default", "scores"))
    assert cron is not None
    assert cron["spec"]["jobTemplate"]["spec"]["managedBy"] == "flywheel.ml/trigger"


def test_a_tick_is_answered_with_its_own_day_and_finished_when_the_run_has_ended() -> None:
    world = World(**DAILY)
    world.look()
    world.ticks("scores-1", EVENING)
    finished = []

    world.look()
    run = world.batch.status.run
    assert run is not None
    assert (run.input, run.output) == ("s3://acme/day=2026-11-21/", "s3://acme/out/2026-11-21T22-00/")
    finished.append(world.plan.completed_ticks)
    world.scored()
    finished.append(world.plan.completed_ticks)

    assert finished == [(), (Reference(JOB, "default", "scores-1"),)]
    assert [(each.result, each.rows) for each in world.batch.status.history] == [("Succeeded", 297)]


def test_ticks_are_answered_one_after_the_other() -> None:
    world = World(**DAILY)
    world.ticks("scores-1", EVENING)
    world.passes(seconds=1)
    world.ticks("scores-2", EVENING + timedelta(days=1))
    world.scored()
    assert world.plan.completed_ticks == (Reference(JOB, "default", "scores-1"),), "else it would be answered again"
    world.cluster.remove(Reference(JOB, "default", "scores-1"))

    world.look()

    run = world.batch.status.run
    assert run is not None
    assert (run.tick, run.input) == ("scores-2", "s3://acme/day=2026-11-22/")
    assert world.plan.ready is True, "the last output stands"


def test_under_policy_replace_a_newer_tick_overtakes() -> None:
    world = World(**{**DAILY, "schedule": {"cron": "0 22 * * *", "concurrencyPolicy": "Replace"}})
    world.ticks("scores-1", EVENING)
    world.look()
    world.cluster.remove(Reference(JOB, "default", "scores-1"))
    world.ticks("scores-2", EVENING + timedelta(days=1))

    world.look()

    run = world.batch.status.run
    assert run is not None
    assert (run.tick, world.jobs) == ("scores-2", ["plan-2"])


def test_a_run_of_a_schedule_gives_up_after_an_hour_so_that_the_next_one_comes() -> None:
    world = World(**DAILY)
    world.ticks("scores-1", EVENING)
    world.look()
    started = world.cluster.now
    while world.plan.reason != "Failed" and world.batch.status.run and world.batch.status.run.phase == "Planning":
        world.ends("plan", world.batch.status.run.number, main=failing("SourceMissing", retry=True))
        world.look()
        world.passes(seconds=(world.plan.requeue_after or timedelta(0)).total_seconds())
        if world.batch.status.run.phase == "Planning":
            world.look()

    assert world.plan.completed_ticks == (Reference(JOB, "default", "scores-1"),)
    assert (world.plan.ready, world.plan.stalled, world.plan.reason) == (False, False, "SourceMissing")
    assert timedelta(minutes=30) < world.cluster.now - started < timedelta(hours=2)

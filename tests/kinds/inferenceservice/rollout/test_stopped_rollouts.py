"""A new version that does not take over: rolled back, held, paused, aborted, or no longer wanted."""

from datetime import timedelta
from typing import Any

import pytest

from flywheel.core.resource.api import CONFIG_MAP, JOB, SERVICE, Reference
from flywheel.testing import params, unschedulable
from tests.kinds.inferenceservice.situations import (
    SETTLED,
    challenged,
    phase,
    promoted,
    rolled_back,
    route,
    serving,
)
from tests.kinds.inferenceservice.world import BAD, CANARY, World, service


def test_a_breach_empties_the_route_first_and_then_the_challenger_goes() -> None:
    world = rolled_back()
    assert route(world) == {"v": 1}
    assert world.stands == {"delay": "delay-1", "delay-slot-b": "delay-2"}
    world.passes(SETTLED)
    world.look(2)

    assert world.stands == {"delay": "delay-1"}
    assert not world.cluster.children(world.service.uid, JOB)


def test_a_rollback_is_told_with_its_numbers() -> None:
    world = rolled_back()
    [mark] = world.service.status.rollout.rejected if world.service.status.rollout else ()

    assert (world.plan.ready, world.plan.progressing, world.plan.reason) == (True, False, "RolledBack")
    assert world.plan.message.startswith(
        "Challenger 'delay-2' had 4.12 % errors (limit 1 %; 50 failed) in 1,204 requests at 5 %; champion 'delay-1' answers all traffic."
    )
    assert (mark.version, mark.numbers) == ("delay-2", {"requests": "1204", "errorRate": "0.0412345"})
    assert world.events == ["ChallengerRejected"]


def test_what_was_rolled_back_does_not_come_again_by_itself() -> None:
    world = rolled_back()
    world.passes(timedelta(days=1))
    world.look(3)

    assert (world.stands, world.plan.reason) == ({"delay": "delay-1"}, "RolledBack")


def test_it_stays_told_when_the_model_has_gone_back() -> None:
    world = rolled_back()
    world.offers("delay-1")
    world.look(2)

    assert (world.plan.ready, world.plan.reason) == (True, "RolledBack")
    assert "had 4.12 % errors" in world.plan.message


def test_once_its_mark_is_cleared_it_is_judged_anew_with_other_jobs() -> None:
    world = challenged()
    first = world.job
    world.judge_says("Breach", BAD)
    world.look(2)
    world.passes(timedelta(minutes=1))
    world.offers("delay-2", rejectionCleared={"value": "seen", "at": "2026-01-01T12:00:30Z"})
    world.look(3)

    assert world.plan.reason == "CanaryJudged"
    assert world.job.rpartition("-1-")[0] != first.rpartition("-1-")[0]
    assert world.service.status.rollout is not None
    assert world.service.status.rollout.rejected == ()


def test_a_version_that_another_service_rolled_back_is_not_tried() -> None:
    world = serving()
    world.offers("delay-2", rejection={"service": "eu", "at": "2026-01-01T12:00:00Z", "message": "It was slow."})
    world.look(2)

    assert (world.stands, world.plan.reason) == ({"delay": "delay-1"}, "RolledBack")
    assert "ModelVersion 'delay-2' was rejected: It was slow." in world.plan.message


def test_what_cannot_be_measured_is_held_and_measured_again() -> None:
    world = challenged()
    first = world.job
    world.judge_says("CannotMeasure", "got 3 requests at 5 %, and analysis.minRequests is 100")
    plan = world.look()
    assert (plan.ready, plan.reason, phase(world)) == (True, "CannotMeasure", "Holding")
    world.look()

    assert world.job != first
    assert route(world)["percent"] == 5
    assert "got 3 requests at 5 %, and analysis.minRequests is 100" in world.plan.message


def at_most(world: World) -> int:
    """How long the judge that runs may measure, in seconds."""
    return int(params(world.child("Job", world.job))["atMostSeconds"])


def test_each_time_it_cannot_be_measured_it_is_measured_twice_as_long() -> None:
    world = challenged()
    lengths = []
    for _ in range(13):
        lengths.append(at_most(world))
        world.judge_says("CannotMeasure")
        world.look(2)

    assert lengths[:4] == [10, 20, 40, 80]
    assert lengths[-1] == 6 * 3600
    assert "measured again, for up to 6:00:00" in world.plan.message


def test_a_judge_that_fails_again_and_again_comes_after_longer_and_longer_pauses() -> None:
    world = challenged()
    pauses = []
    for _ in range(7):
        world.judge_says(None)
        world.look()
        status = world.service.status.rollout
        assert status is not None
        assert status.retry_at is not None
        pauses.append((status.retry_at - world.cluster.now).total_seconds())
        world.passes(timedelta(minutes=5))
        world.look()

    assert pauses == [10, 20, 40, 80, 160, 300, 300]


def test_a_judge_that_was_killed_is_no_verdict_and_another_one_comes_after_a_pause() -> None:
    world = challenged()
    world.judge_says(None)
    world.look(2)
    assert not world.cluster.children(world.service.uid, JOB)
    assert (world.plan.reason, world.front) == ("CannotMeasure", "delay-1")
    world.passes(timedelta(seconds=11))
    world.look()

    assert world.job
    assert route(world)["percent"] == 5


@pytest.mark.parametrize(
    ("verdict", "after", "reason"),
    [
        pytest.param("Pass", "Judging", "RolloutPaused", id="a passed step is not followed by the next"),
        pytest.param("Breach", "RolledBack", "RolledBack", id="a breach rolls back all the same"),
    ],
)
def test_paused(verdict: str, after: str, reason: str) -> None:
    world = challenged()
    world.change(spec=service({**CANARY, "paused": True}).spec)
    world.judge_says(verdict, BAD)
    world.look(2)

    assert (phase(world), world.plan.reason, world.front) == (after, reason, "delay-1")
    world.change(spec=service().spec)
    world.look(2)
    assert phase(world) == ("Judging" if verdict == "Pass" else "RolledBack")


def test_paused_before_it_began_no_challenger_comes() -> None:
    world = challenged({**CANARY, "paused": True})

    assert (world.stands, world.plan.reason) == ({"delay": "delay-1"}, "RolloutPaused")


def test_aborted_by_annotation_and_begun_again_without_it() -> None:
    world = challenged()
    world.change(annotations={"flywheel.ml/abort-rollout": "delay-2"})
    world.look(2)
    assert (phase(world), world.plan.reason, route(world)) == ("Aborted", "RolloutAborted", {"v": 1})
    world.passes(SETTLED)
    world.look()
    assert world.stands == {"delay": "delay-1"}
    world.change(annotations={})
    world.look(3)

    assert world.plan.reason == "CanaryJudged"


def test_an_abort_of_another_version_is_not_meant() -> None:
    world = challenged()
    world.change(annotations={"flywheel.ml/abort-rollout": "delay-1"})
    world.look(2)

    assert world.plan.reason == "CanaryJudged"


def test_a_third_version_takes_the_challengers_place() -> None:
    world = challenged()
    world.offers("delay-3")
    world.look()
    assert route(world) == {"v": 1}
    world.look(2)

    assert world.stands == {"delay": "delay-1", "delay-slot-b": "delay-3"}
    assert route(world)["challenger"]["version"] == "delay-3"


def test_wanted_back_in_the_middle_the_challenger_goes() -> None:
    world = challenged()
    world.offers("delay-1")
    world.look(2)
    assert (route(world), phase(world)) == ({"v": 1}, "Aborted")
    world.passes(SETTLED)
    world.look(2)

    assert (world.stands, world.plan.reason) == ({"delay": "delay-1"}, "Serving")


def test_while_the_model_is_gone_all_stays_as_it_is() -> None:
    world = challenged()
    world.offers(None)
    world.look(2)

    assert (world.stands["delay-slot-b"], route(world)["percent"]) == ("delay-2", 5)
    assert world.plan.reason == "NoChampion"


def test_suspended_the_challenger_goes_and_the_old_version_stays_wanted() -> None:
    world = challenged()
    world.change(spec=service(suspend=True).spec)
    world.look(3)

    assert (world.stands, phase(world)) == ({"delay": "delay-1"}, "Aborted")


def test_without_its_rollout_the_new_version_replaces_the_old_one_where_it_stands() -> None:
    world = challenged()
    world.change(spec=service(None).spec)
    world.look(2)

    assert world.stands == {"delay": "delay-2"}
    assert not world.cluster.children(world.service.uid, CONFIG_MAP)


def test_in_the_second_slot_it_stays_when_its_rollout_goes_and_the_service_is_deleted_by_hand() -> None:
    world = promoted()
    world.change(spec=service(None).spec)
    world.look(2)
    world.cluster.remove(Reference(SERVICE, "default", "delay"))
    world.look(2)

    assert (world.stands, world.front) == ({"delay-slot-b": "delay-2"}, "delay-2")


def test_a_first_version_that_never_answered_is_corrected_without_a_judge() -> None:
    world = World()
    world.broken.add("delay-1")
    world.look(2)
    world.offers("delay-2")
    world.look(2)

    assert (world.stands, world.plan.reason) == ({"delay": "delay-2"}, "Serving")


def test_a_challenger_for_which_there_is_no_gpu_is_told() -> None:
    world = serving(resources={"limits": {"nvidia.com/gpu": 1}})
    world.broken.add("delay-2")
    world.offers("delay-2")
    world.look()
    lonely: Any = unschedulable(
        world.service, "delay-slot-b-x", "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    )
    lonely["metadata"]["labels"]["flywheel.ml/role"] = "server-b"
    world.cluster.put(lonely)
    plan = world.look()

    assert (plan.ready, plan.reason) == (True, "ChallengerDoesNotFit")
    assert "remove spec.rollout, and servers are replaced one by one" in plan.message

"""A new version is judged before it answers everybody: how it takes over."""

from collections.abc import Mapping
from typing import Any

import pytest

from flywheel.core.resource.api import CONFIG_MAP, DEPLOYMENT, JOB, POD, Reference
from flywheel.kinds.inferenceservice.kind import KIND
from flywheel.testing import params, pod
from tests.kinds.inferenceservice.situations import (
    JUST_OVER,
    SETTLED,
    challenged,
    phase,
    promoted,
    route,
    serving,
)
from tests.kinds.inferenceservice.world import BAD, CANARY, SHADOW, digest, service


def test_the_first_version_is_not_judged() -> None:
    world = serving()

    assert (world.plan.reason, world.front, phase(world)) == ("Serving", "delay-1", None)
    assert route(world) == {"v": 1}


def test_without_a_rollout_the_servers_are_replaced_where_they_stand() -> None:
    world = challenged(None)

    assert world.stands == {"delay": "delay-2"}
    assert world.service.status.rollout is None
    assert not world.cluster.children(world.service.uid, CONFIG_MAP)
    assert world.plan.patches == ()


def test_a_challenger_comes_up_beside_the_champion_and_gets_nothing_yet() -> None:
    world = serving()
    world.broken.add("delay-2")
    world.offers("delay-2")
    plan = world.look(2)

    assert world.stands == {"delay": "delay-1", "delay-slot-b": "delay-2"}
    assert world.counts() == {"delay": 2, "delay-slot-b": 1}
    assert (world.front, route(world)) == ("delay-1", {"v": 1})
    assert (plan.ready, plan.progressing, plan.reason) == (True, True, "ChallengerStarting")
    assert "0 of 1 servers of challenger 'delay-2' are ready. Champion 'delay-1' answers meanwhile." in plan.message


def test_once_it_answers_it_gets_the_first_share_and_a_judge() -> None:
    world = challenged()

    assert route(world) == {
        "v": 1,
        "mode": "Canary",
        "percent": 5,
        "sticky": {"header": "x-user-id"},
        "challenger": {"version": "delay-2", "host": "delay-slot-b.default.svc", "port": 8080},
        "timeoutSeconds": 1.0,
    }
    assert route(world, "slot-b-route") == {"v": 1}, "a challenger that shared its work would share it with itself"
    assert world.plan.reason == "CanaryJudged"
    assert "answers 5 % of the requests of 'delay-1' (step 1 of 2)" in world.plan.message


def test_the_judge_is_told_where_both_sides_are_and_what_the_limits_are() -> None:
    world = challenged()
    assert params(world.child("Job", world.job)) == {
        "mode": "Canary",
        "model": "delay",
        "percent": 5,
        "seconds": 10,
        "atMostSeconds": 10,
        "takesUpSeconds": 120,
        "champion": {"version": "delay-1", "host": "delay-slot-a-pods.default.svc", "port": 8080},
        "challenger": {"version": "delay-2", "host": "delay-slot-b-pods.default.svc", "port": 8080},
        "limits": {"maxErrorRate": 0.01, "maxP99Ratio": 1.5, "minRequests": 100},
    }


def test_each_server_of_the_champion_is_touched_once_for_each_route() -> None:
    world = serving()
    world.offers("delay-2")
    touched = [[touch.name for touch in world.look().patches] for _ in range(4)]

    assert touched == [[], ["delay-delay-1-0", "delay-delay-1-1"], [], []]


def test_a_passed_step_is_followed_by_the_next_with_more_servers_and_another_judge() -> None:
    world = challenged()
    first = world.job
    world.judge_says("Pass")
    world.look(3)

    assert (route(world)["percent"], world.counts()["delay-slot-b"]) == (50, 1)
    assert world.job != first
    assert "(step 2 of 2)" in world.plan.message


def test_after_the_last_step_the_pointer_moves_and_nothing_restarts() -> None:
    world = challenged(replicas=4)
    old = world.child("Deployment", "delay")["spec"]["template"]
    world.judge_says("Pass")
    world.look(4)
    world.judge_says("Pass")
    world.look()
    assert (phase(world), world.front) == ("Promoting", "delay-1")
    world.look(2)

    assert world.counts() == {"delay": 4, "delay-slot-b": 4}
    assert (world.front, phase(world), world.plan.reason) == ("delay-2", "Promoted", "Serving")
    assert world.service.status.version == "delay-2"
    assert world.child("Deployment", "delay")["spec"]["template"] == old
    assert world.events == ["Promoted"]
    assert not world.cluster.children(world.service.uid, JOB)


def test_the_pointer_waits_until_every_server_of_the_winner_answers() -> None:
    world = challenged(replicas=4)
    world.judge_says("Pass")
    world.look(4)
    world.judge_says("Pass")
    world.broken = {"delay-2"}
    world.look(5)

    assert (world.front, phase(world)) == ("delay-1", "Promoting")
    assert "0 of 4 of its servers are ready, then it takes over" in world.plan.message


def test_the_old_version_is_kept_warm_and_then_goes() -> None:
    world = promoted()
    assert world.stands == {"delay": "delay-1", "delay-slot-b": "delay-2"}
    world.passes(JUST_OVER)
    world.look(2)

    assert world.stands == {"delay-slot-b": "delay-2"}
    assert world.front == "delay-2"


def test_what_is_kept_warm_sends_on_what_kept_connections_bring_it() -> None:
    world = promoted()

    assert (route(world, "slot-b-route"), world.front) == ({"v": 1}, "delay-2")
    assert (route(world)["mode"], route(world)["percent"]) == ("Canary", 100)
    assert route(world)["challenger"] == {"version": "delay-2", "host": "delay-slot-b.default.svc", "port": 8080}
    assert world.child("Service", "delay-slot-b")["spec"]["selector"]["flywheel.ml/role"] == "server-b"
    world.offers("delay-1")
    world.look(2)
    assert (route(world), route(world, "slot-b-route")["challenger"]["version"]) == ({"v": 1}, "delay-1")


def test_what_is_kept_warm_answers_again_at_once() -> None:
    world = promoted()
    world.offers("delay-1")
    plan = world.look(2)

    assert (world.front, phase(world), plan.reason) == ("delay-1", "Promoted", "Serving")
    assert world.stands == {"delay": "delay-1", "delay-slot-b": "delay-2"}
    assert not world.cluster.children(world.service.uid, JOB)


def test_what_is_no_longer_warm_is_judged_as_any_other() -> None:
    world = promoted()
    world.passes(JUST_OVER)
    world.look(2)
    world.offers("delay-1")
    world.look(3)

    assert (world.front, world.plan.reason) == ("delay-2", "CanaryJudged")
    assert world.stands == {"delay": "delay-1", "delay-slot-b": "delay-2"}
    assert route(world, "slot-b-route")["challenger"]["host"] == "delay-slot-a.default.svc"
    assert route(world) == {"v": 1}


def test_a_shadow_gets_copies_and_is_promoted_when_it_agrees() -> None:
    world = challenged(SHADOW)
    told = route(world)
    assert (told["mode"], told["percent"]) == ("Shadow", 20)
    assert told["tolerance"] == {"absolute": 1e-6, "relative": 1e-3}
    assert "gets copies of 20 % of the requests" in world.plan.message
    world.judge_says("Pass")
    world.look(4)

    assert (world.front, phase(world)) == ("delay-2", "Promoted")


def test_a_canary_that_becomes_a_shadow_begins_anew() -> None:
    world = challenged()
    world.change(spec=service(SHADOW).spec)
    world.look(2)

    assert (route(world)["mode"], world.plan.reason) == ("Shadow", "ShadowJudged")


@pytest.mark.parametrize("rollout", [CANARY, SHADOW, {**CANARY, "timeout": "60s"}])
def test_every_route_is_one_that_the_server_understands(rollout: dict[str, Any]) -> None:
    from flywheel_serving.route import file

    world = challenged(rollout)
    found = file.parse(world.child("ConfigMap", "delay-route")["data"]["route.json"].encode())
    assert found is not None
    assert found.hundredths == world.service.status.rollout.percent * 100  # type: ignore[union-attr, operator]
    assert file.parse(world.child("ConfigMap", "delay-slot-b-route")["data"]["route.json"].encode()) is None
    for _ in world.service.spec.rollout.steps:  # type: ignore[union-attr]
        world.judge_says("Pass")
        world.look(4)

    warm = file.parse(world.child("ConfigMap", "delay-route")["data"]["route.json"].encode())
    assert warm is not None
    assert (warm.mode, warm.hundredths, warm.challenger.version) == ("Canary", 10_000, "delay-2")


def test_every_child_of_a_rollout_is_a_type_that_the_kind_owns() -> None:
    world = challenged()

    assert {child.api for child in world.plan.children or ()} <= set(KIND.owns)
    assert {touch.api for touch in world.plan.patches} <= set(KIND.patches)


def story(dies: Mapping[int, int], verdict: str) -> tuple[Any, ...]:
    """From one champion to the next, or back, looked at until nothing changes."""
    world = serving(dies=dies)
    world.offers("delay-2")
    for _ in range(30):
        world.look()
        running = world.cluster.children(world.service.uid, JOB)
        if running and "conditions" not in running[0].get("status", {}):
            world.judge_says(verdict if "step 2" in world.plan.message or verdict == "Pass" else "Pass", BAD)
    world.passes(SETTLED)
    world.look(2)
    status = world.service.status.rollout
    return world.stands, world.front, phase(world), world.plan.reason, route(world), status and status.rejected[-1:]


@pytest.mark.parametrize("verdict", ["Pass", "Breach"])
def test_the_end_is_the_same_wherever_the_operator_dies(verdict: str) -> None:
    """In each look: with the pointer moved and no more, with one route written, with all but the judge, and with all but the status."""
    calm = story({}, verdict)
    deaths = [(look, writes) for look in range(3, 15) for writes in (3, 6, 12, 99)]
    ends = {death: story(dict([death]), verdict) for death in deaths}

    assert calm[1] == ("delay-2" if verdict == "Pass" else "delay-1")
    assert {death: end for death, end in ends.items() if end != calm} == {}


def test_the_artifact_of_the_challenger_is_the_one_that_is_fetched() -> None:
    world = challenged()
    found = world.cluster.get(Reference(DEPLOYMENT, "default", "delay-slot-b")) or {}

    assert found["metadata"]["annotations"]["flywheel.ml/digest"] == digest("delay-2")


def test_while_a_server_of_an_earlier_challenger_is_leaving_nothing_is_sent_to_the_slot() -> None:
    world = serving()
    world.offers("delay-2")
    leaving = pod(world.service, "earlier", labels={"flywheel.ml/role": "server-b"})
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T12:00:00Z"
    world.cluster.put(leaving)
    world.look(3)
    assert (phase(world), route(world)) == ("Starting", {"v": 1})
    world.cluster.remove(Reference(POD, "default", "earlier"))
    world.look()

    assert route(world)["percent"] == 5


def test_pods_of_the_judge_are_no_servers() -> None:
    world = challenged()
    world.cluster.put(pod(world.service, "judge-pod", job=world.job))
    world.change(spec=service({"canary": {"steps": [{"percent": 7, "duration": "10s"}]}}).spec)

    assert {touch.name for touch in world.look().patches} == {"delay-delay-1-0", "delay-delay-1-1"}

"""A new version is judged before it answers everybody: how it takes over."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from flywheel.core.resource.api import CONFIG_MAP, DEPLOYMENT, POD, Reference
from flywheel.kinds.inferenceservice.kind import KIND
from tests.kinds.inferenceservice.situations import (
    BAD,
    CANARY,
    JUST_OVER,
    SETTLED,
    SHADOW,
    challenged,
    digest,
    phase,
    promoted,
    route,
    serving,
)
from tests.simulation import params, pod


def test_the_first_version_is_not_judged() -> None:
    simulator = serving()

    assert (simulator.plan.reason, simulator.front, phase(simulator)) == ("Serving", "delay-1", None)
    assert route(simulator) == {"v": 1}


def test_without_a_rollout_the_servers_are_replaced_where_they_stand() -> None:
    simulator = challenged(None)

    assert simulator.stands == {"delay": "delay-2"}
    assert simulator.status.rollout is None
    assert not simulator.cluster.children(simulator.resource.uid, CONFIG_MAP)
    assert simulator.plan.patches == ()


def test_a_challenger_comes_up_beside_the_champion_and_gets_nothing_yet() -> None:
    simulator = serving()
    simulator.broken.add("delay-2")
    simulator.offer("delay-2")
    plan = simulator.work(2)

    assert simulator.stands == {"delay": "delay-1", "delay-slot-b": "delay-2"}
    assert simulator.counts() == {"delay": 2, "delay-slot-b": 1}
    assert (simulator.front, route(simulator)) == ("delay-1", {"v": 1})
    assert (plan.ready, plan.progressing, plan.reason) == (True, True, "ChallengerStarting")
    assert "0 of 1 servers of challenger 'delay-2' are ready. Champion 'delay-1' answers meanwhile." in plan.message


def test_once_it_answers_it_gets_the_first_share_and_a_judge() -> None:
    simulator = challenged()

    assert route(simulator) == {
        "v": 1,
        "mode": "Canary",
        "percent": 5,
        "sticky": {"header": "x-user-id"},
        "challenger": {"version": "delay-2", "host": "delay-slot-b.default.svc", "port": 8080},
        "timeoutSeconds": 1.0,
    }
    assert route(simulator, "slot-b-route") == {"v": 1}, "a challenger that shared its work would share it with itself"
    assert simulator.plan.reason == "CanaryJudged"
    assert "answers 5 % of the requests of 'delay-1' (step 1 of 2)" in simulator.plan.message


def test_the_judge_is_told_where_both_sides_are_and_what_the_limits_are() -> None:
    simulator = challenged()
    assert params(simulator.child("Job", simulator.job)) == {
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
    pods = [simulator.child("Service", f"delay-slot-{slot}-pods")["spec"] for slot in "ab"]
    assert [each["publishNotReadyAddresses"] for each in pods] == [True, True]


def test_each_server_of_the_champion_is_touched_once_for_each_route() -> None:
    simulator = serving()
    simulator.offer("delay-2")
    touched = [[touch.name for touch in simulator.work().patches] for _ in range(4)]

    assert touched == [[], ["delay-delay-1-0", "delay-delay-1-1"], [], []]


def test_a_passed_step_is_followed_by_the_next_with_more_servers_and_another_judge() -> None:
    simulator = challenged()
    first = simulator.job
    simulator.judge("Pass")
    simulator.work(3)

    assert (route(simulator)["percent"], simulator.counts()["delay-slot-b"]) == (50, 1)
    assert simulator.job != first
    assert "(step 2 of 2)" in simulator.plan.message


def test_after_the_last_step_the_pointer_moves_and_nothing_restarts() -> None:
    simulator = challenged(replicas=4)
    old = simulator.child("Deployment", "delay")["spec"]["template"]
    simulator.judge("Pass")
    simulator.work(4)
    simulator.judge("Pass")
    simulator.work()
    assert (phase(simulator), simulator.front) == ("Promoting", "delay-1")
    simulator.work(2)

    assert simulator.counts() == {"delay": 4, "delay-slot-b": 4}
    assert (simulator.front, phase(simulator), simulator.plan.reason) == ("delay-2", "Promoted", "Serving")
    assert simulator.status.version == "delay-2"
    assert simulator.child("Deployment", "delay")["spec"]["template"] == old
    assert simulator.events().count("Promoted") == 1
    assert not simulator.jobs()


def test_the_pointer_waits_until_every_server_of_the_winner_answers() -> None:
    simulator = challenged(replicas=4)
    simulator.judge("Pass")
    simulator.work(4)
    simulator.judge("Pass")
    simulator.broken = {"delay-2"}
    simulator.work(5)

    assert (simulator.front, phase(simulator)) == ("delay-1", "Promoting")
    assert "0 of 4 of its servers are ready, then it takes over" in simulator.plan.message


def test_the_old_version_is_kept_warm_and_then_goes() -> None:
    simulator = promoted()
    assert simulator.stands == {"delay": "delay-1", "delay-slot-b": "delay-2"}
    simulator.advance(JUST_OVER)
    simulator.work(2)

    assert simulator.stands == {"delay-slot-b": "delay-2"}
    assert simulator.front == "delay-2"


def test_what_is_kept_warm_sends_on_what_kept_connections_bring_it() -> None:
    simulator = promoted()

    assert (route(simulator, "slot-b-route"), simulator.front) == ({"v": 1}, "delay-2")
    assert (route(simulator)["mode"], route(simulator)["percent"]) == ("Canary", 100)
    assert route(simulator)["challenger"] == {"version": "delay-2", "host": "delay-slot-b.default.svc", "port": 8080}
    assert simulator.child("Service", "delay-slot-b")["spec"]["selector"]["flywheel.ml/role"] == "server-b"
    simulator.offer("delay-1")
    simulator.work(2)
    assert (route(simulator), route(simulator, "slot-b-route")["challenger"]["version"]) == ({"v": 1}, "delay-1")


def test_what_is_kept_warm_answers_again_at_once() -> None:
    simulator = promoted()
    simulator.offer("delay-1")
    plan = simulator.work(2)

    assert (simulator.front, phase(simulator), plan.reason) == ("delay-1", "Promoted", "Serving")
    assert simulator.stands == {"delay": "delay-1", "delay-slot-b": "delay-2"}
    assert not simulator.jobs()


def test_what_is_no_longer_warm_is_judged_as_any_other() -> None:
    simulator = promoted()
    simulator.advance(JUST_OVER)
    simulator.work(2)
    simulator.offer("delay-1")
    simulator.work(3)

    assert (simulator.front, simulator.plan.reason) == ("delay-2", "CanaryJudged")
    assert simulator.stands == {"delay": "delay-1", "delay-slot-b": "delay-2"}
    assert route(simulator, "slot-b-route")["challenger"]["host"] == "delay-slot-a.default.svc"
    assert route(simulator) == {"v": 1}


def test_a_shadow_gets_copies_and_is_promoted_when_it_agrees() -> None:
    simulator = challenged(SHADOW)
    told = route(simulator)
    assert (told["mode"], told["percent"]) == ("Shadow", 20)
    assert told["tolerance"] == {"absolute": 1e-6, "relative": 1e-3}
    assert "gets copies of 20 % of the requests" in simulator.plan.message
    simulator.judge("Pass")
    simulator.work(4)

    assert (simulator.front, phase(simulator)) == ("delay-2", "Promoted")


def test_a_canary_that_becomes_a_shadow_begins_anew() -> None:
    simulator = challenged()
    simulator.patch_spec(rollout=SHADOW)
    simulator.work(2)

    assert (route(simulator)["mode"], simulator.plan.reason) == ("Shadow", "ShadowJudged")


@pytest.mark.parametrize("rollout", [CANARY, SHADOW, {**CANARY, "timeout": "60s"}])
def test_every_route_is_one_that_the_server_understands(rollout: dict[str, Any]) -> None:
    from flywheel_serving.route import route_file

    simulator = challenged(rollout)
    found = route_file.parse_route(simulator.child("ConfigMap", "delay-route")["data"]["route.json"].encode())
    assert found is not None
    assert found.share_hundredths == simulator.status.rollout.percent * 100
    assert (
        route_file.parse_route(simulator.child("ConfigMap", "delay-slot-b-route")["data"]["route.json"].encode())
        is None
    )
    for _ in simulator.resource.spec.rollout.steps:
        simulator.judge("Pass")
        simulator.work(4)

    warm = route_file.parse_route(simulator.child("ConfigMap", "delay-route")["data"]["route.json"].encode())
    assert warm is not None
    assert (warm.mode, warm.share_hundredths, warm.challenger.version) == ("Canary", 10_000, "delay-2")


@pytest.mark.parametrize("dies", [{}, {1: 99}], ids=["undisturbed", "the operator dies before its status"])
def test_a_version_that_came_back_from_standby_was_not_measured(dies: dict[int, int]) -> None:
    simulator = promoted()
    simulator.dies = {simulator.passes + number: writes for number, writes in dies.items()}
    simulator.offer("delay-1")
    simulator.work(2)
    status = simulator.status.rollout
    assert status is not None

    assert simulator.front == "delay-1"
    assert status.message == "Version 'delay-1', which was on standby, answers again in place of 'delay-2'."


def test_the_one_before_a_new_champion_stays_on_standby_for_as_long_as_the_model_may_take_that_back() -> None:
    simulator = promoted(bake_time="2h")
    simulator.advance(timedelta(minutes=90))
    simulator.work(2)
    assert "delay-1" in simulator.stands.values(), "keepWarm alone would be ten minutes"
    simulator.offer("delay-1")
    simulator.work(2)
    assert (simulator.front, phase(simulator)) == ("delay-1", "Promoted")
    simulator.advance(timedelta(minutes=11))
    simulator.work(2)

    assert simulator.stands == {"delay-slot-a": "delay-1"} or list(simulator.stands.values()) == ["delay-1"]


def test_every_child_of_a_rollout_is_a_type_that_the_kind_owns() -> None:
    simulator = challenged()

    assert {child.api for child in simulator.plan.children or ()} <= set(KIND.owns)
    assert {touch.api for touch in simulator.plan.patches} <= set(KIND.patches)


def story(dies: Mapping[int, int], verdict: str) -> tuple[Any, ...]:
    """From one champion to the next, or back, looked at until nothing changes."""
    simulator = serving(dies=dies)
    simulator.offer("delay-2")
    for _ in range(30):
        simulator.work()
        running = simulator.jobs()
        if running and "conditions" not in running[0].get("status", {}):
            simulator.judge(verdict if "step 2" in simulator.plan.message or verdict == "Pass" else "Pass", BAD)
    simulator.advance(SETTLED)
    simulator.work(2)
    status = simulator.status.rollout
    return (
        simulator.stands,
        simulator.front,
        phase(simulator),
        simulator.plan.reason,
        route(simulator),
        status and status.rejected[-1:],
    )


long_run = pytest.mark.long_run


@pytest.mark.exhaustive
@pytest.mark.parametrize("verdict", ["Pass", "Breach"])
@pytest.mark.parametrize(
    "writes",
    [
        pytest.param(0, id="before its first write", marks=long_run),
        pytest.param(1, id="after one write"),
        pytest.param(2, id="after two writes", marks=long_run),
        pytest.param(99, id="before its status"),
    ],
)
def test_the_end_is_the_same_in_whichever_pass_the_operator_dies(writes: int, verdict: str) -> None:
    undisturbed = story({}, verdict)
    ends = {number: story({number: writes}, verdict) for number in range(3, 15)}

    assert undisturbed[1] == ("delay-2" if verdict == "Pass" else "delay-1")
    assert {number: end for number, end in ends.items() if end != undisturbed} == {}


def test_the_artifact_of_the_challenger_is_the_one_that_is_fetched() -> None:
    simulator = challenged()
    found = simulator.cluster.get(Reference(DEPLOYMENT, "default", "delay-slot-b")) or {}

    assert found["metadata"]["annotations"]["flywheel.ml/digest"] == digest("delay-2")


def test_while_a_server_of_an_earlier_challenger_is_leaving_nothing_is_sent_to_the_slot() -> None:
    simulator = serving()
    simulator.offer("delay-2")
    leaving = pod(simulator.resource, "earlier", labels={"flywheel.ml/role": "server-b"})
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T12:00:00Z"
    simulator.put(leaving)
    simulator.work(3)
    assert (phase(simulator), route(simulator)) == ("Starting", {"v": 1})
    simulator.cluster.remove(Reference(POD, "default", "earlier"))
    simulator.work()

    assert route(simulator)["percent"] == 5


def test_pods_of_the_judge_are_no_servers() -> None:
    simulator = challenged()
    simulator.put(pod(simulator.resource, "judge-pod", job=simulator.job))
    simulator.patch_spec(rollout={"canary": {"steps": [{"percent": 7, "duration": "10s"}]}})

    assert {touch.name for touch in simulator.work().patches} == {"delay-delay-1-0", "delay-delay-1-1"}


def test_servers_of_an_earlier_challenger_are_not_counted_as_the_new_ones() -> None:
    simulator = challenged()
    simulator.offer("delay-3")

    messages = []
    for _ in range(4):
        simulator.broken.add("delay-3")
        messages.append(simulator.work().message)

    told = [each for each in messages if "servers of challenger 'delay-3'" in each]
    assert told
    assert all(each.startswith("0 of 1 servers") for each in told), told

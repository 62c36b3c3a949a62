"""A new version is judged before it answers everybody: each test is one way in which a rollout may go."""

import json
from datetime import timedelta
from typing import Any

import pytest

from flywheel.core.api import CONFIG_MAP, DEPLOYMENT, JOB, SERVICE, Reference
from flywheel.kinds.inferenceservice.kind import KIND
from flywheel.kinds.inferenceservice.rollout.move import steps_of
from flywheel.testing import pod, unschedulable
from tests.kinds.inferenceservice.world import BAD, CANARY, SHADOW, World, digest, service

KEPT_WARM, JUST_OVER = timedelta(minutes=10), timedelta(minutes=10, seconds=1)
SETTLED = timedelta(seconds=11)


def serving(rollout: dict[str, Any] | None = CANARY, forgets: frozenset[int] = frozenset(), **spec: Any) -> World:
    """delay-1 answers."""
    world = World(service(rollout, **spec), forgets)
    world.look(2)
    return world


def challenged(rollout: dict[str, Any] | None = CANARY, **spec: Any) -> World:
    """delay-2 is offered, its servers answer, and the judge of step 1 runs."""
    world = serving(rollout, **spec)
    world.offers("delay-2")
    world.look(3)
    return world


def promoted() -> World:
    """delay-2 has passed every step, and delay-1 is kept warm."""
    world = challenged()
    for _ in range(2):
        world.judge_says("Pass")
        world.look(4)
    return world


def rolled_back() -> World:
    """delay-2 failed its first step."""
    world = challenged()
    world.judge_says("Breach", BAD)
    world.look(2)
    return world


def route(world: World, slot: str = "route") -> Any:
    """What servers are told."""
    return json.loads(world.child("ConfigMap", f"delay-{slot}")["data"]["route.json"])


def phase(world: World) -> str | None:
    status = world.service.status.rollout
    return status.phase if status else None


def test_the_first_version_is_not_judged() -> None:
    world = serving()

    assert (world.plan.reason, world.front, phase(world)) == ("Serving", "delay-1", None)
    assert route(world) == {"v": 1}


def test_without_a_rollout_the_servers_are_replaced_where_they_stand() -> None:
    world = challenged(None)

    assert world.stands == {"delay": "delay-2"}
    assert world.service.status.rollout is None
    assert not world.cluster.children(world.service.uid, CONFIG_MAP)
    assert world.plan.touches == ()


def test_a_challenger_comes_up_beside_the_champion_and_gets_nothing_yet() -> None:
    world = serving()
    world.broken.add("delay-2")
    world.offers("delay-2")
    plan = world.look(2)

    assert world.stands == {"delay": "delay-1", "delay-slot-b": "delay-2"}
    assert world.counts() == {"delay": 2, "delay-slot-b": 1}
    assert (world.front, route(world)) == ("delay-1", {"v": 1})
    assert (plan.ready, plan.progressing, plan.reason) == (True, True, "ChallengerStarting")
    assert "0 of 1 servers of challenger 'delay-2' answer. Champion 'delay-1' answers meanwhile." in plan.message


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
    [fetch] = [
        each
        for each in world.child("Job", world.job)["spec"]["template"]["spec"]["initContainers"]
        if each["name"] == "fetch"
    ]
    told = {each["name"]: each.get("value") for each in fetch["env"]}

    assert json.loads(told["FLYWHEEL_PARAMS"]) == {
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
    touched = [[touch.name for touch in world.look().touches] for _ in range(4)]

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
    assert "0 of 4 of its servers answer, then it takes over" in world.plan.message


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
    assert "ModelVersion 'delay-2' was found bad: It was slow." in world.plan.message


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
    pod = world.child("Job", world.job)["spec"]["template"]["spec"]
    told = {each["name"]: each.get("value", "") for each in pod["initContainers"][1]["env"]}
    return int(json.loads(told["FLYWHEEL_PARAMS"])["atMostSeconds"])


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
    for _ in steps_of(world.service.spec.rollout):  # type: ignore[arg-type]
        world.judge_says("Pass")
        world.look(4)

    warm = file.parse(world.child("ConfigMap", "delay-route")["data"]["route.json"].encode())
    assert warm is not None
    assert (warm.mode, warm.hundredths, warm.challenger.version) == ("Canary", 10_000, "delay-2")


def test_every_child_of_a_rollout_is_a_type_that_the_kind_owns() -> None:
    world = challenged()

    assert {child.api for child in world.plan.children or ()} <= set(KIND.owns)
    assert {touch.api for touch in world.plan.touches} <= set(KIND.touches)


def story(forgets: frozenset[int], verdict: str) -> tuple[Any, ...]:
    """From one champion to the next, or back, looked at until nothing changes."""
    world = serving(forgets=forgets)
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
def test_the_end_is_the_same_wherever_the_operator_dies_before_it_writes_the_status(verdict: str) -> None:
    calm = story(frozenset(), verdict)
    ends = {number: story(frozenset({number}), verdict) for number in range(1, 20)}

    assert calm[1] == ("delay-2" if verdict == "Pass" else "delay-1")
    assert {number: end for number, end in ends.items() if end != calm} == {}


def test_the_artifact_of_the_challenger_is_the_one_that_is_fetched() -> None:
    world = challenged()
    found = world.cluster.get(Reference(DEPLOYMENT, "default", "delay-slot-b")) or {}

    assert found["metadata"]["annotations"]["flywheel.ml/digest"] == digest("delay-2")


def test_pods_of_the_judge_are_no_servers() -> None:
    world = challenged()
    world.cluster.put(pod(world.service, "judge-pod", job=world.job))
    world.change(spec=service({"canary": {"steps": [{"percent": 7, "duration": "10s"}]}}).spec)

    assert {touch.name for touch in world.look().touches} == {"delay-delay-1-0", "delay-delay-1-1"}

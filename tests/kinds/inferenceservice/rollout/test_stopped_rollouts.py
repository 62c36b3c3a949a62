"""A new version that does not take over: rolled back, held, paused, aborted, or no longer wanted."""

from datetime import timedelta
from typing import Any

import pytest

from flywheel.core.requeue import PENDING_CHECK_INTERVAL
from flywheel.core.resource.api import CONFIG_MAP, DEPLOYMENT, SERVICE, Reference
from flywheel.core.resource.conditions import find_condition
from flywheel.core.settings import AllowedPlacement, Settings
from flywheel.kinds.inferenceservice.schema.rollout import RolloutStatus
from tests.kinds.inferenceservice.situations import (
    BAD,
    CANARY,
    SETTLED,
    Serving,
    challenged,
    phase,
    promoted,
    rolled_back,
    route,
    serving,
)
from tests.simulation import params, unschedulable_pod


def test_a_breach_empties_the_route_first_and_then_the_challenger_goes() -> None:
    simulator = rolled_back()
    assert route(simulator) == {"v": 1}
    assert simulator.stands == {"delay": "delay-1", "delay-slot-b": "delay-2"}
    simulator.advance(SETTLED)
    simulator.work(2)

    assert simulator.stands == {"delay": "delay-1"}
    assert not simulator.jobs()


def test_a_rollback_is_told_with_its_numbers() -> None:
    simulator = rolled_back()
    [mark] = simulator.status.rollout.rejected

    assert (simulator.plan.ready, simulator.plan.progressing, simulator.plan.reason) == (True, False, "RolledBack")
    assert simulator.plan.message.startswith(
        "Challenger 'delay-2' had 4.12 % errors (limit 1 %; 50 failed) in 1,204 requests at 5 %; champion 'delay-1' answers all traffic."
    )
    assert (mark.version, mark.numbers) == ("delay-2", {"requests": "1204", "errorRate": "0.0412345"})
    assert simulator.events().count("ChallengerRejected") == 1


def test_what_was_rolled_back_does_not_come_again_by_itself() -> None:
    simulator = rolled_back()
    simulator.advance(timedelta(days=1))
    simulator.work(3)

    assert (simulator.stands, simulator.plan.reason) == ({"delay": "delay-1"}, "RolledBack")


def test_it_stays_told_when_the_model_has_gone_back() -> None:
    simulator = rolled_back()
    simulator.offer("delay-1")
    simulator.work(2)

    assert (simulator.plan.ready, simulator.plan.reason) == (True, "RolledBack")
    assert "had 4.12 % errors" in simulator.plan.message


def test_once_its_mark_is_cleared_it_is_judged_anew_with_other_jobs() -> None:
    simulator = challenged()
    first = simulator.job
    simulator.judge("Breach", BAD)
    simulator.work(2)
    simulator.advance(timedelta(minutes=1))
    simulator.offer("delay-2", rejectionCleared={"value": "seen", "at": "2026-01-01T12:00:30Z"})
    simulator.work(3)

    assert simulator.plan.reason == "CanaryJudged"
    assert simulator.job.rpartition("-1-")[0] != first.rpartition("-1-")[0]
    assert simulator.status.rollout is not None
    assert simulator.status.rollout.rejected == ()


def test_a_version_that_another_service_rolled_back_is_not_tried() -> None:
    simulator = serving()
    simulator.offer("delay-2", rejection={"service": "eu", "at": "2026-01-01T12:00:00Z", "message": "It was slow."})
    simulator.work(2)

    assert (simulator.stands, simulator.plan.reason) == ({"delay": "delay-1"}, "RolledBack")
    assert "ModelVersion 'delay-2' was rejected: It was slow." in simulator.plan.message


def test_what_cannot_be_measured_is_held_and_measured_again() -> None:
    simulator = challenged()
    first = simulator.job
    simulator.judge("CannotMeasure", "got 3 requests at 5 %, and analysis.minRequests is 100")
    plan = simulator.work()
    assert (plan.ready, plan.reason, phase(simulator)) == (True, "CannotMeasure", "Holding")
    simulator.work()

    assert simulator.job != first
    assert route(simulator)["percent"] == 5
    assert "got 3 requests at 5 %, and analysis.minRequests is 100" in simulator.plan.message


def at_most(simulator: Serving) -> int:
    """How long the judge that runs may measure, in seconds."""
    return int(params(simulator.child("Job", simulator.job))["atMostSeconds"])


def test_each_time_it_cannot_be_measured_it_is_measured_twice_as_long() -> None:
    simulator = challenged()
    lengths = []
    for _ in range(13):
        lengths.append(at_most(simulator))
        simulator.judge("CannotMeasure")
        simulator.work(2)

    assert lengths[:4] == [10, 20, 40, 80]
    assert lengths[-1] == 6 * 3600
    assert "measured again, for up to 6:00:00" in simulator.plan.message


def test_a_judge_that_fails_again_and_again_comes_after_longer_and_longer_pauses() -> None:
    simulator = challenged()
    pauses = []
    for _ in range(7):
        simulator.judge(None)
        simulator.work()
        status = simulator.status.rollout
        assert status is not None
        assert status.retry_at is not None
        pauses.append((status.retry_at - simulator.cluster.now).total_seconds())
        simulator.advance(timedelta(minutes=5))
        simulator.work()

    assert pauses == [10, 20, 40, 80, 160, 300, 300]


def test_a_judge_that_fails_by_a_fault_of_ours_stalls_after_five_tries_and_a_changed_spec_tries_again() -> None:
    simulator = challenged()
    for tries in range(1, 6):
        simulator.judge(None)
        simulator.work()
        simulator.advance(timedelta(minutes=5))
        simulator.work()
        simulator.judge_fails("KeyError: 'x'")
        simulator.work()
        assert simulator.status.rollout.internal_errors == tries
        simulator.advance(timedelta(minutes=5))
        simulator.work()

    assert (simulator.plan.ready, simulator.plan.stalled, simulator.plan.reason) == (True, True, "CannotMeasure")
    assert "KeyError: 'x'. This is a fault of Flywheel" in simulator.plan.message
    assert simulator.events().count("InternalError") == 1
    assert (simulator.jobs(), simulator.front, route(simulator)["percent"]) == ((), "delay-1", 5)
    simulator.patch_spec(rollout={**CANARY, "keepWarm": "11m"})
    simulator.work()

    assert (simulator.plan.stalled, len(simulator.job_names())) == (False, 1)


def test_a_judge_that_was_killed_is_no_verdict_and_another_one_comes_after_a_pause() -> None:
    simulator = challenged()
    simulator.judge(None)
    simulator.work(2)
    assert not simulator.jobs()
    assert (simulator.plan.reason, simulator.front) == ("CannotMeasure", "delay-1")
    simulator.advance(timedelta(seconds=11))
    simulator.work()

    assert simulator.job
    assert route(simulator)["percent"] == 5


def test_judges_that_were_killed_do_not_lengthen_the_step() -> None:
    simulator = challenged()
    lengths = []
    for verdict in (None, None, None, "CannotMeasure", "CannotMeasure"):
        simulator.judge(verdict)
        simulator.work()
        simulator.advance(timedelta(minutes=5))
        simulator.work()
        lengths.append(at_most(simulator))

    assert lengths == [10, 10, 10, 20, 40]


def test_a_judge_that_fails_for_the_first_time_is_retried_soon_however_often_requests_were_too_few() -> None:
    simulator = challenged()
    for verdict in ("CannotMeasure", "CannotMeasure", "CannotMeasure", None):
        simulator.judge(verdict)
        simulator.work(2)
    status = simulator.status.rollout
    assert status is not None
    assert status.retry_at is not None

    assert (status.retry_at - simulator.cluster.now).total_seconds() == 10


@pytest.mark.parametrize(
    ("verdict", "after", "reason"),
    [
        pytest.param("Pass", "Judging", "RolloutPaused", id="a passed step is not followed by the next"),
        pytest.param("Breach", "RolledBack", "RolledBack", id="a breach rolls back all the same"),
    ],
)
def test_paused(verdict: str, after: str, reason: str) -> None:
    simulator = challenged()
    simulator.patch_spec(rollout={**CANARY, "paused": True})
    simulator.judge(verdict, BAD)
    simulator.work(2)

    assert (phase(simulator), simulator.plan.reason, simulator.front) == (after, reason, "delay-1")
    simulator.patch_spec(rollout=CANARY)
    simulator.work(2)
    assert phase(simulator) == ("Judging" if verdict == "Pass" else "RolledBack")


def test_a_pause_after_a_passed_step_is_not_a_busy_loop() -> None:
    simulator = challenged()
    simulator.patch_spec(rollout={**CANARY, "paused": True})
    waits = simulator.work().requeue_after
    simulator.judge("Pass")

    assert simulator.work(2).requeue_after == waits == PENDING_CHECK_INTERVAL


def test_a_step_that_the_spec_no_longer_has_is_the_last_one() -> None:
    simulator = challenged()
    simulator.judge("Pass")
    simulator.work(3)
    simulator.patch_spec(rollout={"canary": {"steps": [{"percent": 7, "duration": "10s"}]}})
    assert "(step 1 of 1)" in simulator.work().message
    simulator.judge("Pass")

    assert "(step 1 of 1). Step 1 is passed" in simulator.work().message


LONG_NAMES = ("a" * 200, "b" * 200)


@pytest.mark.parametrize(
    ("verdict", "rejection"),
    [
        pytest.param("Breach", None, id="a breach"),
        pytest.param(
            "CannotMeasure",
            {"service": "eu", "at": "2026-01-01T12:00:00Z", "message": "x" * 512},
            id="a rejection by another service meanwhile",
        ),
    ],
)
def test_the_message_of_a_stopped_rollout_fits_its_schema(verdict: str, rejection: dict[str, str] | None) -> None:
    champion, challenger = LONG_NAMES
    simulator = Serving()
    simulator.offer(champion)
    simulator.work(2)
    simulator.offer(challenger)
    simulator.work(3)
    simulator.judge(verdict, "x" * 400)
    if rejection:
        simulator.offer(challenger, rejection=rejection)
    simulator.work(2)
    status = simulator.status.rollout
    assert status is not None

    assert status.phase in ("RolledBack", "Aborted")
    assert RolloutStatus.model_validate(status.model_dump()) == status


@pytest.mark.parametrize("stop", ["breach", "abort"])
def test_while_the_route_empties_the_challenger_stays_though_the_model_is_gone(stop: str) -> None:
    simulator = challenged()
    if stop == "breach":
        simulator.judge("Breach", BAD)
    else:
        simulator.annotate({"flywheel.ml/abort-rollout": "delay-2"})
    simulator.work()
    simulator.offer(None)
    simulator.work()
    assert (simulator.stands, route(simulator)) == ({"delay": "delay-1", "delay-slot-b": "delay-2"}, {"v": 1})
    simulator.advance(SETTLED)
    simulator.work()

    assert simulator.stands == {"delay": "delay-1"}


def test_paused_before_it_began_no_challenger_comes() -> None:
    simulator = challenged({**CANARY, "paused": True})

    assert (simulator.stands, simulator.plan.reason) == ({"delay": "delay-1"}, "RolloutPaused")


FORBIDDEN = {"priorityClassName": "system-node-critical"}


def test_a_rollout_of_a_spec_that_became_forbidden_is_rolled_back_by_its_verdict() -> None:
    simulator = challenged()
    simulator.restart_with(Settings(placement=AllowedPlacement(())))
    simulator.patch_spec(placement=FORBIDDEN)
    simulator.judge("Breach", BAD)
    simulator.work(2)

    assert (phase(simulator), route(simulator)) == ("RolledBack", {"v": 1})
    assert find_condition(simulator.manifest(simulator.subject))["reason"] == "PlacementNotAllowed"


def test_no_rollout_of_a_forbidden_spec_begins() -> None:
    simulator = promoted()
    simulator.restart_with(Settings(placement=AllowedPlacement(())))
    simulator.patch_spec(placement=FORBIDDEN)
    simulator.offer("delay-3")
    simulator.work(2)

    assert "delay-3" not in simulator.stands.values()
    assert (simulator.status.version, phase(simulator)) == ("delay-2", "Promoted")


def test_aborted_by_annotation_and_begun_again_without_it() -> None:
    simulator = challenged()
    simulator.annotate({"flywheel.ml/abort-rollout": "delay-2"})
    simulator.work(2)
    assert (phase(simulator), simulator.plan.reason, route(simulator)) == ("Aborted", "RolloutAborted", {"v": 1})
    simulator.advance(SETTLED)
    simulator.work()
    assert simulator.stands == {"delay": "delay-1"}
    simulator.annotate({})
    simulator.work(3)

    assert simulator.plan.reason == "CanaryJudged"


def test_an_abort_of_another_version_is_not_meant() -> None:
    simulator = challenged()
    simulator.annotate({"flywheel.ml/abort-rollout": "delay-1"})
    simulator.work(2)

    assert simulator.plan.reason == "CanaryJudged"


def test_a_third_version_takes_the_challengers_place() -> None:
    simulator = challenged()
    simulator.offer("delay-3")
    simulator.work()
    assert route(simulator) == {"v": 1}
    simulator.work(2)

    assert simulator.stands == {"delay": "delay-1", "delay-slot-b": "delay-3"}
    assert route(simulator)["challenger"]["version"] == "delay-3"


def test_wanted_back_in_the_middle_the_challenger_goes() -> None:
    simulator = challenged()
    simulator.offer("delay-1")
    simulator.work(2)
    assert (route(simulator), phase(simulator)) == ({"v": 1}, "Aborted")
    simulator.advance(SETTLED)
    simulator.work(2)

    assert (simulator.stands, simulator.plan.reason) == ({"delay": "delay-1"}, "Serving")


def test_while_the_model_is_gone_all_stays_as_it_is() -> None:
    simulator = challenged()
    judge = simulator.job
    simulator.offer(None)
    simulator.work(2)

    assert simulator.job == judge
    assert (simulator.stands["delay-slot-b"], route(simulator)["percent"]) == ("delay-2", 5)
    assert simulator.plan.reason == "NoChampion"


def test_suspended_the_challenger_goes_and_the_old_version_stays_wanted() -> None:
    simulator = challenged()
    simulator.patch_spec(suspend=True)
    simulator.work(3)

    assert (simulator.stands, phase(simulator)) == ({"delay": "delay-1"}, "Aborted")


def test_without_its_rollout_the_new_version_replaces_the_old_one_where_it_stands() -> None:
    simulator = challenged()
    simulator.patch_spec(rollout=None)
    simulator.work(2)

    assert simulator.stands == {"delay": "delay-2"}
    assert not simulator.cluster.children(simulator.resource.uid, CONFIG_MAP)


def test_in_the_second_slot_it_stays_when_its_rollout_goes_and_the_service_is_deleted_by_hand() -> None:
    simulator = promoted()
    simulator.patch_spec(rollout=None)
    simulator.work(2)
    simulator.cluster.remove(Reference(SERVICE, "default", "delay"))
    simulator.work(2)

    assert (simulator.stands, simulator.front) == ({"delay-slot-b": "delay-2"}, "delay-2")


def test_a_first_version_that_never_answered_is_corrected_without_a_judge() -> None:
    simulator = Serving()
    simulator.broken.add("delay-1")
    simulator.work(2)
    simulator.offer("delay-2")
    simulator.work(2)

    assert (simulator.stands, simulator.plan.reason) == ({"delay": "delay-2"}, "Serving")


def test_a_first_version_that_one_server_answers_for_is_not_replaced_without_a_judge() -> None:
    simulator = serving(replicas=1)
    first = simulator.manifest(Reference(DEPLOYMENT, "default", "delay"))
    simulator.put({**first, "status": {**first["status"], "conditions": []}})
    simulator.offer("delay-2")
    simulator.reconcile()

    assert simulator.stands["delay"] == "delay-1"


def test_a_challenger_for_which_there_is_no_gpu_is_told() -> None:
    simulator = serving(resources={"limits": {"nvidia.com/gpu": 1}})
    simulator.broken.add("delay-2")
    simulator.offer("delay-2")
    simulator.work()
    lonely: Any = unschedulable_pod(
        simulator.resource, "delay-slot-b-x", "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    )
    lonely["metadata"]["labels"]["flywheel.ml/role"] = "server-b"
    simulator.put(lonely)
    plan = simulator.work()

    assert (plan.ready, plan.reason) == (True, "ChallengerDoesNotFit")
    assert "remove spec.rollout, and servers are replaced one by one" in plan.message


def test_paused_after_the_last_step_the_pointer_stays_and_says_so() -> None:
    simulator = challenged()
    simulator.judge("Pass")
    simulator.work(4)
    simulator.judge("Pass")
    simulator.work()
    assert phase(simulator) == "Promoting"

    simulator.patch_spec(rollout={**CANARY, "paused": True})
    plan = simulator.work(2)

    assert (plan.reason, plan.progressing, simulator.front) == ("RolloutPaused", False, "delay-1")
    assert plan.message.endswith("spec.rollout.paused is true.")

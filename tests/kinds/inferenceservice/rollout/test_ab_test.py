"""An A/B test: looks at the labels from time to time, of which one promotes the challenger, rejects it, or ends the test."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from flywheel.core.resource.api import MODEL_VERSION
from flywheel_serving.route import route_file
from tests.kinds.inferenceservice.situations import (
    AB_TEST,
    CANARY,
    LOGGED,
    SETTLED,
    Serving,
    challenged,
    digest,
    phase,
    route,
    serving,
)
from tests.simulation import params
from tests.simulation.resources import custom

INTERVAL, BETTER = timedelta(minutes=4), "is better: accuracy 0.9 against 0.8, a gain of 0.1"
NOT_BETTER = "is not better by 0.02: accuracy 0.8 against 0.8, a gain of 0"
NO_LABELS = "cannot be judged: no label has come for any unit of either arm in time; post them to the service"
UNDECIDED = "is neither better nor not better by 0.02 for certain yet"


def ab_tested(**changed: Any) -> Serving:
    """delay-2 is tested against delay-1."""
    return challenged({"abTest": {**AB_TEST["abTest"], **changed}}, **LOGGED)


def look(simulator: Serving, verdict: str | None, message: str = "", **numbers: float) -> None:
    """The time of the next look has come, and it ends with this verdict."""
    simulator.advance(INTERVAL)
    simulator.work()
    simulator.judge(verdict, message, numbers)
    simulator.work()


def test_users_are_divided_and_nothing_is_looked_at_before_its_time() -> None:
    simulator = ab_tested()

    assert route(simulator) == {
        "v": 1,
        "mode": "ABTest",
        "percent": 50,
        "test": simulator.status.rollout.test,
        "sticky": {"header": "x-user-id"},
        "challenger": {"version": "delay-2", "host": "delay-slot-b.default.svc", "port": 8080},
        "timeoutSeconds": 1.0,
    }
    found = route_file.parse_route(simulator.child("ConfigMap", "delay-route")["data"]["route.json"].encode())
    assert found is not None
    assert (found.mode, found.share_hundredths) == ("ABTest", 5_000)
    assert (simulator.plan.reason, simulator.jobs()) == ("ABTestJudged", ())
    assert "Challenger 'delay-2' is tested on 50 % of the users of 'delay-1' (0 looks)" in simulator.plan.message


def test_a_look_reads_all_rows_and_labels_until_its_time() -> None:
    simulator = ab_tested()
    simulator.advance(INTERVAL)
    simulator.work()
    started = simulator.status.rollout.since
    config = params(simulator.child("Job", simulator.job))

    assert config == {
        "test": simulator.status.rollout.test,
        "metric": "accuracy",
        "minEffect": 0.02,
        "alpha": 0.05,
        "share": 0.5,
        "labelDelaySeconds": 60,
        "since": f"{started:%Y-%m-%dT%H:%M:%SZ}",
        "until": f"{started + INTERVAL:%Y-%m-%dT%H:%M:%SZ}",
        "final": False,
        "look": 1,
        "champion": {"version": "delay-1", "digest": digest("delay-1")},
        "challenger": {"version": "delay-2", "digest": digest("delay-2")},
    }
    simulator.work(3)
    assert params(simulator.child("Job", simulator.job)) == config


def collect_of(simulator: Serving) -> dict[str, Any]:
    simulator.advance(INTERVAL)
    simulator.work()
    containers = simulator.child("Job", simulator.job)["spec"]["template"]["spec"]["initContainers"]
    [text] = [each["value"] for one in containers for each in one["env"] if each["name"] == "FLYWHEEL_COLLECT"]
    found: dict[str, Any] = json.loads(text)
    return found


def test_only_what_decides_has_an_audit_record_of_the_model() -> None:
    simulator = ab_tested()
    audit = collect_of(simulator)["audit"]
    [entry] = audit["entries"]

    assert (audit["model"], audit["champion"], audit["verdicts"]) == (
        "delay",
        None,
        ["Better", "NotBetter", "Inconclusive"],
    )
    assert (entry["event"], entry["version"], entry["champion"]) == ("ABTested", "delay-2", "delay-1")
    assert (entry["rule"]["metric"], entry["rule"]["minEffect"]) == ("accuracy", "0.02")


def test_the_version_that_the_spec_names_has_its_own_model() -> None:
    simulator = serving(AB_TEST, **LOGGED)
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "Verified",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    status = {"digest": digest("delay-2"), "conditions": [ready]}
    simulator.put(custom(MODEL_VERSION, "delay-2", {"model": "late"}, status=status))
    simulator.patch_spec(model=None, version="delay-2")
    simulator.work(3)

    assert collect_of(simulator)["audit"]["model"] == "late"


def test_a_challenger_that_is_better_takes_over_with_the_proof_in_the_status() -> None:
    simulator = ab_tested()
    look(simulator, "Undecided", UNDECIDED)
    assert (phase(simulator), simulator.plan.reason) == ("Judging", "ABTestJudged")
    assert f"The challenger {UNDECIDED}" in simulator.plan.message
    simulator.work()
    assert simulator.jobs() == ()
    look(simulator, "Better", BETTER, effect=0.1, log10Better=1.5)
    simulator.work(3)

    status = simulator.status.rollout
    assert (phase(simulator), simulator.front, status.verdict) == ("Promoted", "delay-2", "Better")
    assert status.numbers == {"effect": "0.1", "log10Better": "1.5"}
    assert f"it {BETTER}." in status.message


def test_a_challenger_that_is_not_better_is_rejected() -> None:
    simulator = ab_tested()
    look(simulator, "NotBetter", NOT_BETTER, effect=0.0)
    [rejection] = simulator.status.rollout.rejected

    assert (phase(simulator), simulator.front, route(simulator)) == ("RolledBack", "delay-1", {"v": 1})
    assert (rejection.version, rejection.message) == ("delay-2", f"Challenger 'delay-2' {NOT_BETTER}.")


def test_labels_that_never_come_are_told_while_it_runs_and_at_its_end() -> None:
    simulator = ab_tested()
    look(simulator, "CannotMeasure", NO_LABELS)
    assert (simulator.plan.reason, NO_LABELS in simulator.plan.message) == ("CannotMeasure", True)
    simulator.work()
    assert (simulator.plan.reason, NO_LABELS in simulator.plan.message) == ("CannotMeasure", True)
    look(simulator, "CannotMeasure", NO_LABELS)
    simulator.advance(timedelta(minutes=2))
    simulator.work()
    assert params(simulator.child("Job", simulator.job))["final"] is True
    simulator.judge("Inconclusive", f"was tested for the whole of maxDuration without a decision: it {NO_LABELS}")
    simulator.work()

    assert (phase(simulator), simulator.plan.reason, route(simulator)) == (
        "Inconclusive",
        "ABTestInconclusive",
        {"v": 1},
    )
    assert NO_LABELS in simulator.plan.message
    assert simulator.events().count("ABTestInconclusive") == 1


def inconclusive() -> Serving:
    simulator = ab_tested(interval="10m")
    simulator.advance(timedelta(minutes=10))
    simulator.work()
    simulator.judge("Inconclusive", "was tested for the whole of maxDuration without a decision")
    simulator.work()
    return simulator


def test_a_version_that_was_not_proven_is_not_rejected_and_not_tested_again_by_itself() -> None:
    simulator = inconclusive()
    simulator.advance(SETTLED)
    simulator.work(3)

    assert (simulator.stands, simulator.plan.reason) == ({"delay": "delay-1"}, "ABTestInconclusive")
    assert (simulator.status.rollout.rejected, simulator.plan.ready) == ((), True)
    assert "To go on, change spec.rollout, such as a longer maxDuration" in simulator.plan.message


@pytest.mark.parametrize(
    ("change", "mode"),
    [
        pytest.param({"abTest": {**AB_TEST["abTest"], "maxDuration": "1h"}}, "ABTest", id="for longer"),
        pytest.param(CANARY, "Canary", id="by a canary"),
    ],
)
def test_another_spec_tries_a_version_that_was_not_proven_again(change: dict[str, Any], mode: str) -> None:
    simulator = inconclusive()
    simulator.patch_spec(rollout=change)
    simulator.work(3)

    assert (route(simulator)["mode"], simulator.plan.reason) == (mode, f"{mode}Judged")


def test_another_version_is_tested_after_one_that_was_not_proven() -> None:
    simulator = inconclusive()
    simulator.offer("delay-3")
    simulator.work(4)

    assert (route(simulator)["mode"], simulator.status.rollout.challenger) == ("ABTest", "delay-3")


def test_a_changed_rule_begins_another_test_so_that_what_was_seen_by_the_old_one_does_not_count() -> None:
    simulator = ab_tested()
    before = simulator.status.rollout.test
    look(simulator, "Undecided", UNDECIDED)
    simulator.patch_spec(rollout={"abTest": {**AB_TEST["abTest"], "alpha": "20%"}})
    simulator.work(3)

    assert simulator.status.rollout.test != before
    assert (simulator.status.rollout.judgements, route(simulator)["test"]) == (None, simulator.status.rollout.test)


def test_a_new_challenger_ends_the_test_of_the_one_before() -> None:
    simulator = ab_tested()
    look(simulator, "Undecided", UNDECIDED)
    simulator.offer("delay-3")
    simulator.work(4)

    assert (route(simulator)["challenger"]["version"], simulator.status.rollout.judgements) == ("delay-3", None)


@pytest.mark.parametrize(
    "stop",
    [
        pytest.param(lambda simulator: simulator.offer("delay-1"), id="the champion is wanted again"),
        pytest.param(lambda simulator: simulator.patch_spec(suspend=True), id="suspended"),
    ],
)
def test_a_test_that_is_stopped_rejects_nobody(stop: Any) -> None:
    simulator = ab_tested()
    stop(simulator)
    simulator.work(2)

    assert (phase(simulator), route(simulator), simulator.status.rollout.rejected) == ("Aborted", {"v": 1}, ())


def test_a_win_waits_while_it_is_paused_and_nothing_is_looked_at() -> None:
    simulator = ab_tested()
    simulator.advance(INTERVAL)
    simulator.work()
    simulator.patch_spec(rollout={**AB_TEST, "paused": True})
    simulator.judge("Better", BETTER)
    simulator.work(2)
    assert (phase(simulator), simulator.plan.reason, simulator.front) == ("Judging", "RolloutPaused", "delay-1")
    simulator.patch_spec(rollout=AB_TEST)
    simulator.work(4)

    assert (phase(simulator), simulator.front) == ("Promoted", "delay-2")


def test_a_look_that_fails_is_tried_again_and_the_test_ends_all_the_same() -> None:
    simulator = ab_tested(interval="10m")
    simulator.advance(timedelta(minutes=10))
    simulator.work()
    for _ in range(5):
        assert phase(simulator) in ("Judging", "Holding")
        simulator.judge(None)
        simulator.work()
        simulator.advance(timedelta(minutes=5))
        simulator.work()

    assert (phase(simulator), simulator.plan.reason) == ("Inconclusive", "ABTestInconclusive")
    assert "and the last looks failed: the judge failed" in simulator.plan.message


def walk(dies: Mapping[int, int], verdict: str) -> tuple[Any, ...]:
    """From one champion to the next, or not, looked at until nothing changes."""
    simulator = serving(AB_TEST, dies, **LOGGED)
    simulator.offer("delay-2")
    looks = 0
    for _ in range(24):
        simulator.work()
        running = simulator.jobs()
        if running and "conditions" not in running[0].get("status", {}):
            looks += 1
            simulator.judge("Undecided" if looks == 1 else verdict, f"look {verdict}")
        elif phase(simulator) == "Judging":
            simulator.advance(timedelta(minutes=1))
    simulator.advance(SETTLED)
    simulator.work(2)
    status = simulator.status.rollout
    found = status and (status.judgements, status.verdict, [each.version for each in status.rejected])
    return simulator.stands, simulator.front, phase(simulator), simulator.plan.reason, route(simulator), found


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "verdict",
    [
        "Better",
        pytest.param("NotBetter", marks=pytest.mark.long_run),
        pytest.param("Inconclusive", marks=pytest.mark.long_run),
    ],
)
@pytest.mark.parametrize("writes", [pytest.param(1, id="after one write"), pytest.param(99, id="before its status")])
def test_the_end_is_the_same_in_whichever_pass_the_operator_dies(writes: int, verdict: str) -> None:
    undisturbed = walk({}, verdict)
    ends = {number: walk({number: writes}, verdict) for number in range(3, 20)}

    assert undisturbed[2] == {"Better": "Promoted", "NotBetter": "RolledBack", "Inconclusive": "Inconclusive"}[verdict]
    assert {number: end for number, end in ends.items() if end != undisturbed} == {}

"""A new champion is taken back for what a monitor finds of it, if its Model says so; else the status says why not."""

from datetime import timedelta
from typing import Any

import pytest

from flywheel.core.resource.api import INFERENCE_SERVICE, MODEL, MODEL_MONITOR, MODEL_VERSION, Reference
from flywheel.kinds.modelversion.schema.status import MonitoredProblem
from tests.kinds.modelversion.situations import TRAINED, Version, trained
from tests.simulation import NOON
from tests.simulation.resources import custom, stamp

NAME, BEFORE, OLD = "flight-delay-3f9a1c2e", "flight-delay-11111111", "sha256:" + "1" * 64
ALL = {"when": ["Errors", "NotFinite", "ConstantOutput", "LabelledLoss"], "monitors": ["watch"], "bakeTime": "1h"}
CLEAR = {"flywheel.ml/clear-rejection": "inspected"}
SINCE = "2026-01-01T11:30:00Z"
NOT_FINITE = {"signal": "dataQuality", "subject": "prediction", "measure": "invalid", "problem": "NotFinite"}
CONSTANT = {"signal": "predictionDrift", "subject": "prediction", "measure": "psi", "problem": "ConstantOutput"}
LOSS = {"signal": "performance", "subject": "roc_auc", "measure": "drop"}
FLOOD = {"signal": "labels", "subject": "user-06114ad7bfcf773e", "measure": "overShare"}
OVERLOAD = {"signal": "service", "subject": "errors", "measure": "errors"}  # of all classes of errors
ERRORS = {
    "signal": "service",
    "subject": "requests that the model failed",
    "measure": "failed",
    "problem": "ModelFailed",
}


def promoted(version: str, digest: str, minutes_ago: int, number: int, reason: str = "Better") -> dict[str, Any]:
    since = stamp(NOON - timedelta(minutes=minutes_ago))
    return {"number": number, "version": version, "digest": digest, "since": since, "reason": reason}


def champion(
    minutes_ago: int = 40,
    champion: str = NAME,
    pinned: str | None = None,
    history: list[dict[str, Any]] | None = None,
    tolerated: list[dict[str, Any]] | None = None,
    **spec: Any,
) -> Version:
    """A verified version that became champion then, after another one."""
    spec |= {"champion": pinned} if pinned else {}
    history = history or [promoted(BEFORE, OLD, 9999, 1), promoted(NAME, TRAINED, minutes_ago, 2)]
    status = {"champion": champion, "history": history, "tolerated": tolerated or []}
    version = Version(trained(), custom(MODEL, "flight-delay", {"rollback": ALL, **spec}, status=status))
    ready = {"type": "Ready", "status": "True", "reason": "Verified", "message": "", "lastTransitionTime": SINCE}
    made = {"model": "flight-delay", "source": {"artifact": {"digest": OLD}}}
    version.put(custom(MODEL_VERSION, BEFORE, made, status={"digest": OLD, "conditions": [ready]}))
    version.reconcile()
    version.succeed()
    version.reconcile()
    version.reconcile()
    return version


def finds(version: Version, *found: dict[str, Any], monitor: str = "watch") -> None:
    """A monitor has these findings of the version, and no others."""
    findings = [
        {"name": f"{each['signal']}/{number}", "version": NAME, "since": SINCE, **each}
        for number, each in enumerate(found)
    ]
    status = {"findings": findings, "versions": [{"version": NAME, "rows": 1000}]}
    version.put(custom(MODEL_MONITOR, monitor, {"inferenceService": "delays"}, status=status))
    version.reconcile()


def problem(version: Version) -> MonitoredProblem:
    found: MonitoredProblem | None = version.status.problem
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("found", "kind"),
    [(NOT_FINITE, "NotFinite"), (CONSTANT, "ConstantOutput"), (LOSS, "LabelledLoss"), (ERRORS, "Errors")],
)
def test_a_new_champion_is_taken_back_for_what_the_model_names(found: dict[str, Any], kind: str) -> None:
    version = champion()
    finds(version, found | {"message": "3.1 % of the answers are infinite."})

    rejection = version.status.rejection
    assert (problem(version).kind, problem(version).rolled_back, problem(version).reason) == (kind, True, "RolledBack")
    assert rejection is not None
    assert (rejection.service, rejection.monitor) == ("delays", "watch")
    assert "3.1 % of the answers are infinite. It is taken back." in rejection.message
    assert [event.reason for event in version.plan.events] == ["RolledBack"]
    assert version.plan.summary.startswith("rolled back, ")


def test_long_names_do_not_keep_the_version_from_being_reconciled() -> None:
    version = champion(minutes_ago=90, rollback=ALL | {"monitors": ["w" * 253]})
    finds(version, CONSTANT | {"message": "All rows have the answer 0.5."}, monitor="w" * 253)

    assert problem(version).message.startswith("ModelMonitor 'www")
    assert len(problem(version).message) <= 512


@pytest.mark.parametrize("found", [
    {"signal": "featureDrift", "subject": "month", "measure": "psi"},
    {"signal": "predictionDrift", "subject": "prediction", "measure": "psi"},
    {"signal": "dataQuality", "subject": "prediction", "measure": "missing"},  # a feature of that name
    {"signal": "service", "subject": "latency over 50ms", "measure": "latency"},
    OVERLOAD,
    NOT_FINITE | {"version": BEFORE},
])  # fmt: skip
def test_drift_and_what_is_found_of_others_take_nothing_back(found: dict[str, Any]) -> None:
    version = champion()
    finds(version, found)

    assert (version.status.rejection, version.status.problem) == (None, None)


def test_without_rollback_in_the_model_nothing_is_taken_back() -> None:
    version = champion(rollback=None)
    finds(version, NOT_FINITE)

    assert (version.status.rejection, version.status.problem) == (None, None)


def test_a_problem_that_the_model_does_not_name_takes_nothing_back() -> None:
    version = champion(rollback={"when": ["LabelledLoss"], "monitors": ["watch"]})
    finds(version, NOT_FINITE)

    assert (version.status.rejection, version.status.problem) == (None, None)


def test_a_monitor_that_the_model_does_not_name_takes_nothing_back() -> None:
    version = champion()
    finds(version, NOT_FINITE, monitor="another")

    assert (version.status.rejection, version.status.problem) == (None, None)


def tolerated(reason: str, kind: str = "LabelledLoss", monitor: str = "watch") -> dict[str, Any]:
    """The entry of the Model for a finding for which the version stayed champion."""
    return {"number": 1, "version": NAME, "monitor": monitor, "kind": kind, "since": SINCE, "reason": reason}


@pytest.mark.parametrize("reason", ["RolledBack", "Archived", "Pinned"])
@pytest.mark.parametrize("found", [LOSS, LOSS | {"since": "2026-01-01T11:50:00Z"}], ids=["an old finding", "a new one"])
def test_a_champion_that_returned_is_not_new(found: dict[str, Any], reason: str) -> None:
    """The version after it was taken back, and what was found of this one before is still in the monitor's status."""
    history = [
        promoted(BEFORE, OLD, 9999, 1),
        promoted(NAME, TRAINED, 5000, 2),
        promoted("flight-delay-22222222", "sha256:" + "2" * 64, 30, 3),
        promoted(NAME, TRAINED, 20, 4, reason),
    ]
    version = champion(history=history)
    finds(version, found)

    assert version.status.rejection is None
    assert (problem(version).reason, problem(version).rolled_back) == ("Returned", False)


def test_a_champion_that_was_one_before_is_not_new_after_a_pin_of_another() -> None:
    history = [
        promoted(NAME, TRAINED, 5000, 1),
        promoted(BEFORE, OLD, 30, 2, "Pinned"),
        promoted(NAME, TRAINED, 20, 3),
    ]
    version = champion(history=history)
    finds(version, LOSS)

    assert version.status.rejection is None
    assert problem(version).reason == "Returned"


def test_a_version_whose_rejection_was_cleared_is_new_again() -> None:
    version = champion()
    finds(version, NOT_FINITE)
    version.advance(minutes=5)
    version.annotate(CLEAR)
    version.reconcile()
    [known] = [each for each in [version.cluster.get(Reference(MODEL, "default", "flight-delay"))] if each]
    history = [*known["status"]["history"], promoted(BEFORE, OLD, 0, 3, "RolledBack"), promoted(NAME, TRAINED, -5, 4)]
    version.put({**known, "status": {**known["status"], "history": history}})
    finds(version, NOT_FINITE | {"since": stamp(version.cluster.now + timedelta(minutes=1))})

    assert problem(version).rolled_back


def test_a_finding_that_was_tolerated_is_never_a_reason_later() -> None:
    version = champion(tolerated=[tolerated("Pinned")])
    finds(version, LOSS)

    assert version.status.rejection is None
    assert (problem(version).reason, problem(version).rolled_back) == ("Tolerated", False)
    finds(version, LOSS | {"since": "2026-01-01T11:50:00Z"})
    assert problem(version).rolled_back


def test_labels_that_do_not_count_take_nothing_back_and_are_told_once() -> None:
    version = champion()
    finds(version, FLOOD | {"message": "Source 'user-06114ad7bfcf773e' decided 20 % of the labelled rows alone."})
    told = problem(version)

    assert (version.status.rejection, told.rolled_back, told.reason) == (None, False, "LabelsRefused")
    assert "found labels that do not count since 2026-01-01 11:30 UTC: Source 'user-06114ad7bfcf773e'" in told.message
    assert "is not taken back, since what they say is no loss" in told.message
    assert [event.reason for event in version.plan.events] == ["NotRolledBack"]
    finds(version, FLOOD | {"since": "2026-01-01T11:50:00Z"})
    assert (problem(version), version.plan.events) == (told, ())


def test_labels_that_do_not_count_hide_no_loss() -> None:
    version = champion(tolerated=[tolerated("LabelsRefused")])
    finds(version, FLOOD, LOSS)

    assert (problem(version).reason, problem(version).rolled_back) == ("RolledBack", True)


def test_labels_that_do_not_count_are_told_only_where_labels_could_take_back() -> None:
    version = champion(rollback={"when": ["Errors"], "monitors": ["watch"]})
    finds(version, FLOOD)

    assert version.status.problem is None


@pytest.mark.parametrize("entry", [tolerated("Pinned", kind="Errors"), tolerated("Pinned", monitor="another")])
def test_what_was_tolerated_of_another_finding_is_no_excuse(entry: dict[str, Any]) -> None:
    version = champion(tolerated=[entry])
    finds(version, LOSS)

    assert problem(version).rolled_back


def test_a_pinned_champion_is_only_told_about() -> None:
    version = champion(pinned=NAME)
    finds(version, NOT_FINITE)

    assert version.status.rejection is None
    assert (problem(version).rolled_back, problem(version).reason) == (False, "Pinned")
    assert "is not taken back, since spec.champion of Model 'flight-delay' names it" in version.plan.message
    assert [event.reason for event in version.plan.events] == ["NotRolledBack"]
    version.reconcile()
    assert version.plan.events == ()


def test_a_champion_of_long_ago_is_only_told_about() -> None:
    version = champion(minutes_ago=90)
    finds(version, LOSS)

    assert version.status.rejection is None
    assert problem(version).reason == "BakeTimeOver"
    assert "pin an earlier version by spec.champion" in problem(version).message


def test_the_time_counts_from_when_a_rollout_gave_it_all_traffic() -> None:
    version = champion(minutes_ago=90)
    rollout = {
        "phase": "Promoted", "mode": "Canary", "challenger": NAME, "champion": BEFORE,
        "started": stamp(NOON), "since": stamp(NOON - timedelta(minutes=20)),
    }  # fmt: skip
    spec = {"model": "flight-delay", "auth": {"none": {}}}
    version.put(custom(INFERENCE_SERVICE, "delays", spec, status={"version": NAME, "rollout": rollout}))
    finds(version, NOT_FINITE)

    assert problem(version).rolled_back


@pytest.mark.parametrize("before", [
    {"spec": {"archived": True}},
    {"status": {"digest": "sha256:" + "9" * 64}},
    {"status": {"rejection": {"service": "delays", "at": SINCE}}},
    {"status": {"conditions": []}},
])  # fmt: skip
def test_a_champion_without_one_before_it_stays_and_is_told_about(before: dict[str, Any]) -> None:
    version = champion()
    [known] = [
        each
        for each in version.cluster.referrers(MODEL_VERSION, Reference(MODEL, "default", "flight-delay"))
        if each["metadata"]["name"] == BEFORE
    ]
    version.put({**known, **{key: {**known[key], **value} for key, value in before.items()}})
    finds(version, NOT_FINITE)

    assert version.status.rejection is None
    assert problem(version).reason == "NoPreviousChampion"


def test_labels_that_arrive_after_the_rollback_change_nothing() -> None:
    version = champion(champion=BEFORE)
    finds(version, LOSS)

    assert (version.status.rejection, version.status.problem) == (None, None)


def test_a_rollback_that_is_cleared_is_not_repeated_for_the_same_finding() -> None:
    version = champion()
    finds(version, NOT_FINITE)
    version.advance(minutes=5)
    version.annotate(CLEAR)
    version.reconcile()

    assert version.status.rejection is None
    assert (problem(version).reason, problem(version).rolled_back) == ("Cleared", False)
    version.advance(minutes=1)
    finds(version, NOT_FINITE | {"since": stamp(version.cluster.now)})
    assert version.status.rejection is not None


def test_the_rejection_outlives_the_finding_and_its_monitor() -> None:
    version = champion()
    finds(version, NOT_FINITE)
    finds(version)
    version.reconcile()

    assert version.status.rejection is not None
    assert problem(version).rolled_back

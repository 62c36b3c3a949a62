"""Whole searches, from the first trial to the registered version, in any order."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.core.diagnosis.outcome import Outcome
from flywheel.core.resource.api import JOB, MODEL, MODEL_VERSION, Reference
from flywheel.core.resource.conditions import find_condition
from flywheel.core.settings import AllowedPlacement, Settings
from flywheel.kinds.experiment import trials
from flywheel.kinds.experiment.schema.status import ResourceUsage
from tests.examples import examples
from tests.kinds.experiment.situations import Ends, Search, experiment, sometimes_fails, succeeds


def test_the_short_form_searches_and_registers() -> None:
    search = Search(experiment({"register": "flight-delay"}), succeeds)

    plan = search.finish()

    status = search.status
    assert (plan.ready, plan.succeeded, plan.reason) == (True, True, "BudgetSpent")
    assert status.best is not None
    assert plan.summary == f"12/12 trials, best roc_auc {float(status.best.value or 0):.3f} (trial {status.best.trial})"
    assert status.model_version is not None
    version = search.cluster.get(Reference(MODEL_VERSION, "default", status.model_version))
    assert version is not None
    assert version["spec"]["lineage"]["trial"] == status.best.trial
    assert search.cluster.get(Reference(MODEL, "default", "flight-delay")) is not None
    assert {record.state for record in status.history} == {"Succeeded"}
    assert search.jobs() == ()


def test_a_trial_tells_where_and_with_what_it_ran() -> None:
    search = Search(experiment({"register": "flight-delay"}), succeeds)
    search.finish()
    best = search.status.best
    assert best is not None

    assert (best.node, best.usage) == ("node-1", ResourceUsage(cpu_seconds=13, memory_peak_bytes=312000000))
    assert best.image == "flywheel.local/any@sha256:" + "0" * 64
    address = Reference(MODEL_VERSION, "default", search.status.model_version or "")
    version = search.cluster.get(address)
    assert version is not None
    assert version["spec"]["lineage"]["image"] == best.image


@pytest.mark.parametrize(
    ("usage", "told"),
    [
        ({"cpuSeconds": 12.3}, ResourceUsage(cpu_seconds=13)),
        ({"memoryPeakBytes": 5}, ResourceUsage(memory_peak_bytes=5)),
        ({}, None),
    ],
)
def test_what_a_trial_used_is_told_as_far_as_it_is_known(usage: dict[str, Any], told: ResourceUsage | None) -> None:
    assert trials._usage(Outcome("Succeeded", "Done", "", usage=usage)) == told


def test_the_revision_of_the_code_is_recorded_in_the_lineage_and_given_to_the_trial() -> None:
    code = {"revision": "9f8e7d6c", "repository": "https://git.example/team/models"}
    search = Search(experiment({"register": "m", "code": code, "budget": {"maxTrials": 1}}), succeeds)
    search.settle()
    main = search.jobs()[0]["spec"]["template"]["spec"]["containers"][0]
    search.finish()

    assert {"name": "FLYWHEEL_GIT_REVISION", "value": "9f8e7d6c"} in main["env"]
    version = search.cluster.get(Reference(MODEL_VERSION, "default", search.status.model_version or ""))
    assert version is not None
    lineage = version["spec"]["lineage"]
    assert (lineage["gitRevision"], lineage["gitRepository"]) == (code["revision"], code["repository"])


def test_nothing_is_written_once_it_is_over() -> None:
    search = Search(experiment({"register": "flight-delay"}), succeeds)
    search.finish()
    before = len(search.writes)

    search.settle()

    assert len(search.writes) == before


def test_a_deleted_version_is_not_made_again() -> None:
    search = Search(experiment({"register": "flight-delay"}), succeeds)
    search.finish()
    version = Reference(MODEL_VERSION, "default", search.status.model_version or "")
    search.cluster.remove(version)

    plan = search.settle()

    assert (plan.ready, search.cluster.get(version)) == (True, None)


def test_never_more_trials_than_parallelism_and_budget() -> None:
    search = Search(experiment({"parallelism": 3, "budget": {"maxTrials": 7}}), succeeds)

    plan = search.settle()
    assert len(search.jobs()) == 3
    plan = search.finish()

    assert plan.summary.startswith("7/7 trials")
    assert sum(write.startswith("create Job") for write in search.writes) == 7


def test_a_raised_budget_goes_on_with_what_is_known() -> None:
    search = Search(experiment({"budget": {"maxTrials": 4}, "register": "m"}), succeeds)
    search.finish()
    first = search.status.history

    search.patch_spec(**{"budget": {"maxTrials": 9}})
    plan = search.settle()
    assert (plan.ready, plan.succeeded, plan.reason) == (False, None, "Searching")
    plan = search.finish()

    assert search.status.history[:4] == first
    assert plan.summary.startswith("9/9 trials")


def test_a_goal_ends_the_search_and_stops_what_runs() -> None:
    search = Search(experiment({"objective": {"metric": "roc_auc", "goal": "0.55"}, "parallelism": 3}), succeeds)

    plan = search.finish()

    assert plan.reason == "GoalReached"
    assert [record.state for record in search.status.history] == ["Succeeded", "Stopped", "Stopped"]
    assert search.jobs() == ()


def test_time_that_is_up_ends_the_search_with_the_best_so_far() -> None:
    search = Search(experiment({"budget": {"duration": "30m"}}), succeeds)
    search.settle()
    search.end(search.jobs()[0])
    search.settle()
    search.cluster.advance(timedelta(minutes=31))

    plan = search.settle()

    assert (plan.ready, plan.reason, search.jobs()) == (True, "TimeSpent", ())


def test_lost_attempts_are_made_again_with_the_same_point_and_not_counted() -> None:
    points: dict[int, list[list[float]]] = {}

    def ends(trial: int, attempt: int, point: list[float]) -> Mapping[str, Any]:
        points.setdefault(trial, []).append(point)
        return sometimes_fails(trial, attempt, point)

    search = Search(experiment(), ends)
    plan = search.finish()

    assert plan.reason == "BudgetSpent"
    assert [len(points[trial]) for trial in (3, 6, 9, 12)] == [2, 2, 2, 2]
    assert all(first == each for first, *others in points.values() for each in others)
    assert plan.summary.startswith("12/12 trials, 1 failed, best")


def test_a_main_that_ends_itself_each_time_has_failed_after_three_attempts() -> None:
    attempts: list[int] = []

    def ends(trial: int, attempt: int, point: list[float]) -> Mapping[str, Any]:
        attempts.append(attempt)
        return {"exit": 137}

    search = Search(experiment({"budget": {"maxTrials": 1, "maxFailedTrials": 1}}), ends)
    plan = search.finish()

    assert (plan.stalled, plan.reason) == (True, "TrialsFailed")
    assert "ended by signal 9" in plan.message
    assert max(attempts) == 3


def test_a_fault_of_ours_ends_a_trial_after_five_tries_and_preemptions_between_do_not_count() -> None:
    attempts: list[int] = []

    def ends(trial: int, attempt: int, point: list[float]) -> Mapping[str, Any]:
        attempts.append(attempt)
        return {"lost": True} if attempt % 2 else {"ours": "KeyError: 'x'"}

    search = Search(experiment({"budget": {"maxTrials": 1}}), ends)
    plan = search.finish()

    assert (plan.stalled, plan.reason) == (True, "InternalError")
    assert "KeyError: 'x'. This is a fault of Flywheel, which ended 5 attempts" in plan.message
    assert attempts == list(range(1, 11))


def test_a_job_deleted_by_hand_is_made_again() -> None:
    search = Search(experiment(), succeeds)
    search.settle()
    deleted = search.jobs()[0]
    search.cluster.remove(Reference(JOB, "default", deleted["metadata"]["name"]))

    plan = search.finish()

    assert plan.reason == "BudgetSpent"
    assert any(deleted["metadata"]["name"].replace("-1-1-", "-1-2-") in write for write in search.writes)


def test_too_many_failures_stall_and_say_how_to_go_on() -> None:
    def fails(trial: int, attempt: int, point: list[float]) -> Mapping[str, Any]:
        return {"exit": 1, "reason": "ParameterRefused", "message": "C must be > 0"}

    search = Search(experiment(), fails)
    plan = search.finish()

    assert (plan.stalled, plan.succeeded, plan.reason) == (True, False, "TrialsFailed")
    # Two run at once, so the fourth had started before the third failed.
    assert plan.message.startswith("4 trials failed, and spec.budget.maxFailedTrials is 3; the last, trial ")
    assert "C must be > 0. See 'kubectl logs job/flight-delay-trial-" in plan.message
    assert search.status.start_time is None
    assert len(search.jobs()) == 3  # their logs can be read

    search.ends = succeeds
    search.patch_spec(**{"budget": {"maxFailedTrials": 5}})
    assert search.finish().reason == "BudgetSpent"


def test_what_can_never_work_stalls_at_once_and_a_corrected_spec_starts_again() -> None:
    def refused(trial: int, attempt: int, point: list[float]) -> Mapping[str, Any]:
        return {"exit": 2, "reason": "EstimatorNotAllowed", "message": "estimator 'Foo' is not allowed"}

    search = Search(experiment({"trainer": {"sklearn": {"estimators": [{"name": "Foo"}]}}}), refused)
    plan = search.finish()
    assert (plan.stalled, plan.reason) == (True, "EstimatorNotAllowed")
    assert plan.message.startswith("Trial 1 can never work: estimator 'Foo' is not allowed.")

    search.ends = succeeds
    search.patch_spec(**{"trainer": {"sklearn": {"estimators": [{"name": "LogisticRegression"}]}}})
    plan = search.finish()

    assert plan.reason == "Trained"
    assert [(record.trial, record.state) for record in search.status.history] == [
        (1, "Stopped"),
        (2, "Succeeded"),
    ]


def test_a_missing_metric_is_the_trials_failure_and_names_those_found() -> None:
    def other(trial: int, attempt: int, point: list[float]) -> Mapping[str, Any]:
        return {"metrics": {"accuracy": 0.9}}

    search = Search(experiment({"budget": {"maxFailedTrials": 1}}), other)
    plan = search.finish()

    assert (plan.reason, plan.stalled) == ("TrialsFailed", True)
    assert "It reported no metric 'roc_auc' (found: accuracy)" in plan.message


def test_suspended_lets_run_what_runs_and_starts_nothing() -> None:
    search = Search(experiment(), succeeds)
    search.settle()
    search.patch_spec(**{"suspend": True})
    for job in search.jobs():
        search.end(job)

    plan = search.settle()

    assert (plan.reason, plan.progressing, search.jobs()) == ("Suspended", False, ())
    assert [record.state for record in search.status.history] == ["Succeeded", "Succeeded"]


@settings(max_examples=examples(15, ci=4), deadline=None)
@given(data=st.data(), parallelism=st.integers(1, 4))
def test_in_any_order_every_trial_ends_once_and_the_best_is_the_best(data: st.DataObject, parallelism: int) -> None:
    ends: Ends = sometimes_fails
    search = Search(experiment({"parallelism": parallelism}), ends)

    search.finish(choose=lambda jobs: data.draw(st.sampled_from(jobs)))

    history = search.status.history
    values = [float(record.value) for record in history if record.value is not None]
    best = search.status.best
    assert best is not None
    assert [record.trial for record in history] == list(range(1, 13))
    assert float(best.value or 0) == max(values)
    assert len({record.point for record in history}) == 12


def test_a_forbidden_search_takes_in_what_ended_and_starts_nothing() -> None:
    spec = {"parallelism": 2, "placement": {"priorityClassName": "system-node-critical"}}
    search = Search(experiment(spec), succeeds)
    search.settle()
    first, second = search.job_names()

    search.restart_with(Settings(placement=AllowedPlacement(())))
    search.end(search.manifest(Reference(JOB, "default", first)))
    search.settle()

    assert search.status.trials.succeeded == 1
    assert [record.state for record in search.status.history] == ["Succeeded", "Running"]
    assert find_condition(search.manifest(search.subject))["reason"] == "PlacementNotAllowed"
    assert search.job_names() == [second]

    search.end(search.manifest(Reference(JOB, "default", second)))
    for _ in range(3):
        search.settle()
        search.advance(minutes=1)
    assert (search.status.trials.succeeded, search.status.running) == (2, ())
    assert find_condition(search.manifest(search.subject), "Stalled")["status"] == "True"
    search.restart_with(Settings())
    search.settle()
    assert search.status.trials.running == 2

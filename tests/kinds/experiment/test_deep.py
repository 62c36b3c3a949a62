"""Searches that prune, that keep to constraints, and that end where nothing better is found."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from flywheel.kinds.experiment.children import trial_job
from flywheel.kinds.experiment.schema.immutable import fingerprint
from flywheel.kinds.experiment.schema.status import Attempt, Data
from flywheel.kinds.experiment.search.defaults import resolve_setup
from flywheel.kinds.experiment.trials import recall_trials
from tests.kinds.experiment.situations import Search, experiment, succeeds
from tests.simulation import FakeCluster

MEDIAN = {"pruner": {"median": {"startupTrials": 3}}}


def prunes_every_third(trial: int, attempt: int, point: list[float]) -> Mapping[str, Any]:
    return {"pruned": {"step": 10, "value": 0.5}} if trial % 3 == 0 else succeeds(trial, attempt, point)


def test_pruned_trials_are_spent_and_remembered_with_their_last_value() -> None:
    search = Search(experiment({**MEDIAN, "register": "m"}), prunes_every_third)

    plan = search.finish()

    status = search.status
    assert (plan.ready, plan.reason) == (True, "BudgetSpent")
    assert "12/12 trials, 4 pruned, best roc_auc" in plan.summary
    assert status.trials is not None
    assert (status.trials.succeeded, status.trials.pruned, status.trials.failed) == (8, 4, 0)
    pruned = [record for record in status.history if record.state == "Pruned"]
    assert [(record.trial, record.value, record.step) for record in pruned] == [
        (trial, "0.5", 10) for trial in (3, 6, 9, 12)
    ]
    assert status.last_trials[0].reason == "Pruned"
    assert status.best is not None
    assert status.best.trial % 3


def test_the_sampler_learns_from_pruned_trials() -> None:
    search = Search(experiment(MEDIAN), prunes_every_third)
    search.finish()

    past = recall_trials(search.resource).past()

    assert [each.step for each in past if each.step] == [10] * 4
    assert all(each.has_result for each in past)


def test_a_pruned_trial_that_diverged_has_no_value() -> None:
    def diverges(trial: int, attempt: int, point: list[float]) -> Mapping[str, Any]:
        return {"pruned": {"step": 4, "value": None}} if trial == 8 else succeeds(trial, attempt, point)

    search = Search(experiment(MEDIAN), diverges)
    search.finish()

    [record] = [record for record in search.status.history if record.state == "Pruned"]
    assert (record.value, record.step) == (None, 4)


def test_a_search_whose_trials_are_all_pruned_stalls() -> None:
    def hopeless(trial: int, attempt: int, point: list[float]) -> Mapping[str, Any]:
        return {"pruned": {"step": 4, "value": 0.1}}

    search = Search(experiment({"pruner": {"patient": {"patience": 1}}}), hopeless)
    plan = search.finish()

    assert (plan.stalled, plan.reason) == (True, "AllPruned")
    assert "loosen or remove spec.pruner" in plan.message


def test_a_program_that_reports_pruned_by_itself_has_failed() -> None:
    def says(trial: int, attempt: int, point: list[float]) -> Mapping[str, Any]:
        return {"exit": 1, "reason": "Pruned", "message": "I gave up"}

    plan = Search(experiment(MEDIAN), says).finish()

    assert plan.reason == "TrialsFailed"


def test_collect_gets_the_curve_and_the_group_to_compare() -> None:
    found = experiment({"objective": {"metric": "log_loss"}, **MEDIAN})
    cluster = FakeCluster()
    data = Data(version="v", digest="sha256:" + "a" * 64, task="Classification", classes=2)
    setup = resolve_setup(found.spec, data)
    assert setup is not None

    job = trial_job(found, setup, data, Attempt(trial=4, attempt=1), (1, 0.5), cluster.settings).manifest

    pod = job["spec"]["template"]["spec"]
    environment = {each["name"]: each.get("value") for each in pod["initContainers"][0]["env"]}
    assert json.loads(environment["FLYWHEEL_COLLECT"])["prune"] == {
        "metric": "log_loss",
        "maximize": False,
        "group": f"{fingerprint(found.spec)}/1",
        "rule": {"median": {"startupTrials": 3}},
    }


def test_without_the_new_fields_a_search_is_the_same_as_before() -> None:
    assert fingerprint(experiment().spec) == fingerprint(
        experiment({**MEDIAN, "budget": {"plateau": {"trials": 3}}}).spec
    )


def slow_where_good(trial: int, attempt: int, point: list[float]) -> Mapping[str, Any]:
    """The better half of the trials takes too long."""
    metrics = dict(succeeds(trial, attempt, point)["metrics"])
    return {"metrics": metrics | {"p95_ms": 30 if metrics["roc_auc"] > 0.7 else 10}}


def test_the_best_keeps_to_the_constraints() -> None:
    search = Search(experiment({"constraints": [{"metric": "p95_ms", "max": "20"}]}), slow_where_good)

    plan = search.finish()

    status = search.status
    over = {record.trial for record in status.history if record.over}
    assert status.best is not None
    assert status.best.trial not in over
    assert over == {record.trial for record in status.history if float(record.value or 0) > 0.7}
    assert status.trials is not None
    assert (status.trials.succeeded, status.trials.feasible) == (12, 12 - len(over))
    assert f"{12 - len(over)} feasible" in plan.summary
    [example, *_] = [trial for trial in status.last_trials if trial.reason == "Infeasible"]
    assert (example.state, example.message) == ("Succeeded", "It cannot be the best: p95_ms 30 is above 20.")


def test_a_goal_beyond_the_constraints_is_not_reached() -> None:
    spec = {"constraints": [{"metric": "p95_ms", "max": "20"}], "objective": {"metric": "roc_auc", "goal": "0.72"}}

    assert Search(experiment(spec), slow_where_good).finish().reason == "BudgetSpent"


def test_where_nothing_is_feasible_the_search_is_mended_in_place() -> None:
    search = Search(experiment({"constraints": [{"metric": "p95_ms", "max": "5"}]}), slow_where_good)

    plan = search.finish()
    assert (plan.stalled, plan.reason) == (True, "Infeasible")
    assert plan.message.startswith("None of 12 trials that succeeded satisfies spec.constraints. Trial ")
    assert search.status.start_time is None

    search.patch_spec(**{"constraints": [{"metric": "p95_ms", "max": "50"}]})
    assert search.finish().reason == "BudgetSpent"


def test_time_that_is_up_without_a_feasible_trial_stalls() -> None:
    spec = {"constraints": [{"metric": "p95_ms", "max": "5"}], "budget": {"duration": "30m"}}
    search = Search(experiment(spec), slow_where_good)
    search.settle()
    search.end(search.jobs()[0])
    search.settle()
    search.cluster.advance(timedelta(minutes=31))

    plan = search.settle()

    assert (plan.stalled, plan.reason) == (True, "TimeSpent")
    assert plan.message.startswith("None of 1 trials that succeeded within 30m satisfies spec.constraints")


def test_a_constraints_metric_that_is_missing_is_the_trials_failure() -> None:
    spec = {"constraints": [{"metric": "p95_ms", "max": "5"}], "budget": {"maxFailedTrials": 1}}

    plan = Search(experiment(spec), succeeds).finish()

    assert "It reported no metric 'p95_ms' (found: roc_auc)" in plan.message
    assert "spec.constraints" in plan.message


@pytest.mark.parametrize(
    ("best_at", "plateau", "trials"),
    [
        pytest.param({1: 0.7}, {"trials": 3}, 4, id="nothing better in three trials"),
        pytest.param({1: 0.7, 4: 0.71}, {"trials": 3}, 7, id="a better one starts the count again"),
        pytest.param({1: 0.7, 4: 0.71}, {"trials": 3, "minDelta": "0.05"}, 4, id="hardly better is not better"),
        pytest.param({}, {"trials": 3}, 12, id="without a success there is nothing to compare"),
    ],
)
def test_a_plateau_ends_the_search(best_at: dict[int, float], plateau: dict[str, Any], trials: int) -> None:
    def ends(trial: int, attempt: int, point: list[float]) -> Mapping[str, Any]:
        if not best_at:
            return {"pruned": {"step": 1, "value": 0.1}}
        return {"metrics": {"roc_auc": best_at.get(trial, 0.5)}}

    search = Search(experiment({"budget": {"plateau": plateau}, "parallelism": 1}), ends)
    plan = search.finish()

    assert plan.reason == ("Plateau" if best_at else "AllPruned")
    assert len(search.status.history) == trials
    settled = search.settle()
    assert settled.reason == plan.reason


def test_a_search_that_is_over_has_the_importance_of_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    search = Search(experiment({"budget": {"maxTrials": 11}}), succeeds)
    search.settle()
    assert importance_of(search) == {}

    search.finish()
    first = importance_of(search)
    assert "HistGradientBoostingClassifier.l2_regularization" in first
    assert sum(first.values()) == pytest.approx(1, abs=0.02)
    before = len(search.writes)
    with monkeypatch.context() as patched:
        patched.delattr("flywheel.kinds.experiment.decide.importance")  # it takes a second, and is computed once
        search.reconcile()
    assert len(search.writes) == before

    search.patch_spec(**{"budget": {"maxTrials": 14}})
    search.settle()
    assert importance_of(search) == {}
    search.finish()
    assert importance_of(search) not in ({}, first)


def importance_of(search: Search) -> dict[str, float]:
    return {each.name: float(each.share) for each in search.status.importance}


@pytest.mark.parametrize(
    "more",
    [pytest.param({"over": "0.01235"}, id="beyond constraints"), pytest.param({"step": 1000}, id="pruned")],
)
def test_the_longest_history_stays_small(more: dict[str, Any]) -> None:
    """500 trials of 8 parameters: MOST_TRIALS and MOST_VALUES."""
    state = "Pruned" if "step" in more else "Succeeded"
    point = json.dumps([0, *[0.0123457] * 8], separators=(",", ":"))
    record = {"trial": 500, "state": state, "value": "0.7123456789", "point": point, **more}

    history = json.dumps([record] * 500, separators=(",", ":"))

    assert len(history) < 100_000, len(history)

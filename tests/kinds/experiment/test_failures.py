"""A search keeps what it found: which failures stop an estimator, which end the search, and what is registered then."""

from collections.abc import Mapping
from typing import Any

import pytest

from flywheel.core.resource.plan import Plan
from flywheel.kinds.experiment.failures import Tally
from tests.kinds.experiment.situations import Ends, Search, experiment, succeeds

PARITY = {"exit": 1, "reason": "ParityFailed", "message": "the ONNX model and the pipeline differ by 0.02"}
NEVER = {"exit": 2, "reason": "EstimatorNotAllowed", "message": "estimator 'Foo' is not allowed"}
CONTAINER = {
    "objective": {"metric": "roc_auc"},
    "trainer": {"container": {"image": "trainer", "search": {"rate": {"float": {"min": "0.1", "max": "0.9"}}}}},
}


def linear_fails(trial: int, attempt: int, point: list[float]) -> Mapping[str, Any]:
    return PARITY if point[0] == 1 else succeeds(trial, attempt, point)


def fails_from_the_second_on(trial: int, attempt: int, point: list[float]) -> Mapping[str, Any]:
    return {"metrics": {"roc_auc": 0.7}} if trial == 1 else PARITY


def test_failures_of_one_estimator_stop_that_estimator_and_the_best_of_the_others_is_registered() -> None:
    search = Search(experiment({"register": "delay", "parallelism": 1}), linear_fails)

    plan = search.finish()

    assert (plan.ready, plan.succeeded, plan.reason) == (True, True, "BudgetSpent")
    assert search.status.model_version is not None
    assert search.status.trials.failed == 3
    assert search.status.trials.succeeded == 9
    assert "LogisticRegression is no longer tried, since 3 of its 3 trials failed (trial" in plan.message
    assert "ParityFailed: the ONNX model and the pipeline differ by 0.02)." in plan.message


def test_the_stopped_estimator_is_named_while_the_search_goes_on() -> None:
    search = Search(experiment({"parallelism": 1}), linear_fails)
    messages: list[str] = []

    def is_over(plan: Plan) -> bool:
        messages.append(plan.message)
        return bool(plan.ready)

    search.run(is_over, search.end)

    assert any(each.startswith("Trial ") and "LogisticRegression is no longer tried" in each for each in messages)


@pytest.mark.parametrize(
    ("ends", "budget", "reason", "trials"),
    [
        pytest.param(
            fails_from_the_second_on, {"maxTrials": 8}, "BudgetSpent", 8, id="the budget is spent all the same"
        ),
        pytest.param(
            fails_from_the_second_on,
            {"maxTrials": 8, "failurePolicy": "End"},
            "SearchStopped",
            4,
            id="the failure policy ends it",
        ),
        pytest.param(lambda *_: PARITY, {"maxTrials": 8}, "TrialsFailed", 3, id="nothing ever succeeded"),
        pytest.param(lambda *_: NEVER, {"maxTrials": 8}, "EstimatorNotAllowed", 1, id="what can never work"),
    ],
)
def test_failures_end_a_search_only_while_nothing_succeeded(
    ends: Ends, budget: Mapping[str, Any], reason: str, trials: int
) -> None:
    search = Search(experiment({**CONTAINER, "parallelism": 1, "budget": budget}), ends)

    plan = search.finish()

    assert (plan.reason, len(search.status.history)) == (reason, trials)
    assert (plan.ready, plan.stalled) == (search.status.best is not None, search.status.best is None)


def test_a_trial_that_can_never_work_stops_its_estimator_alone() -> None:
    estimators = [
        {"name": "Ridge"},
        {"name": "LogisticRegression", "search": {"C": {"float": {"min": "1", "max": "9"}}}},
    ]
    spec = {"trainer": {"sklearn": {"estimators": estimators}}, "budget": {"maxTrials": 4}, "register": "delay"}
    search = Search(
        experiment(spec), lambda trial, attempt, point: NEVER if point[0] == 0 else succeeds(trial, attempt, point)
    )

    plan = search.finish()

    assert (plan.ready, plan.reason) == (True, "BudgetSpent")
    assert [record.state for record in search.status.history] == ["Invalid", "Succeeded", "Succeeded", "Succeeded"]
    assert "Ridge is no longer tried, since 1 of its 1 trials failed" in plan.message


def test_a_running_trial_may_still_succeed_after_all_others_failed() -> None:
    slow = Search(experiment({"parallelism": 2, "budget": {"maxTrials": 6}}), linear_fails)
    slow.settle()

    plan = slow.finish(choose=lambda jobs: jobs[-1])

    assert (plan.ready, plan.reason) == (True, "BudgetSpent")


def test_a_search_that_an_earlier_build_stalled_goes_on_and_registers() -> None:
    """Three failures ended a search that had found something, and left it stalled with nothing registered."""
    search = Search(experiment({"register": "delay", "budget": {"maxTrials": 5, "failurePolicy": "End"}}), linear_fails)
    search.finish()
    tried = search.status.history

    search.patch_spec(**{"budget": {"maxTrials": 9, "failurePolicy": "Continue"}})
    plan = search.finish()

    assert search.status.history[: len(tried)] == tried
    assert (plan.ready, plan.reason) == (True, "BudgetSpent")


def test_where_every_point_of_the_remaining_estimators_is_tried_the_search_is_over() -> None:
    estimators = [{"name": "LogisticRegression"}, {"name": "GaussianNB"}, {"name": "MLPClassifier"}]
    search = Search(
        experiment({"trainer": {"sklearn": {"estimators": estimators}}, "budget": {"maxTrials": 9}}),
        lambda trial, attempt, point: PARITY if point[0] else {"metrics": {"roc_auc": 0.7}},
    )

    plan = search.finish()

    assert (plan.ready, plan.reason, len(search.status.history)) == (True, "SpaceSearched", 3)


@pytest.mark.parametrize(("failed", "mostly"), [(2, False), (3, False), (4, True)])
def test_a_branch_mostly_fails_where_more_trials_failed_than_succeeded(failed: int, mostly: bool) -> None:
    assert Tally(succeeded=3, failed=failed, invalid=0).mostly_fails(max_failed=3) == mostly

"""The trials of earlier Experiments inform a new search, and nothing else of them does."""

from typing import Any

import pytest

from flywheel.core.resource.api import EXPERIMENT, Reference
from flywheel.kinds.experiment.schema.status import Data
from flywheel.kinds.experiment.search.defaults import Setup, resolve_setup
from flywheel.kinds.experiment.search.space import PastTrial
from flywheel.kinds.experiment.search.warm_start import WarmStart, warm_start
from flywheel.kinds.experiment.trials import recall_trials
from tests.kinds.experiment.situations import Search, experiment, succeeds
from tests.simulation.resources import custom

DATA = Data.model_validate({"version": "v", "digest": "sha256:" + "a" * 64, "task": "Classification", "classes": 2})
BOOSTING = {"name": "HistGradientBoostingClassifier", "search": {"max_leaf_nodes": {"int": {"min": 10, "max": 50}}}}
LINEAR = {"name": "LogisticRegression", "search": {"C": {"float": {"min": "0.1", "max": "10", "log": True}}}}


def trainer(*estimators: dict[str, Any]) -> dict[str, Any]:
    return {"trainer": {"sklearn": {"estimators": list(estimators)}}}


OLD = trainer(BOOSTING, LINEAR)
HISTORY = [
    {"trial": 1, "state": "Succeeded", "value": "0.7", "point": "[0,20]"},
    {"trial": 2, "state": "Succeeded", "value": "0.6", "point": "[1,0.5]"},
    {"trial": 3, "state": "Failed", "point": "[1,0.7]"},
    {"trial": 4, "state": "Pruned", "value": "0.3", "step": 10, "point": "[0,30]"},
    {"trial": 5, "state": "Succeeded", "value": "0.8", "point": "[0,50]", "over": "0.5"},
]


def setup(spec: dict[str, Any]) -> Setup:
    found = resolve_setup(experiment(spec).spec, DATA)
    assert found is not None
    return found


def old(spec: dict[str, Any] | None = None, history: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """The earlier Experiment `last-month` as the API server holds it."""
    content = {"data": DATA.model_dump(mode="json", by_alias=True), "history": HISTORY if history is None else history}
    return custom(
        EXPERIMENT, "last-month", {"dataset": "flights", **(spec or OLD)}, status={**content, "conditions": []}
    )


@pytest.mark.parametrize(
    ("new", "trials", "left_out"),
    [
        pytest.param(
            OLD, [PastTrial((0, 20), 0.7), PastTrial((1, 0.5), 0.6), PastTrial((0, 50), 0.8)], 0, id="the same space"
        ),
        pytest.param(
            trainer(LINEAR, BOOSTING),
            [PastTrial((1, 20), 0.7), PastTrial((0, 0.5), 0.6), PastTrial((1, 50), 0.8)],
            0,
            id="another order",
        ),
        pytest.param(trainer(LINEAR), [PastTrial((0, 0.5), 0.6)], 2, id="an estimator less"),
        pytest.param(
            trainer({**BOOSTING, "search": {"max_leaf_nodes": {"int": {"min": 10, "max": 40}}}}),
            [PastTrial((0, 20), 0.7)],
            2,
            id="a narrower space",
        ),
        pytest.param(
            trainer({**BOOSTING, "search": {"max_leaf_nodes": {"int": {"min": 10, "max": 60, "step": 20}}}}),
            [PastTrial((0, 50), 0.8)],
            2,
            id="only every so many",
        ),
        pytest.param(
            trainer({**BOOSTING, "search": {"max_leaf_nodes": {"choice": ["20", "70"]}}}),
            [PastTrial((0, 0), 0.7)],
            2,
            id="numbers as texts",
        ),
        pytest.param(
            trainer({**BOOSTING, "search": {**BOOSTING["search"], "max_bins": {"int": {"min": 9, "max": 255}}}}),  # type: ignore[dict-item]
            [],
            3,
            id="one more parameter",
        ),
        pytest.param({**OLD, "objective": {"metric": "f1"}}, [], 3, id="another objective"),
        pytest.param({**OLD, "constraints": [{"metric": "p95_ms", "max": "9"}]}, [], 3, id="other constraints"),
    ],
)
def test_trials_that_fit_inform_the_search(new: dict[str, Any], trials: list[PastTrial], left_out: int) -> None:
    assert warm_start("last-month", old(), setup(new)) == WarmStart("last-month", tuple(trials), left_out)


def test_under_the_same_constraints_what_was_beyond_them_still_is() -> None:
    bound = {**OLD, "constraints": [{"metric": "p95_ms", "max": "9"}]}

    assert warm_start("last-month", old(bound), setup(bound)).trials[-1] == PastTrial((0, 50), 0.8, violation=0.5)


@pytest.mark.parametrize(
    "manifest",
    [
        pytest.param({"spec": {"dataset": "flights", **OLD}}, id="that has not started"),
        pytest.param({"spec": {"later": "field"}, "status": {}}, id="that cannot be read"),
    ],
)
def test_nothing_is_learned_from_an_experiment(manifest: dict[str, Any]) -> None:
    assert warm_start("last-month", manifest, setup(OLD)) == WarmStart("last-month", (), 0)


WARM = {**OLD, "warmStartFrom": [{"experiment": "last-month"}], "parallelism": 1}


def test_it_waits_for_the_earlier_experiment_only_until_it_has_started() -> None:
    search = Search(experiment(WARM), succeeds)

    plan = search.settle()
    assert (plan.reason, plan.stalled, search.jobs()) == ("WarmStartNotFound", False, ())
    assert "create it, or remove it from spec.warmStartFrom" in plan.message

    search.cluster.put(old())
    plan = search.settle()
    assert plan.reason == "Searching"
    assert plan.message.endswith("3 trials of Experiment 'last-month' inform the search.")
    search.cluster.remove(Reference(EXPERIMENT, "default", "last-month"))
    assert search.finish().reason == "BudgetSpent"


def test_the_search_begins_where_the_earlier_one_was_good_and_the_best_is_its_own() -> None:
    near_fifteen = [
        {"trial": n, "state": "Succeeded", "value": f"{0.9 - abs(leaves - 15) / 100:.3f}", "point": f"[0,{leaves}]"}
        for n, leaves in enumerate(range(10, 51), start=1)
    ]
    search = Search(experiment({**WARM, **trainer(BOOSTING), "budget": {"maxTrials": 6}}), succeeds)
    search.cluster.put(old(history=near_fifteen))

    search.finish()

    points = [each.point for each in recall_trials(search.resource).past()]
    assert sum(point[1] < 25 for point in points) >= 4
    status = search.status
    assert status.best is not None
    assert float(status.best.value or 1) < 0.85
    assert len(status.history) == 6


def test_an_earlier_experiment_that_changes_does_not_change_the_search() -> None:
    search = Search(experiment(WARM), succeeds)
    search.cluster.put(old())
    search.settle()
    before = search.status.fingerprint

    search.patch_spec(**{"warmStartFrom": []})
    search.settle()

    assert search.status.fingerprint == before

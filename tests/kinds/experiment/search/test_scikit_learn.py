"""The first trial of each estimator has scikit-learn's own defaults."""

import importlib
from decimal import Decimal
from typing import Any

import pytest

from flywheel.kinds.experiment.kind import KIND
from flywheel.kinds.experiment.schema.status import Data
from flywheel.kinds.experiment.schema.trainer import SUPPORTED_ESTIMATORS
from flywheel.kinds.experiment.search.defaults import resolve_setup
from flywheel.kinds.experiment.search.presets import TABULAR
from flywheel.kinds.experiment.search.sampler import suggest
from flywheel.kinds.experiment.search.scikit_learn import DEFAULTS, default_coordinate
from flywheel.kinds.experiment.search.space import (
    Branch,
    CategoricalDimension,
    Dimension,
    IntegerDimension,
    PastTrial,
    RealDimension,
    parameters_of,
)
from flywheel_runtime.models.estimators import ESTIMATORS, Task, member_estimators
from tests.simulation import resource

MODULES = {name: each.module for estimators in ESTIMATORS.values() for name, each in estimators.items()}


def test_the_schema_names_the_estimators_of_the_runtime_image() -> None:
    assert sorted(SUPPORTED_ESTIMATORS) == sorted(MODULES) == sorted(DEFAULTS)


def scikit_learn_defaults(name: str) -> dict[str, Any]:
    """Those of the class; of an average its weights, and those of its members with their prefixes."""
    task: Task = "Classification" if name.endswith("Classifier") else "Regression"
    members = (
        member_estimators(ESTIMATORS[task][name], classes=2 * (task == "Classification")) if "Voting" in name else {}
    )
    if not members:
        defaults: dict[str, Any] = getattr(importlib.import_module(MODULES[name]), name)().get_params(deep=False)
        return defaults
    own = {
        f"{member}__{key}": value
        for member, each in members.items()
        for key, value in scikit_learn_defaults(each).items()
    }
    return own | {"weights": None}


@pytest.mark.parametrize("name", SUPPORTED_ESTIMATORS)
def test_the_defaults_are_those_of_scikit_learn(name: str) -> None:
    real = scikit_learn_defaults(name)

    assert DEFAULTS[name] == {
        parameter: list(real[parameter]) if isinstance(real[parameter], tuple) else real[parameter]
        for parameter in DEFAULTS[name]
    }


@pytest.mark.parametrize(
    ("parameter", "dimension", "coordinate"),
    [
        pytest.param("learning_rate", RealDimension(Decimal("0.02"), Decimal("0.3"), log=True), 0.1, id="a number"),
        pytest.param("learning_rate", RealDimension(Decimal("0.2"), Decimal("0.4")), 0.2, id="below the range"),
        pytest.param("learning_rate", RealDimension(Decimal("0.02"), Decimal("0.4"), step=Decimal("0.05")), 0.12, id="beside a step"),
        pytest.param("l2_regularization", RealDimension(Decimal("0.001"), Decimal(10), log=True), 0.001, id="0 on a logarithm"),
        pytest.param("max_leaf_nodes", IntegerDimension(7, 127, log=True), 31, id="a whole number"),
        pytest.param("min_samples_leaf", IntegerDimension(1, 100, step=10), 21, id="beside a whole step"),
        pytest.param("max_depth", IntegerDimension(2, 12), 12, id="no limit"),
        pytest.param("max_depth", CategoricalDimension(("4", "null")), 1, id="no limit among choices"),
        pytest.param("early_stopping", CategoricalDimension(("true", "false", "auto")), 2, id="a word"),
        pytest.param("early_stopping", CategoricalDimension(("true", "false")), None, id="no such choice"),
        pytest.param("unheard_of", IntegerDimension(1, 3), None, id="not known"),
    ],
)  # fmt: skip
def test_a_default_or_what_is_nearest(parameter: str, dimension: Dimension, coordinate: Any) -> None:
    assert default_coordinate("HistGradientBoostingClassifier", parameter, dimension) == coordinate


def test_a_default_that_is_true_is_not_the_number_1() -> None:
    assert default_coordinate("Ridge", "fit_intercept", CategoricalDimension(("1", "true"))) == 1


def test_each_estimator_of_the_preset_begins_with_its_defaults() -> None:
    boosting, linear, _ = TABULAR["Regression"]
    rate = RealDimension(Decimal("0.02"), Decimal("0.3"), log=True)
    space = (
        Branch(boosting.name, {"learning_rate": rate, "max_leaf_nodes": IntegerDimension(7, 127, log=True)}),
        Branch(linear.name, {"alpha": RealDimension(Decimal("0.001"), Decimal(100), log=True)}),
    )
    past: list[PastTrial] = []
    for trial in (1, 2):
        point = suggest(space, past, trial=trial, algorithm="TPE", seed=trial, maximize=False, budget=12)
        assert point is not None
        past.append(PastTrial(point, 1.0))

    assert [each.point for each in past] == [(0, 0.1, 31), (1, 1.0)]


@pytest.mark.parametrize("task", ["Classification", "Regression"])
def test_the_average_of_the_preset_begins_with_the_defaults_of_its_members(task: Task) -> None:
    names = [each.name for each in TABULAR[task]]
    data = Data.model_validate({"version": "data", "digest": f"sha256:{'0' * 64}", "task": task, "classes": 2})
    setup = resolve_setup(resource(KIND, "preset", {"dataset": "data", "trainer": {"sklearn": {}}}).spec, data)
    assert setup is not None
    past = [PastTrial((number, *[0.1] * len(branch.dimensions)), 1.0) for number, branch in enumerate(setup.space[:-1])]

    point = suggest(setup.space, past, trial=3, algorithm="TPE", seed=0, maximize=False, budget=12)

    assert names[-1].startswith("Voting")
    assert parameters_of(setup.space, point or ()) == (
        names[-1],
        {"boosting__learning_rate": 0.1, "boosting__max_leaf_nodes": 31, "network__alpha": 0.0001, "weights": "null"},
    )


@pytest.mark.parametrize("trials", [3, 8])
def test_a_stopped_branch_is_not_suggested(trials: int) -> None:
    rate = RealDimension(Decimal("0.02"), Decimal("0.3"), log=True)
    space = tuple(Branch(name, {"rate": rate}) for name in "abc")
    past = [PastTrial((number % 3, 0.02 + number / 100), number / 10) for number in range(trials)]

    for trial in range(20, 40):
        point = suggest(
            space, past, trial=trial, algorithm="TPE", seed=0, maximize=True, budget=99, stopped=frozenset((0, 2))
        )
        assert point is not None
        assert point[0] == 1

"""The average of three kinds of models: its parameters, what each member is given, and the same predictions in ONNX."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.neural_network import MLPRegressor

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.models.estimators import ESTIMATORS, Task, build_estimator
from flywheel_runtime.models.networks import StandardizedTargetMLPRegressor
from flywheel_serving.model.graph import read_graph
from flywheel_serving.model.row_independence.proof import graph_row_mixing
from tests.runtime.commands.flights import FEATURES, flights

SMALL = {"boosting__max_iter": 20, "forest__n_estimators": 10, "network__max_iter": 20}


def build(parameters: dict[str, Any], *, classes: int = 2, seed: int = 7) -> Any:
    task: Task = "Classification" if classes else "Regression"
    name = "VotingClassifier" if classes else "VotingRegressor"
    return build_estimator(name, ESTIMATORS[task][name], parameters, seed, 1, classes=classes)


@pytest.mark.parametrize("classes", [0, 2])
def test_each_member_has_its_parameters_and_the_seed_of_the_trial(classes: int) -> None:
    average = build({**SMALL, "weights": "[2, 1, 0.5]"}, classes=classes)

    members = dict(average.estimators)
    assert (members["boosting"].max_iter, members["forest"].n_estimators, members["network"].max_iter) == (20, 10, 20)
    assert {each.random_state for each in members.values()} == {7}
    assert average.weights.tolist() == [2, 1, 0.5]


@pytest.mark.parametrize(
    ("parameters", "finding"),
    [
        pytest.param({"weights": "[1, 1]"}, "weights must be 3 numbers", id="too few weights"),
        pytest.param({"weights": "[0, 0, 0]"}, "one is above 0", id="no weight"),
        pytest.param({"weights": "[2, -1, 1]"}, "none is negative", id="a negative weight"),
        pytest.param({"weights": "[true, 1, 1]"}, "weights must be 3 numbers", id="a weight that is true"),
        pytest.param({"weights": "equal"}, "it is 'equal'", id="a word"),
        pytest.param({"max_iter": 20}, "no parameter 'max_iter'; set weights, or one of a member (boosting, forest, network)", id="no member"),
        pytest.param({"voting": "hard"}, "no parameter 'voting'", id="votes in place of a mean"),
        pytest.param({"trees__max_depth": 3}, "no parameter 'trees__max_depth'", id="an unknown member"),
        pytest.param({"network__max_depth": 3}, "MLPClassifier refused its parameters: Invalid parameter 'max_depth'", id="a parameter of another member"),
        pytest.param({"boosting__categorical_features": "[0]"}, "does not survive the export to ONNX", id="a setting that ONNX loses"),
    ],
)  # fmt: skip
def test_parameters_that_an_average_cannot_have_are_refused(parameters: dict[str, Any], finding: str) -> None:
    with pytest.raises(Failure) as refusal:
        build(parameters)

    assert refusal.value.reason == "ParameterRefused"
    assert finding in str(refusal.value)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_network_of_an_average_learns_a_target_in_thousands_within_few_epochs() -> None:
    x = np.random.default_rng(0).normal(size=(2000, 3)).astype(np.float32)
    y = 4000 + 3000 * x[:, 0] + 500 * x[:, 1] ** 2
    shape: dict[str, Any] = {"hidden_layer_sizes": (32,), "max_iter": 20, "random_state": 0}

    errors = [
        float(np.std(kind(**shape).fit(x, y).predict(x) - y)) for kind in (StandardizedTargetMLPRegressor, MLPRegressor)
    ]

    assert errors[0] < 1000 < errors[1]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_target_of_one_value_is_predicted() -> None:
    x = np.zeros((50, 1), np.float32)

    fitted = StandardizedTargetMLPRegressor(max_iter=5, random_state=0).fit(x, np.full(50, 12.5))

    assert fitted.predict(x) == pytest.approx(12.5, abs=1)


@pytest.mark.integration
@pytest.mark.parametrize(("target", "metric"), [("late", "roc_auc"), ("delay", "rmse")])
@pytest.mark.parametrize("weights", ["null", "[0, 1, 3]"])
def test_a_trial_averages_columns_of_every_kind(
    run_train: Any, checked: Any, target: str, metric: str, weights: str
) -> None:
    """Gaps, categories, more than 256 of them, and sentences."""
    lines = flights().splitlines()
    header, rows = f"{lines[0]},tail,remark", lines[1:]
    words = ("late again", "on time as ever", "good crew", "no crew")
    content = [f"{row},N{number % 290},{words[number % 4]} {number % 7}" for number, row in enumerate(rows)]
    data = checked({"a.csv": "\n".join([header, *content]) + "\n"}, target=target, keys=["id"])
    features = {**FEATURES, "categorical": ["carrier", "tail"], "text": ["remark"]}

    result = run_train(
        Path(data),
        estimator="VotingClassifier" if target == "late" else "VotingRegressor",
        parameters={**SMALL, "weights": weights},
        features=features,
        objective={"metric": metric},
    )

    assert result.code == 0
    assert result.output("model/run.json")["parity"]["maxDifference"] < 1e-4
    graph, _ = read_graph(result.root / "outputs/model/model.onnx")
    assert graph_row_mixing(graph) == ""


@pytest.mark.integration
def test_an_average_is_the_same_each_time(run_train: Any, checked: Any) -> None:
    data = Path(checked({"a.csv": flights()}, target="delay", keys=["id"]))
    params = {
        "estimator": "VotingRegressor",
        "parameters": SMALL,
        "features": FEATURES,
        "objective": {"metric": "rmse"},
    }

    first, second = (run_train(data, **params) for _ in range(2))

    models = [(each.root / "outputs/model/model.onnx").read_bytes() for each in (first, second)]
    assert models[0] == models[1]

"""A fit that is staged_model at gives the same model as one that is not, and tells how it went."""

import json
import random
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import make_classification, make_regression

from flywheel_runtime.commands.train import staged

pytestmark = pytest.mark.integration  # trains models


def estimator(name: str, **parameters: Any) -> Any:
    import importlib

    module = "sklearn.neural_network" if name.startswith("MLP") else "sklearn.ensemble"
    return getattr(importlib.import_module(module), name)(random_state=3, **parameters)


STAGED = [
    pytest.param("HistGradientBoostingClassifier", {"max_iter": 35}, [10, 15, 20, 30, 35], id="boosting on histograms"),
    pytest.param(
        "HistGradientBoostingClassifier",
        {"max_iter": 300, "early_stopping": True, "learning_rate": 0.5, "n_iter_no_change": 3},
        None,
        id="that stops by itself",
    ),
    pytest.param("HistGradientBoostingRegressor", {"max_iter": 20, "max_features": 0.5}, [10, 15, 20], id="by chance"),
    pytest.param("HistGradientBoostingRegressor", {"max_iter": 4}, [4], id="shorter than a look"),
    pytest.param("GradientBoostingClassifier", {"n_estimators": 25, "subsample": 0.7}, [10, 15, 20, 25], id="boosting"),
    pytest.param("GradientBoostingRegressor", {"n_estimators": 20}, [10, 15, 20], id="boosting of numbers"),
    pytest.param("MLPClassifier", {"max_iter": 25, "hidden_layer_sizes": (8,)}, [10, 15, 20, 25], id="a network"),
    pytest.param("MLPRegressor", {"max_iter": 20, "early_stopping": True}, [10, 15, 20], id="a network of numbers"),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "parameters", "rounds"), STAGED)
def test_a_callback_changes_nothing(name: str, parameters: dict[str, Any], rounds: list[int] | None) -> None:
    make = make_classification if "Classifier" in name else make_regression
    x, y = make(n_samples=300, n_features=8, random_state=0)
    x = x.astype(np.float32)
    without = estimator(name, **parameters).fit(x, y)
    seen: list[tuple[int, Any]] = []

    staged_model = estimator(name, **parameters)
    staged.fit_in_rounds(staged_model, x, y, lambda number, now: seen.append((number, now.predict(x))))

    assert rounds is None or [number for number, _ in seen] == rounds
    assert staged_model.get_params() == without.get_params()
    np.testing.assert_array_equal(staged_model.predict(x), without.predict(x))
    if "Classifier" in name:
        np.testing.assert_array_equal(staged_model.predict_proba(x), without.predict_proba(x))
    if "n_iter_no_change" in parameters:
        assert staged_model.n_iter_ == without.n_iter_ < 300
    np.testing.assert_array_equal(seen[-1][1], without.predict(x))


@pytest.mark.parametrize("stops_at", [10, 15, 20])
def test_a_fit_that_stops_by_itself_at_a_callback_goes_no_further(stops_at: int) -> None:
    """Early stopping in the last round before a callback is found, though the fit could go on."""
    x, y = make_classification(n_samples=300, random_state=0)
    never_better = {"early_stopping": True, "tol": 100.0, "n_iter_no_change": stops_at, "max_iter": 50}
    without = estimator("HistGradientBoostingClassifier", **never_better).fit(x, y)

    staged_model = estimator("HistGradientBoostingClassifier", **never_better)
    staged.fit_in_rounds(staged_model, x, y, lambda *_: None)

    assert staged_model.n_iter_ == without.n_iter_ == stops_at


def test_callback_rounds_are_the_same_for_all_and_ever_further_apart() -> None:
    assert staged.callback_rounds(200) == [10, 15, 20, 30, 40, 60, 80, 120, 160, 200]
    assert set(staged.callback_rounds(150)) - {150} <= set(staged.callback_rounds(1000))
    assert staged.callback_rounds(3) == [3]


def test_an_estimator_that_learns_all_at_once_has_no_callback() -> None:
    x, y = make_classification(n_samples=60, random_state=0)
    forest = estimator("RandomForestClassifier", n_estimators=3)

    staged.fit_in_rounds(forest, x, y, lambda *_: pytest.fail("it was staged_model at"))

    assert forest.predict(x).shape == (60,)


def rows() -> str:
    """A number with gaps and a text, which the target depends on."""
    chance = random.Random(1)
    lines = ["id,temp,carrier,late"]
    for number in range(400):
        temp, carrier = chance.uniform(0, 100), chance.choice(["UA", "DL", "AA"])
        late = int(temp + 20 * (carrier == "DL") + chance.gauss(0, 20) > 60)
        lines.append(f"{number},{'' if number % 17 == 0 else f'{temp:.2f}'},{carrier},{late}")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("name", "parameters", "steps"),
    [
        pytest.param("HistGradientBoostingClassifier", {"max_iter": 25}, [10, 15, 20, 25], id="in rounds"),
        pytest.param("LogisticRegression", {}, [0], id="all at once"),
    ],
)
def test_a_trial_logs_its_curve_on_request(
    run_train: Any, checked: Any, name: str, parameters: dict[str, Any], steps: list[int]
) -> None:
    data = checked({"a.csv": rows()}, target="late", keys=["id"])
    without = run_train(data, estimator=name, parameters=parameters)

    with_curve = run_train(data, estimator=name, parameters=parameters, curve=True)

    lines = [json.loads(line) for line in (with_curve.root / "outputs" / "metrics.jsonl").read_text().splitlines()]
    curve = [(line["step"], line["value"]) for line in lines if line["name"] == "roc_auc"]
    assert [step for step, _ in curve] == steps
    assert curve[-1][1] == pytest.approx(with_curve.output("metrics.json")["roc_auc"])
    assert with_curve.output("metrics.json") == without.output("metrics.json")
    assert (with_curve.root / "outputs/model/model.onnx").read_bytes() == (
        without.root / "outputs/model/model.onnx"
    ).read_bytes()

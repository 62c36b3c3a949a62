"""Every trained tree or linear model is taken apart by the serving image, exactly, into the columns of the data."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flywheel_runtime.models.estimators import ESTIMATORS
from flywheel_serving.explanation.__main__ import main as explain
from flywheel_serving.explanation.errors import NotExplained
from flywheel_serving.explanation.explainer import Explainer
from flywheel_serving.explanation.method_choice import load_explainer
from flywheel_serving.model.golden_rows import read_golden_rows
from flywheel_serving.model.onnx_model import OnnxModel
from tests.runtime.commands.flights import FEATURES, flights

pytestmark = pytest.mark.integration  # trains models

UNEXPLAINED = ("MLP", "Voting", "GaussianNB")
EXPLAINED = [
    (task, name)
    for task, allowed in ESTIMATORS.items()
    for name in allowed
    if not name.startswith(UNEXPLAINED)
]  # fmt: skip
TREES = ("Hist", "RandomForest", "ExtraTrees", "GradientBoosting", "DecisionTree")


def parameters(name: str) -> dict[str, Any]:
    if name.startswith("Hist"):
        return {"max_iter": 20}
    return {"n_estimators": 10} if any(family in name for family in ("Forest", "ExtraTrees", "Gradient")) else {}


def train(run_train: Any, checked: Any, task: str, name: str, target: str, **params: Any) -> Path:
    data = Path(checked({"a.csv": flights()}, target=target, keys=["id"]))
    metric = {"metric": "rmse" if task == "Regression" else "accuracy"}
    given = {"features": FEATURES, "parameters": parameters(name), "objective": metric} | params
    result = run_train(data, estimator=name, **given)
    assert result.code == 0
    return Path(result.root / "outputs/model")


def explain_golden(folder: Path) -> Any:
    signature = OnnxModel(folder / "model.onnx").signature
    golden = read_golden_rows(folder / "golden.json", signature)
    assert golden is not None
    return Explainer(folder / "model.onnx").explain_rows(golden.inputs)


@pytest.mark.parametrize(("task", "name"), EXPLAINED)
def test_contributions_add_up_to_the_answers_of_the_model(run_train: Any, checked: Any, task: str, name: str) -> None:
    for target in ("delay",) if task == "Regression" else ("late", "grade"):
        folder = train(run_train, checked, task, name, target)

        found = explain_golden(folder)

        golden = json.loads((folder / "golden.json").read_text())["outputs"]
        assert set(found.columns) == {"month", "temp", "express", "carrier"}
        assert found.base + found.contributions.sum(axis=2) == pytest.approx(found.values)
        assert found.method == ("PathDependentTreeSHAP" if name.startswith(TREES) else "LinearSHAP")
        if task == "Regression":
            assert found.values[:, 0] == pytest.approx(np.array(golden["prediction"]), rel=1e-4, abs=1e-3)
        elif target == "late":
            assert found.outputs == ["1"]
            sign = found.values[:, 0] > (0.5 if found.scale == "Probability" else 0)
            assert (np.array(golden["probabilities"])[:, 1] > 0.5).tolist() == sign.tolist()
        else:
            assert found.outputs == ["high", "low", "mid"]


@pytest.mark.parametrize("estimator", ["HistGradientBoostingRegressor", "Ridge"])
def test_codes_and_terms_of_a_column_are_added_up(run_train: Any, checked: Any, estimator: str) -> None:
    rows = ["id,size,story,place,price"]
    for number in range(400):
        size, kind = number % 20, ("large garden", "no garden", "old roof")[number % 3]
        price = 5 * size + (40 if "large" in kind else 0) + number % 7
        rows.append(f"{number},{size},{kind} house {number % 11},place {number % 5},{price}")
    data = Path(
        checked(
            {"a.csv": "\n".join(rows) + "\n"}, target="price", keys=["id"], columns=[{"name": "price", "type": "Float"}]
        )
    )
    chosen = {"numeric": ["size"], "categorical": ["place"], "text": ["story"]}
    result = run_train(data, estimator=estimator, features=chosen, objective={"metric": "rmse"})

    found = explain_golden(result.root / "outputs/model")

    assert set(found.columns) == {"size", "place", "story"}
    weights = dict(zip(found.columns, np.abs(found.contributions[:, 0]).mean(axis=0), strict=True))
    assert weights["size"] > weights["story"] > weights["place"]


@pytest.mark.parametrize("name", ["MLPClassifier", "VotingClassifier", "GaussianNB"])
def test_a_family_without_an_exact_method_is_named(run_train: Any, checked: Any, name: str) -> None:
    small = {"boosting__max_iter": 5, "forest__n_estimators": 5, "network__max_iter": 5} if name.startswith("V") else {}
    folder = train(run_train, checked, "Classification", name, "late", parameters=small)

    with pytest.raises(NotExplained, match="of a family without an exact method") as caught:
        Explainer(folder / "model.onnx")

    assert caught.value.reason == "MethodUnknown"
    explainer, signature = load_explainer(folder), OnnxModel(folder / "model.onnx").signature
    golden = read_golden_rows(folder / "golden.json", signature)
    assert golden is not None
    found = explainer.explain_rows({each: values[:3] for each, values in golden.inputs.items()})
    assert (found.method, found.scale, found.outputs) == ("KernelSHAP", "Probability", ["1"])
    assert found.values[:, 0] == pytest.approx(golden.outputs["probabilities"][:3, 1], abs=1e-4)
    background = json.loads((folder / "explanation.json").read_text())["background"]["inputs"]
    assert {len(values) for values in background.values()} == {100}


def test_the_command_writes_an_object_for_each_row(
    run_train: Any, checked: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = train(run_train, checked, "Classification", "HistGradientBoostingClassifier", "late")
    rows = tmp_path / "rows.json"
    rows.write_text(
        json.dumps({"inputs": {"month": [12, 1], "temp": [50, None], "express": [1, 0], "carrier": ["DL", "new"]}})
    )
    capsys.readouterr()

    assert explain(["--model", str(folder), "--rows", str(rows)]) == 0

    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    output = first["outputs"]["1"]
    assert (first["row"], second["row"], first["scale"]) == (0, 1, "LogOdds")
    assert output["base"] + sum(output["contributions"].values()) == pytest.approx(output["value"], abs=1e-6)
    assert next(iter(output["contributions"])) == "month"
    assert output["value"] > second["outputs"]["1"]["value"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param({"columns": ["month"]}, "ColumnsDiffer", id="other columns"),
        pytest.param({"means": []}, "DocumentInvalid", id="without means"),
        pytest.param(None, "DocumentInvalid", id="no JSON"),
    ],
)
def test_a_document_that_does_not_fit_is_named(
    run_train: Any, checked: Any, capsys: pytest.CaptureFixture[str], change: Any, reason: str
) -> None:
    estimator = "Ridge" if change == {"means": []} else "HistGradientBoostingRegressor"
    folder = train(run_train, checked, "Regression", estimator, "delay")
    file = folder / "explanation.json"
    file.write_text("{" if change is None else json.dumps(json.loads(file.read_text()) | change))
    capsys.readouterr()

    assert explain(["--model", str(folder)]) == 2

    assert capsys.readouterr().err.startswith(f"{reason}: ")


def test_rows_that_cannot_be_read_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(["--model", str(tmp_path)]) == 2

    assert "golden.json' cannot be read" in capsys.readouterr().err

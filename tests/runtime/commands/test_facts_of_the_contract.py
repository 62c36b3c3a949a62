"""The facts and metrics that steps write are those of the golden messages, which the operator reads."""

from pathlib import Path
from typing import Any

import pytest

from flywheel_runtime.commands import compare, package
from flywheel_runtime.commands.evaluate import main as evaluate
from tests.runtime.commands.flights import FEATURES, flights
from tests.runtime.pods import golden

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # onnxruntime's quantiser calls what onnx will drop
]


def shape(value: Any) -> Any:
    """What a document is made of: the types at its paths, of lists that of the first."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value else type(value)


def test_every_step_says_what_its_golden_message_says(
    run_train: Any, run_prepare: Any, run_step: Any, checked: Any
) -> None:
    data = Path(checked({"a.csv": flights()}, target="late", keys=["id"]))
    prepared = run_prepare({"flights": data}, "SELECT * FROM flights WHERE now() > '2000-01-01'")
    network = {"estimator": "MLPClassifier", "parameters": {"hidden_layer_sizes": "[16]", "max_iter": 30}}
    trained = run_train(prepared.data, features=FEATURES, **network)
    model = trained.root / "outputs/model"
    evaluated = run_step(evaluate, {"model": model, "data": prepared.data}, metric="roc_auc", by=["express"])
    packaged = run_step(package, {"model": model, "data": prepared.data}, path="model.onnx", quantize="Dynamic")
    small = packaged.root / "outputs/model"
    compared = run_step(compare, {"left": model, "right": small}, leftMetrics={"f1": 1}, rightMetrics={})

    told = {"prepared": prepared, "evaluated": evaluated, "packaged": packaged, "compared": compared}
    for name, result in told.items():
        mine, written = golden(f"collect_{name}")["message"], result.output("facts.json")
        facts = {key: value for key, value in mine["facts"].items() if key in written or key != "more"}
        assert set(written) == set(facts), name
        assert shape(written | {"worst": 0, "differs": 0}) == shape(facts | {"worst": 0, "differs": 0}), name
        assert next(iter(result.output("metrics.json"))) == next(iter(mine["metrics"])), name
    worst = evaluated.output("facts.json")["worst"]["express"]
    assert shape(worst | {"value": ""}) == shape(golden("collect_evaluated")["message"]["facts"]["worst"]["carrier"])
    assert "value" not in worst, "the Dataset does not show values"
    differs = compared.output("facts.json")["differs"]
    assert set(differs[0]) == set(golden("collect_compared")["message"]["facts"]["differs"][0])
    assert {"metric": "f1", "left": 1.0, "right": None} in differs

"""The same rows have the same numbers wherever they are measured: in the trial, by evaluate, by the gates, and after quantisation."""

from pathlib import Path
from typing import Any

import pytest

from flywheel_runtime.commands.evaluate import main as evaluate
from flywheel_runtime.commands.gates import main as gates
from flywheel_runtime.models.onnx_model import OnnxModel
from flywheel_runtime.models.test_set import open_test_set
from flywheel_runtime.statistics.calibration import CALIBRATION_BINS
from flywheel_runtime.statistics.metrics import CLASSIFICATION, metric_values
from tests.runtime.commands.flights import FEATURES, flights

pytestmark = pytest.mark.integration


@pytest.fixture
def data(checked: Any) -> Path:
    return Path(checked({"a.csv": flights(2000)}, target="late", keys=["id"]))


@pytest.fixture
def trial(run_train: Any, data: Path) -> Any:
    """A tree, whose probabilities are a few fractions, 0 and 1 among them: the same in 32 and in 64 bits, as far as 32 reach."""
    done = run_train(data, estimator="DecisionTreeClassifier", parameters={"max_depth": 4}, features=FEATURES)
    assert done.code == 0, done.failure
    return done


def run_gates(run_step: Any, model: Path, data: Path, *requested: dict[str, Any], objective: str) -> Any:
    inputs = {"model": model, "data": data}
    params = {"gates": list(requested), "objective": objective, "digest": "sha256:1", "champion": None}
    return run_step(gates, inputs, **params)


def test_trial_evaluate_and_gates_measure_the_same(trial: Any, run_step: Any, data: Path) -> None:
    model = trial.root / "outputs/model"
    trained = trial.output("model/evaluation.json")["test"]["metrics"]

    evaluated = run_step(evaluate, {"model": model, "data": data}, metric="log_loss", by=[])
    gated = {
        name: run_gates(run_step, model, data, objective=name).output("metrics.json")[name] for name in CLASSIFICATION
    }
    with open_test_set(data) as test:
        measured = metric_values(CLASSIFICATION, OnnxModel.read(model).score(test))

    assert gated == measured  # to the last bit: the same rows and the same function
    assert evaluated.output("evaluation/report.json")["whole"]["metrics"] == pytest.approx(
        gated, rel=1e-8
    )  # nine digits
    assert trained == pytest.approx(gated, rel=1e-6)  # the trial's pipeline has 64 bits, the exported model 32


def test_report_and_calibration_gate_have_one_calibration_error(trial: Any, run_step: Any, data: Path) -> None:
    model = trial.root / "outputs/model"
    calibration = {"name": "calibrated", "calibration": {"maxError": "50%"}}

    report = run_step(evaluate, {"model": model, "data": data}, by=[]).output("evaluation/report.json")
    result = run_gates(run_step, model, data, calibration, objective="brier").output("gates/gates.json")

    reliability = report["curves"]["1"]["reliability"]
    assert reliability["expectedCalibrationError"] == round(result["gates"][0]["numbers"]["error"], 6)
    assert reliability["bins"] == CALIBRATION_BINS == 15

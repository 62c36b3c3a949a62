"""The program of a trial runs as a file, without Flywheel: it reads parameters and data, and writes metrics last."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flywheel.client.errors import FlywheelError
from flywheel.client.training.experiment_manifest import TrainingOptions, experiment_manifest
from flywheel.client.training.search_format import format_parameters, format_search
from flywheel.kinds.experiment.schema.spec import ExperimentSpec
from flywheel.kinds.experiment.search.literals import parse_literal


def score(data: Any, run: Any, rate: float, depth: int = 2) -> dict[str, float]:
    for step in range(depth):
        run.log(step=step, loss=rate / (step + 1))
    (run.output("model") / "model.onnx").write_bytes(b"weights")
    return {"f1": rate * depth, "features": len(data.features)}


def number(rate: float) -> float:
    return rate


def nothing(rate: float) -> None:
    return None


def infinite(rate: float) -> float:
    return float("inf")


def other_metric(rate: float) -> dict[str, float]:
    return {"auc": 1.0}


def main_fails(rate: float) -> float:
    raise ValueError("rate is wrong")


def Run(rate: float) -> float:
    return rate


def long(rate: float) -> float:
    return rate


REQUEST = TrainingOptions(data="flights", objective="f1", search={"rate": (0.1, 1.0)})


def trained(folder: Path, function: Callable[..., Any], parameters: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """The end of one trial in a folder that is like a pod's."""
    manifest = experiment_manifest(function, REQUEST)
    data = folder / "inputs" / "data"
    data.mkdir(parents=True)
    (folder / "outputs").mkdir()
    columns = [{"name": "id"}, {"name": "late"}, {"name": "carrier"}]
    (data / "schema.json").write_text(json.dumps({"columns": columns, "target": "late", "keys": ["id"]}))
    (folder / "params.json").write_text(json.dumps(parameters))
    program = folder / "train.py"
    program.write_text(manifest["spec"]["trainer"]["container"]["source"])
    environment = {"FLYWHEEL_ROOT": str(folder), "PATH": os.environ["PATH"]}
    return subprocess.run(
        [sys.executable, "-I", program], env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def metrics(folder: Path) -> Any:
    return json.loads((folder / "outputs" / "metrics.json").read_text())


def test_a_function_with_data_and_curves(tmp_path: Path) -> None:
    done = trained(tmp_path, score, {"rate": 0.5})

    assert done.returncode == 0, done.stderr
    assert metrics(tmp_path) == {"f1": 1.0, "features": 1.0}
    assert done.stdout == "step 0 loss=0.5\nstep 1 loss=0.25\n"
    points = [json.loads(line) for line in (tmp_path / "outputs" / "metrics.jsonl").read_text().splitlines()]
    assert [(each["step"], each["name"], each["value"]) for each in points] == [(0, "loss", 0.5), (1, "loss", 0.25)]
    assert (tmp_path / "outputs" / "model" / "model.onnx").read_bytes() == b"weights"


def test_a_number_is_the_objective(tmp_path: Path) -> None:
    assert trained(tmp_path, number, {"rate": 0.5}).returncode == 0
    assert metrics(tmp_path) == {"f1": 0.5}


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        pytest.param(nothing, "the function returned None; return f1 as a number", id="nothing"),
        pytest.param(infinite, "metric 'f1' is inf; return finite numbers", id="infinite"),
        pytest.param(other_metric, "the function returned auc, but not its objective f1", id="another metric"),
        pytest.param(main_fails, "ValueError: rate is wrong", id="an error of the function"),
    ],
)
def test_a_trial_that_fails_says_why_last(tmp_path: Path, function: Callable[..., Any], sentence: str) -> None:
    done = trained(tmp_path, function, {"rate": 0.5})

    assert done.returncode == 1
    assert sentence in done.stderr.splitlines()[-1]
    assert not (tmp_path / "outputs" / "metrics.json").exists()


def refusal(function: Callable[..., Any] = number, **changes: Any) -> str:
    request: Any = {"data": "flights", "objective": "f1", "search": {"rate": (0.1, 1.0)}, **changes}
    with pytest.raises(FlywheelError) as refused:
        experiment_manifest(function, request)
    return refused.value.message


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        pytest.param({"search": {}}, "parameter 'rate' of function 'number' has no value", id="missing"),
        pytest.param({"parameters": {"rate": 1}}, "is in search= and in parameters=", id="twice"),
        pytest.param(
            {"parameters": {"depth": 1}}, "function 'number' has no parameter 'depth'; it has rate", id="other"
        ),
        pytest.param({"search": {"rate": (1.0, 0.1)}}, "search['rate'] is (1.0, 0.1); give a range", id="upside down"),
        pytest.param({"search": {"rate": []}}, "search['rate'] is []; give a range", id="no choice"),
        pytest.param({"search": {"rate": 3}}, "search['rate'] is 3; give a range", id="a value"),
        pytest.param({"search": {"rate": [float("nan")]}}, "give a finite number", id="not finite"),
        pytest.param({"function": Run}, "'Run' is a name of the program around the function", id="a name of ours"),
    ],
)
def test_refused_before_anything_starts(changes: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(**changes)


def test_the_same_training_has_the_same_name_and_another_one_another() -> None:
    trainings: list[tuple[Callable[..., Any], TrainingOptions]] = [
        (score, REQUEST),
        (score, TrainingOptions(data="flights", objective="f1", search={"rate": (0.1, 1.0)}, trials=40)),
        (score, TrainingOptions(data="flights", objective="f1", search={"rate": (0.1, 2.0)})),
        (number, REQUEST),
    ]
    names = [experiment_manifest(function, request)["metadata"]["name"] for function, request in trainings]

    assert names[0] == names[1]
    assert len(set(names)) == 3
    assert names[0].startswith("score-")


def test_the_experiment_is_one_that_the_schema_takes() -> None:
    request = TrainingOptions(
        data="flights",
        objective=("brier_of_mine", "minimize"),
        search={"rate": (1e-3, 0.3, "log"), "depth": [2, 4]},
        register="delay",
        trials=4,
        resources={"requests": {"cpu": 1}},
    )

    spec = ExperimentSpec.model_validate(experiment_manifest(score, request)["spec"])

    container = spec.trainer.container
    assert container is not None
    assert (container.image, spec.budget.max_trials, spec.register_) == (None, 4, "delay")
    assert spec.objective is not None
    assert spec.objective.direction == "Minimize"


@pytest.mark.parametrize(
    "value", [1, 0.25, -3e-7, True, None, "relu", "1.0", "null", "true", "[64]", "", "größer", [64, 32], ["a", 1.5]]
)
def test_a_trial_reads_back_the_value_that_was_given(value: Any) -> None:
    assert parse_literal(format_parameters({"x": value})["x"]) == value
    (choice,) = format_search({"x": [value]})["x"]["choice"]
    assert parse_literal(choice) == value


@pytest.mark.parametrize(
    ("given", "distribution"),
    [
        pytest.param((1, 8), {"int": {"min": 1, "max": 8}}, id="whole numbers"),
        pytest.param((1e-3, 0.3, "log"), {"float": {"min": "0.001", "max": "0.3", "log": True}}, id="log"),
        pytest.param((0, 0.5), {"float": {"min": "0.0", "max": "0.5"}}, id="mixed"),
    ],
)
def test_ranges(given: Any, distribution: dict[str, Any]) -> None:
    assert format_search({"x": given}) == {"x": distribution}

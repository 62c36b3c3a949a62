"""What package makes is a version's artifact: verify takes it without knowing how it was made."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flywheel_runtime.commands import package
from tests.runtime.commands.flights import FEATURES, WIDE, flights

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # onnxruntime's quantiser calls what onnx will drop
]
Packaged = Callable[..., Any]


@pytest.fixture
def data(checked: Any) -> Path:
    return Path(checked({"a.csv": flights()}, target="late", keys=["id"]))


@pytest.fixture
def trained(run_train: Any, data: Path) -> Callable[..., Path]:
    def run(estimator: str = "MLPClassifier", parameters: Any = WIDE) -> Path:
        done = run_train(data, estimator=estimator, parameters=parameters, features=FEATURES)
        assert done.code == 0
        return Path(done.root / "outputs/model")

    return run


def verified(root: Path, artifact: Path) -> tuple[int, Any, Any]:
    """`python3 -m flywheel_serving.verify` on the artifact, as the operator runs it; exit code, metrics, facts or failure."""
    (root / "inputs").mkdir(parents=True)
    (root / "outputs").mkdir()
    (root / "inputs/model").symlink_to(artifact)
    (root / "params.json").write_text(json.dumps({"format": "ONNX", "path": "model.onnx", "brought": False}))
    env = os.environ | {"FLYWHEEL_ROOT": str(root), "FLYWHEEL_TERMINATION_LOG": str(root / "log")}
    env["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run([sys.executable, "-m", "flywheel_serving.verify"], env=env, check=False, timeout=100)
    if done.returncode:
        return done.returncode, {}, (root / "log").read_text()
    return 0, *(json.loads((root / "outputs" / name).read_text()) for name in ("metrics.json", "facts.json"))


def test_a_packaged_network_is_smaller_and_verifies(run_step: Any, trained: Any, data: Path, tmp_path: Path) -> None:
    artifact = trained()
    before = {path.name: path.read_bytes() for path in artifact.iterdir()}

    result = run_step(package, {"model": artifact, "data": data}, path="model.onnx", quantize="Dynamic")

    assert result.code == 0, result.failure
    code, metrics, facts = verified(tmp_path / "verify", result.root / "outputs/model")
    told = result.output("metrics.json")
    assert code == 0, facts
    assert metrics["size_bytes"] == told["size_bytes"] < 0.6 * told["fp32_size_bytes"]
    assert (metrics["roc_auc"], metrics["log_loss"]) == (told["roc_auc"], told["log_loss"])
    assert told["log_loss"] != told["fp32_log_loss"]
    assert 0 < told["quantization_gap"] < 0.1
    assert facts["testDigest"] == result.output("facts.json")["testDigest"]
    assert facts["golden"]["maxDifference"] < 1e-5
    assert before == {path.name: path.read_bytes() for path in artifact.iterdir()}  # the input is not touched


def test_without_quantize_the_artifact_is_what_it_was(run_step: Any, trained: Any, data: Path, tmp_path: Path) -> None:
    artifact = trained("LogisticRegression", {})

    result = run_step(package, {"model": artifact, "data": data}, path="model.onnx", quantize=None)

    packed = result.root / "outputs/model"
    assert {path.name: path.read_bytes() for path in packed.iterdir()} == {
        path.name: path.read_bytes() for path in artifact.iterdir()
    }
    assert verified(tmp_path / "verify", packed)[0] == 0
    assert "quantization_gap" not in result.output("metrics.json")


def test_a_model_of_another_name_gets_the_usual_one(run_step: Any, trained: Any, data: Path, tmp_path: Path) -> None:
    """As a container may leave it: in a folder of its own, with its golden rows beside it."""
    artifact = tmp_path / "own"
    (artifact / "export").mkdir(parents=True)
    for path in trained().iterdir():
        name = {"model.onnx": "export/net.onnx", "golden.json": "export/golden.json"}.get(path.name, path.name)
        (artifact / name).write_bytes(path.read_bytes())

    result = run_step(package, {"model": artifact, "data": data}, path="export/net.onnx", quantize="Dynamic")

    code, metrics, facts = verified(tmp_path / "verify", result.root / "outputs/model")
    assert code == 0, facts
    assert facts["golden"]["rows"] > 40
    assert metrics["size_bytes"] == result.output("metrics.json")["size_bytes"]


def test_trees_stay_and_say_so(run_step: Any, trained: Any, data: Path) -> None:
    artifact = trained("HistGradientBoostingClassifier", {"max_iter": 10})

    result = run_step(package, {"model": artifact, "data": data}, path="model.onnx", quantize="Dynamic")

    assert result.output("facts.json")["quantization"]["weights"] == 0
    assert (result.root / "outputs/model/model.onnx").read_bytes() == (artifact / "model.onnx").read_bytes()


def test_without_the_data_no_metric_is_claimed(run_step: Any, trained: Any) -> None:
    result = run_step(package, {"model": trained()}, path="model.onnx", quantize="Dynamic")

    metrics = result.output("metrics.json")
    assert "roc_auc" not in metrics
    assert metrics["fp32_roc_auc"] > 0.7


def test_the_same_model_is_the_same_package(run_step: Any, trained: Any, data: Path) -> None:
    inputs = {"model": trained(), "data": data}

    one, two = (run_step(package, inputs, path="model.onnx", quantize="Dynamic") for _ in range(2))

    assert {path.name: path.read_bytes() for path in (one.root / "outputs/model").iterdir()} == {
        path.name: path.read_bytes() for path in (two.root / "outputs/model").iterdir()
    }


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        pytest.param({"path": "none.onnx"}, "ModelMissing", id="no model"),
        pytest.param({"path": "/etc/passwd"}, "PathInvalid", id="a path that leaves"),
        pytest.param({"path": "broken.onnx", "quantize": "Dynamic"}, "QuantizationFailed", id="no ONNX"),
        pytest.param({"path": "broken.onnx", "quantize": "Static"}, "ParamsInvalid", id="a way that is not there"),
        pytest.param({"path": "broken.onnx"}, "EvaluationInvalid", id="an evaluation that is none"),
    ],
)
def test_what_cannot_be_packaged(run_step: Any, tmp_path: Path, params: dict[str, Any], reason: str) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/broken.onnx").write_bytes(b"no model")
    (tmp_path / "model/evaluation.json").write_bytes(b"[1]")

    result = run_step(package, {"model": tmp_path / "model"}, **params)

    assert (result.code, result.failure["reason"]) == (2, reason)

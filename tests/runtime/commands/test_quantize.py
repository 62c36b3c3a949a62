"""Quantised by one image and verified by the other: what is smaller is measured, and what is not is not claimed."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from flywheel_runtime.commands import quantize
from flywheel_runtime.models import golden_rows
from flywheel_runtime.models.quantization import quantize_weights
from flywheel_serving.model.onnx_file import read_model
from flywheel_serving.model.onnx_model import OnnxModel
from flywheel_serving.model.row_comparison import compare_rows
from flywheel_serving.model.row_independence.proof import graph_row_mixing
from flywheel_serving.model.warm_up.synthetic_rows import synthetic_rows
from flywheel_serving.verify.__main__ import main as verify
from tests.runtime.commands.flights import FEATURES, WIDE, flights

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # onnxruntime's quantiser calls what onnx will drop
]


class Pod:
    """A verify Job's folders, with an artifact and, for one that was trained here, its data."""

    def __init__(self, root: Path, artifact: Path | None = None, data: Path | None = None) -> None:
        self.root = root
        self.artifact = root / "inputs/model"
        if artifact is None:
            self.artifact.mkdir(parents=True)
        else:
            shutil.copytree(artifact, self.artifact)
        if data is not None:
            (root / "inputs/data").symlink_to(data)

    def run(self, monkeypatch: pytest.MonkeyPatch, **params: Any) -> int:
        """quantize, then verify; verify's exit code."""
        params = {"format": "ONNX", "path": "model.onnx", "brought": False, "quantize": "Dynamic", **params}
        (self.root / "params.json").write_text(json.dumps(params))
        (self.root / "outputs").mkdir(exist_ok=True)
        log = self.root / "termination-log"
        env = {"FLYWHEEL_ROOT": str(self.root), "FLYWHEEL_TERMINATION_LOG": str(log)}
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        assert quantize.main(env) == 0
        return verify()

    def read(self, path: str) -> Any:
        return json.loads((self.root / path).read_text())


@pytest.fixture
def dataset(checked: Any) -> Any:
    def build(target: str = "late") -> Path:
        return Path(checked({"a.csv": flights()}, target=target, keys=["id"]))

    return build


@pytest.fixture
def trained(run_train: Any, dataset: Any, tmp_path: Path) -> Any:
    """trained("MLPClassifier", …) -> Pod"""

    def build(estimator: str, parameters: Any, target: str = "late", metric: str = "roc_auc", data: bool = True) -> Pod:
        done = run_train(
            dataset(target), estimator=estimator, parameters=parameters, features=FEATURES, objective={"metric": metric}
        )
        assert done.code == 0
        return Pod(tmp_path / "verify", done.root / "outputs/model", dataset(target) if data else None)

    return build


def network() -> bytes:
    """x [-1, 32] through two products of matrices to score [-1, 1]."""
    random = np.random.default_rng(3)
    weights = [(random.standard_normal(shape) / 6).astype(np.float32) for shape in ((32, 64), (64, 1))]
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w0"], ["h"]),
            helper.make_node("Relu", ["h"], ["r"]),
            helper.make_node("MatMul", ["r", "w1"], ["score"]),
        ],
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 32])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["rows", 1])],
        [numpy_helper.from_array(each, f"w{number}") for number, each in enumerate(weights)],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    content: bytes = made.SerializeToString()
    return content


def test_a_network_gets_smaller_and_its_gap_is_measured(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pod = trained("MLPClassifier", WIDE)
    before = (pod.artifact / "model.onnx").read_bytes()

    assert pod.run(monkeypatch) == 0

    metrics, fact = pod.read("outputs/metrics.json"), pod.read("outputs/facts.json")["quantization"]
    assert metrics["size_bytes"] < 0.6 * metrics["fp32_size_bytes"]
    assert metrics["fp32_size_bytes"] == len(before)
    assert 0 < metrics["quantization_gap"] < 0.1
    assert fact["weights"] == 3
    assert (pod.root / "outputs/model/model.onnx").stat().st_size == metrics["size_bytes"]


def test_the_metrics_are_those_of_the_model_that_is_served(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pod = trained("MLPClassifier", WIDE)
    old = pod.read("inputs/model/evaluation.json")["test"]

    pod.run(monkeypatch)

    metrics, evaluation = pod.read("outputs/metrics.json"), pod.read("outputs/model/evaluation.json")
    assert metrics["fp32_roc_auc"] == pytest.approx(old["metrics"]["roc_auc"], abs=1e-6)
    assert metrics["log_loss"] != metrics["fp32_log_loss"]
    assert metrics["log_loss"] == evaluation["test"]["metrics"]["log_loss"]
    assert evaluation["test"]["digest"] == old["digest"]


def test_its_golden_rows_are_its_own(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pod = trained("MLPClassifier", WIDE)
    old = pod.read("inputs/model/golden.json")

    assert pod.run(monkeypatch) == 0

    new = pod.read("outputs/model/golden.json")
    assert new["inputs"] == old["inputs"]
    assert new["outputs"] != old["outputs"]
    assert pod.read("outputs/facts.json")["golden"]["maxDifference"] < 1e-5


def test_numbers_are_tested_as_well(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pod = trained("MLPRegressor", WIDE, "delay", "rmse")

    assert pod.run(monkeypatch) == 0

    metrics = pod.read("outputs/metrics.json")
    assert metrics["rmse"] == pytest.approx(metrics["fp32_rmse"], rel=0.2)
    assert metrics["rmse"] != metrics["fp32_rmse"]


def test_without_the_data_no_metric_is_claimed(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pod = trained("MLPClassifier", WIDE, data=False)

    assert pod.run(monkeypatch) == 0

    metrics = pod.read("outputs/metrics.json")
    assert "roc_auc" not in metrics
    assert metrics["fp32_roc_auc"] > 0.7


@pytest.mark.parametrize(
    ("estimator", "parameters"),
    [("HistGradientBoostingClassifier", {"max_iter": 10}), ("LogisticRegression", {})],
    ids=["trees", "a linear model"],
)
def test_what_has_nothing_to_quantise_stays_as_it_was(
    trained: Any, monkeypatch: pytest.MonkeyPatch, estimator: str, parameters: Any
) -> None:
    pod = trained(estimator, parameters)
    before, old = (pod.artifact / "model.onnx").read_bytes(), pod.read("inputs/model/evaluation.json")

    assert pod.run(monkeypatch) == 0

    metrics = pod.read("outputs/metrics.json")
    assert pod.read("outputs/facts.json")["quantization"]["weights"] == 0
    assert (pod.root / "outputs/model/model.onnx").read_bytes() == before
    assert (metrics["quantization_gap"], metrics["size_bytes"]) == (0, len(before))
    assert metrics["roc_auc"] == old["test"]["metrics"]["roc_auc"]


def test_a_brought_network_is_asked_synthetic_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pod = Pod(tmp_path / "verify")
    (pod.artifact / "net.onnx").write_bytes(network())

    assert pod.run(monkeypatch, path="net.onnx", brought=True) == 0

    fact = pod.read("outputs/facts.json")["quantization"]
    assert (fact["rows"], fact["weights"]) == (64, 2)
    assert 0 < fact["gap"] < 0.2
    served = onnxruntime.InferenceSession(pod.root / "outputs/model/model.onnx", providers=["CPUExecutionProvider"])
    assert served.get_inputs()[0].name == "x"
    names = sorted(path.name for path in (pod.root / "outputs/model").iterdir())
    assert names == ["model.onnx", "quantization.json", "signature.json"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"no model at all", "QuantizationFailed", id="no model"),
        pytest.param(None, "ModelMissing", id="no file"),
        pytest.param(network()[:2000], "QuantizationFailed", id="half a model"),
    ],
)
def test_what_cannot_be_quantised_is_refused_by_verify(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, reason: str
) -> None:
    pod = Pod(tmp_path / "verify")
    if content is not None:
        (pod.artifact / "net.onnx").write_bytes(content)

    assert pod.run(monkeypatch, path="net.onnx", brought=True) == 2
    assert pod.read("termination-log")["reason"] == reason


@pytest.mark.parametrize(
    ("old", "new", "gap"),
    [
        pytest.param([0.0, 2.0], [0.0, 2.0], 0.0, id="nothing moved"),
        pytest.param([0.0, 4.0], [0.1, 4.0], 0.1, id="near nothing it is absolute"),
        pytest.param([9.0], [10.0], 0.1, id="else it is relative"),
        pytest.param([np.nan], [np.nan], 0.0, id="nobody knows, both times"),
        pytest.param([1.0], [np.nan], 1.0, id="a number was lost"),
        pytest.param([np.inf], [np.inf], 0.0, id="endless both times"),
    ],
)
def test_the_gap(old: list[float], new: list[float], gap: float) -> None:
    found = golden_rows.relative_gap({"score": np.array(old)}, {"score": np.array(new)})

    assert found == pytest.approx(gap)


def test_requests_for_a_quantised_network_share_no_call(tmp_path: Path) -> None:
    """Activations are scaled by the greatest value of the whole call, so a row's answer depends a little on its neighbours."""
    shared = []
    for number, content in enumerate((network(), quantize_weights(network())[0])):
        path = tmp_path / f"{number}.onnx"
        path.write_bytes(content)
        model = OnnxModel(path)
        compared = compare_rows(next(synthetic_rows(model.signature)), model) == ""
        shared.append((compared, graph_row_mixing(read_model(path))))

    assert shared == [(True, ""), (False, "operator DynamicQuantizeLinear is not known to treat rows apart")]

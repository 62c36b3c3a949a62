"""A model with numbers and text, served once for all tests; a pods for each."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, checker, helper, numpy_helper

from tests.runtime.commands.batch.batch_pods import DIGEST, BatchPods
from tests.serving.local_server import LocalServer

SIGNATURE = {
    "v": 1,
    "task": "Classification",
    "classes": ["0", "1"],
    "inputs": [
        {"name": "month", "datatype": "FP32", "shape": [-1, 1]},
        {"name": "wind", "datatype": "FP32", "shape": [-1, 1]},
        {"name": "carrier", "datatype": "BYTES", "shape": [-1, 1]},
    ],
    "outputs": [
        {"name": "label", "datatype": "INT64", "shape": [-1]},
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]},
    ],
}


def flights() -> bytes:
    """late = sigmoid(month/12 + wind/100 + carrier's weight - 1): elementwise, so that no row's answer depends on its neighbours."""

    def constant(name: str, *values: float) -> object:
        return numpy_helper.from_array(np.array(values, np.float32), name)

    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["month", "per_month"], ["a"]),
            helper.make_node("Mul", ["wind", "per_wind"], ["b"]),
            helper.make_node(
                "LabelEncoder", ["carrier"], ["c"], domain="ai.onnx.ml", keys_strings=["UA", "DL", "ÅÄ"],
                values_floats=[0.5, -0.25, 0.125], default_float=0.0,
            ),
            helper.make_node("Add", ["a", "b"], ["ab"]),
            helper.make_node("Add", ["ab", "c"], ["abc"]),
            helper.make_node("Sub", ["abc", "one"], ["score"]),
            helper.make_node("Sigmoid", ["score"], ["late"]),
            helper.make_node("Sub", ["one", "late"], ["on_time"]),
            helper.make_node("Concat", ["on_time", "late"], ["probabilities"], axis=1),
            helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0),
        ],
        "flights",
        [
            helper.make_tensor_value_info("month", TensorProto.FLOAT, [None, 1]),
            helper.make_tensor_value_info("wind", TensorProto.FLOAT, [None, 1]),
            helper.make_tensor_value_info("carrier", TensorProto.STRING, [None, 1]),
        ],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, [None]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2]),
        ],
        [constant("per_month", 1 / 12), constant("per_wind", 0.01), constant("one", 1.0)],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flights")
    (folder / "model.onnx").write_bytes(flights())
    (folder / "signature.json").write_text(json.dumps(SIGNATURE))
    return folder


@pytest.fixture(scope="session")
def served(model: Path) -> Iterator[str]:
    with LocalServer(model, "--name", "late") as server:
        yield server.http


@pytest.fixture
def pods(tmp_path: Path, env: dict[str, str], bucket: str, model: Path, served: str) -> BatchPods:
    params = {
        "input": {"s3": {"uri": f"s3://{bucket}/shop/in/"}},
        "output": {"s3": {"uri": f"s3://{bucket}/shop/out/"}, "format": "JSONL"},
        "model": {"name": "late", "version": "late-1", "digest": DIGEST},
    }
    return BatchPods(tmp_path, env, model, served, params)

"""Small models that are built for the tests, servers of them, and a store to log into."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from onnx import GraphProto, ModelProto, TensorProto, helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import make_column_transformer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from e2e import onnx_models
from tests.runtime.conftest import bucket, server
from tests.runtime.s3_server import Server as S3
from tests.serving.local_server import LocalServer
from tests.serving.prediction_log.log_store import LogStore

__all__ = ["bucket", "server"]

BASELINE = {
    "v": 1,
    "rows": 400,
    "features": {
        "month": {"type": "Integer", "edges": [1.0, 4.0, 7.0, 12.0]},
        "wind": {"type": "Float", "edges": [0.0, 5.0, 10.0, 15.0, 20.0]},
        "carrier": {"type": "String", "categories": ["UA", "DL"], "allCategories": False},
    },
    "predictions": {"edges": [0.0, 0.25, 0.5, 0.75, 1.0], "counts": {}},
}
ELEMENT = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}


COLUMNS = {"month": "FP32", "wind": "FP32", "carrier": "BYTES"}
FLIGHT_SIGNATURE = {
    "v": 1,
    "task": "Classification",
    "target": "late",
    "classes": ["0", "1"],
    "inputs": [{"name": name, "datatype": datatype, "shape": [-1, 1]} for name, datatype in COLUMNS.items()],
    "outputs": [
        {"name": "label", "datatype": "INT64", "shape": [-1]},
        {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]},
    ],
    "columns": [{"name": "month", "type": "Integer"}, {"name": "wind", "type": "Number"}],
    "leftOut": ["year"],
}
FLIGHT_EVALUATION = {
    "test": {"digest": "sha256:" + "ab" * 32, "metrics": {"roc_auc": 0.91, "log_loss": None}},
    "validation": {"metrics": {"roc_auc": 0.93}},
}


def _model(graph: GraphProto) -> ModelProto:
    made: ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return made


def _write(folder: Path, model: ModelProto) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return folder


@pytest.fixture(scope="session")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with an input such as `fp32` [-1, 2] for each datatype, returned as `fp32_out`."""
    nodes, inputs, outputs = [], [], []
    for name, element in ELEMENT.items():
        inputs.append(helper.make_tensor_value_info(name.lower(), element, [None, 2]))
        outputs.append(helper.make_tensor_value_info(f"{name.lower()}_out", element, [None, 2]))
        nodes.append(helper.make_node("Identity", [name.lower()], [f"{name.lower()}_out"]))
    return _write(tmp_path_factory.mktemp("echo"), _model(helper.make_graph(nodes, "echo", inputs, outputs)))


@pytest.fixture(scope="session")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that counts to `n` [1] in a loop, a few microseconds for each step: the request sets the inference's duration."""
    folder = tmp_path_factory.mktemp("counting")
    (folder / "model.onnx").write_bytes(onnx_models.counting())
    return folder


@pytest.fixture(scope="session")
def lookup(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that returns the row `index` [-1] of a table with three rows, and fails on any other index."""
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "index"], ["value"])],
        "lookup",
        [helper.make_tensor_value_info("index", TensorProto.INT64, [None])],
        [helper.make_tensor_value_info("value", TensorProto.FLOAT, [None])],
        [helper.make_tensor("table", TensorProto.FLOAT, [3], [1.0, 2.0, 3.0])],
    )
    return _write(tmp_path_factory.mktemp("lookup"), _model(graph))


@pytest.fixture(scope="session")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete artifact: a scikit-learn pipeline on two numbers (one may be missing) and a text, with golden rows."""
    random = np.random.default_rng(7)
    rows = 400
    data = pd.DataFrame(
        {
            "month": random.integers(1, 13, rows).astype(np.float32),
            "wind": np.where(random.random(rows) < 0.1, np.nan, random.normal(10, 4, rows)).astype(np.float32),
            "carrier": random.choice(["UA", "DL", "AA"], rows),
        }
    )
    late = ((data.month > 6) & (data.carrier == "UA") | (data.wind > 14)).astype(int)
    columns = make_column_transformer(
        (SimpleImputer(), ["month", "wind"]), (OneHotEncoder(handle_unknown="ignore"), ["carrier"])
    )
    pipeline = make_pipeline(columns, GradientBoostingClassifier(n_estimators=20, random_state=7)).fit(data, late)
    types = [
        ("month", FloatTensorType([None, 1])),
        ("wind", FloatTensorType([None, 1])),
        ("carrier", StringTensorType([None, 1])),
    ]
    exported = to_onnx(pipeline, initial_types=types, options={"zipmap": False})
    folder = _write(tmp_path_factory.mktemp("flights"), exported)
    head = data.head(20)
    inputs = {name: [None if value != value else value for value in head[name].tolist()] for name in head}
    outputs = {"label": pipeline.predict(head).tolist(), "probabilities": pipeline.predict_proba(head).tolist()}
    golden = {"v": 1, "tolerance": 1e-4, "inputs": inputs, "outputs": outputs}
    (folder / "golden.json").write_text(json.dumps(golden))
    (folder / "signature.json").write_text(json.dumps(FLIGHT_SIGNATURE))
    (folder / "evaluation.json").write_text(json.dumps(FLIGHT_EVALUATION))
    return folder


@pytest.fixture(scope="session")
def flight_server(flights: Path) -> Iterator[LocalServer]:
    with LocalServer(flights, "--name", "flight-delay", "--version", "v1") as server:
        yield server


@pytest.fixture(scope="session")
def echo_server(echo: Path) -> Iterator[LocalServer]:
    with LocalServer(echo, "--name", "echo") as server:
        yield server


@pytest.fixture(scope="session")
def lookup_server(lookup: Path) -> Iterator[LocalServer]:
    """A server with small bounds on rows and bytes."""
    with LocalServer(lookup, "--name", "lookup", "--max-rows", "3", "--max-body-bytes", "10000") as server:
        yield server


@pytest.fixture(scope="session")
def logged_flights(flights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The flight model with the baseline that its training would have written."""
    folder = tmp_path_factory.mktemp("logged") / "flights"
    shutil.copytree(flights, folder)
    (folder / "baseline.json").write_text(json.dumps(BASELINE))
    return folder


@pytest.fixture
def log_store(server: S3, bucket: str, tmp_path: Path) -> LogStore:
    """The log in a bucket of the test's own, and the folder of the store's Secret."""
    return LogStore(server, bucket, tmp_path / "secret")

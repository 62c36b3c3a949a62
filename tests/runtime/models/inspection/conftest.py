"""A Dataset of 600 test rows and a model whose formula is known: 3 * a + 5 where carrier is UA; b is not read."""

import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from onnx import TensorProto, helper

from flywheel_runtime.models.onnx_model import OnnxModel
from flywheel_runtime.models.test_set import TestSet, open_test_set

ROWS = 600
COLUMNS = {"a": "Number", "b": "Number", "carrier": "String", "target": "Number"}


@pytest.fixture
def test_set(tmp_path: Path) -> Iterator[TestSet]:
    """The rows, with the target that the model predicts exactly; every tenth b is missing."""
    carrier = "['AA', 'DL', 'UA'][1 + (i * 7) % 3]"
    query = f"""
        SELECT (i * 37 % 101) / 100.0 AS a, CASE WHEN i % 10 = 0 THEN NULL ELSE (i * 53 % 89)::DOUBLE END AS b,
               {carrier} AS carrier, 3 * (i * 37 % 101) / 100.0 + CASE WHEN {carrier} = 'UA' THEN 5 ELSE 0 END AS target
        FROM range({ROWS}) AS rows(i)
    """
    duckdb.sql(query).write_parquet(str(tmp_path / "test.parquet"))
    schema = {
        "target": "target",
        "task": "Regression",
        "classes": [],
        "columns": [{"name": name, "type": kind} for name, kind in COLUMNS.items()],
        "split": {"by": "Random"},
        "rows": {"test": ROWS},
        "testDigest": "sha256:00",
    }
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    with open_test_set(tmp_path) as test:
        yield test


@pytest.fixture
def model() -> OnnxModel:
    """The formula as a graph with one input for each column."""
    three = helper.make_tensor("three", TensorProto.DOUBLE, [], [3.0])
    nodes = [
        helper.make_node("Mul", ["a", "three"], ["slope"]),
        helper.make_node("LabelEncoder", ["carrier"], ["group"], domain="ai.onnx.ml", keys_strings=["UA"], values_floats=[5.0], default_float=0.0),
        helper.make_node("Cast", ["group"], ["offset"], to=TensorProto.DOUBLE),
        helper.make_node("IsNaN", ["b"], ["missing"]),
        helper.make_node("Cast", ["missing"], ["flag"], to=TensorProto.DOUBLE),
        helper.make_node("Mul", ["flag", "zero"], ["nothing"]),
        helper.make_node("Sum", ["slope", "offset", "nothing"], ["prediction"]),
    ]  # fmt: skip
    zero = helper.make_tensor("zero", TensorProto.DOUBLE, [], [0.0])
    inputs = [helper.make_tensor_value_info(name, TensorProto.DOUBLE, [None, 1]) for name in ("a", "b")]
    inputs.append(helper.make_tensor_value_info("carrier", TensorProto.STRING, [None, 1]))
    output = helper.make_tensor_value_info("prediction", TensorProto.DOUBLE, [None, 1])
    graph = helper.make_graph(nodes, "formula", inputs, [output], [three, zero])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    content = helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
    signature = {"task": "Regression", "target": "target", "inputs": [{"name": name} for name in ("a", "b", "carrier")]}
    return OnnxModel.load(content, signature)

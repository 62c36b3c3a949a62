"""Features by SQL are part of the model: online and in a batch it takes raw rows, and computes what DuckDB does."""

import json
import urllib.request
from typing import Any

import duckdb
import numpy as np
import pytest

from e2e import kube
from e2e.artifacts import read_artifact, read_object
from e2e.namespace import Namespace
from e2e.pipelines import start_run, step_status, wait_for_run

ROWWISE = {
    "hour_sine": "sin(2 * pi() * hour(time_hour) / 24)",
    "weekday": "isodow(time_hour)",
    "speed": "distance / nullif(air_time, 0)",
    "coast": "CASE WHEN dest IN ('LAX', 'SFO') THEN 1 ELSE 0 END",
    "wind": "coalesce(wind_speed, 0)",
}
MANIFESTS = """
apiVersion: flywheel.ml/v1alpha1
kind: Dataset
metadata: {name: flights}
spec:
  source: {s3: {uri: "%(uri)s"}}
  target: late
  keys: [flight_id]
  eventTime: time_hour
---
apiVersion: flywheel.ml/v1alpha1
kind: TrainingPipeline
metadata: {name: flights}
spec:
  inputs: [{name: flights, dataset: flights}]
  steps:
  - name: rows
    prepare: {from: [flights], sql: "SELECT * FROM flights WHERE distance > 0"}
  - name: search
    train:
      from: rows
      objective: {metric: roc_auc}
      trainer: {sklearn: {features: {numeric: [%(names)s]}, estimators: [{name: HistGradientBoostingClassifier}]}}
      rowwise: %(rowwise)s
      budget: {maxTrials: 1}
  - {name: register, register: {from: search, model: flights}}
---
apiVersion: flywheel.ml/v1alpha1
kind: InferenceService
metadata: {name: flights}
spec: {model: flights, auth: {none: {}}}
---
apiVersion: flywheel.ml/v1alpha1
kind: BatchInference
metadata: {name: flights}
spec:
  model: flights
  input: {s3: {uri: "%(uri)s"}}
  output: {s3: {uri: "%(output)s"}, format: JSONL, include: [flight_id], prediction: Probability}
"""
REFUSED = """
apiVersion: flywheel.ml/v1alpha1
kind: Experiment
metadata: {name: refused}
spec:
  dataset: flights
  trainer: {sklearn: {estimators: [{name: HistGradientBoostingClassifier}]}}
  rowwise: {carrier: "trim(dest) = 'LAX'"}
"""
INPUTS = ("time_hour", "distance", "air_time", "dest", "wind_speed")
ROWS, ASKED = 800, 25
# Late are slow flights of the evening; some values are missing.
FLIGHTS = f"""
    SELECT 'f-' || x AS flight_id, TIMESTAMP '2013-01-01 05:15' + (x * INTERVAL '43 minutes') AS time_hour,
      200 + hash(x) % 2300 AS distance, CASE WHEN x % 11 > 0 THEN 30 + hash(x, 1) % 320 END AS air_time,
      ['LAX', 'SFO', 'IAH', 'MIA'][1 + (hash(x, 2) % 4)::INTEGER] AS dest,
      CASE WHEN x % 7 > 0 THEN (hash(x, 3) % 300) / 10 END AS wind_speed,
      (hour(time_hour) >= 15 AND coalesce(distance / air_time, 5) < 8)::INTEGER AS late
    FROM range({ROWS}) AS flights(x)
"""


RAW = "* REPLACE (strftime(time_hour, '%Y-%m-%dT%H:%M:%SZ') AS time_hour)"
FEATURES = ", ".join(f"({sql})::FLOAT AS {name}" for name, sql in ROWWISE.items())


def flights(columns: str) -> list[dict[str, Any]]:
    """These columns of all rows, in the order of their keys."""
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT {columns} FROM ({FLIGHTS}) ORDER BY flight_id")
        names = [each[0] for each in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


@pytest.fixture(scope="module")
def served(namespace: Namespace) -> Namespace:
    lines = "".join(f"{json.dumps(row)}\n" for row in flights(RAW))
    values = {
        "uri": namespace.upload("flights/rows.jsonl", lines),
        "output": f"s3://{kube.bucket()}/{namespace.name}/scored/",
        "names": ", ".join(ROWWISE),
        "rowwise": json.dumps(ROWWISE),
    }
    namespace.apply(MANIFESTS % values, REFUSED)
    namespace.wait("fwds", "flights")
    namespace.wait("fwpipe", "flights", reason="Live")
    start_run(namespace, "one", "flights")
    return namespace


@pytest.fixture(scope="module")
def run(served: Namespace) -> dict[str, Any]:
    status = wait_for_run(served, "one")
    assert status["result"] == "Succeeded", status
    served.wait("fwsvc", "flights", seconds=120)
    return status


def test_online_and_batch_answers_to_raw_rows_are_those_of_duckdbs_features(
    served: Namespace, run: dict[str, Any]
) -> None:
    files = read_artifact(served, step_status(run, "search")["outputs"]["model"])
    expected = predict_with_duckdb(files["model.onnx"])
    rows = [{name: row[name] for name in INPUTS} for row in flights(RAW)]

    with kube.port_forward("service/flights", 8080, served.name) as port:
        url = f"http://127.0.0.1:{port}/v2/models/flights/predict"
        body = json.dumps({"rows": rows[:ASKED]}).encode()
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as response:
            online = [each["probabilities"]["1"] for each in json.load(response)["predictions"]]
    served.wait("fwbatch", "flights", reason="Scored", seconds=120)
    [part] = json.loads(read_object(served, "scored/_manifest.json"))["files"]
    batch = {
        row["flight_id"]: row["probability_1"]
        for row in map(json.loads, read_object(served, f"scored/{part['path']}").splitlines())
    }

    assert {each["name"] for each in json.loads(files["signature.json"])["inputs"]} == {*INPUTS}
    assert len(set(expected)) > 10
    assert online == pytest.approx(expected[:ASKED], abs=1e-6)
    assert [batch[row["flight_id"]] for row in flights(RAW)] == pytest.approx(expected, abs=1e-6)


def predict_with_duckdb(model: bytes) -> list[float]:
    """The model's own trees over features that DuckDB makes here, without the graph of the expressions."""
    import onnx
    import onnxruntime

    served = onnx.load_from_string(model)
    [trees] = [node for node in served.graph.node if node.op_type.startswith("Tree")]
    matrix, scores = trees.input[0], trees.output[1]
    extracted = onnx.helper.make_graph(
        [trees],
        "trees",
        [onnx.helper.make_tensor_value_info(matrix, onnx.TensorProto.FLOAT, [None, len(ROWWISE)])],
        [onnx.helper.make_tensor_value_info(scores, onnx.TensorProto.FLOAT, None)],
    )
    alone = onnx.helper.make_model(extracted, opset_imports=served.opset_import, ir_version=served.ir_version)
    session = onnxruntime.InferenceSession(alone.SerializeToString(), providers=["CPUExecutionProvider"])
    features = [[row[name] for name in ROWWISE] for row in flights(FEATURES)]
    given = np.array([[np.nan if value is None else value for value in row] for row in features], dtype=np.float32)
    return [float(row[-1]) for row in session.run([scores], {matrix: given})[0]]


def test_the_version_says_what_it_computes(served: Namespace, run: dict[str, Any]) -> None:
    version = (served.get("fwver", run["challenger"]["version"]) or {})["status"]

    assert version["rowwise"] == {"features": sorted(ROWWISE), "largestDifference": "0"}
    assert version["isolated"] == ""


def test_an_expression_that_cannot_be_computed_ends_the_search(served: Namespace) -> None:
    refused = served.wait("fwexp", "refused", ready="False", reason="RowwiseInvalid", stalled=True)

    assert "the function 'trim' cannot be compiled" in refused["message"]

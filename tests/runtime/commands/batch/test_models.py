"""Models of other shapes: one wide input, rows that mix, rows that the model itself refuses."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from tests.runtime.commands.batch.batch_pods import DIGEST, BatchPods
from tests.serving.local_server import LocalServer

pytestmark = pytest.mark.integration
Serve = Callable[[ModelProto], BatchPods]


def made(nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: tuple[Any, ...] = ()) -> ModelProto:
    graph = helper.make_graph(nodes, "made", inputs, outputs, list(constants))
    model: ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return model


def doubling(width: int | None) -> ModelProto:
    """y = x + x, of several columns."""
    info = helper.make_tensor_value_info
    x, y = info("x", TensorProto.FLOAT, [None, width]), info("y", TensorProto.FLOAT, [None, width])
    return made([helper.make_node("Add", ["x", "x"], ["y"])], [x], [y])


def centring() -> ModelProto:
    """y = x - mean of the rows of the call."""
    info = helper.make_tensor_value_info
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["x", "mean"], ["y"]),
    ]
    return made(nodes, [info("x", TensorProto.FLOAT, [None, 1])], [info("y", TensorProto.FLOAT, [None, 1])])


def lookup() -> ModelProto:
    """Row `at` of a table with three rows; any other is an error of the model."""
    info = helper.make_tensor_value_info
    table = numpy_helper.from_array(np.array([10, 20, 30], np.int64), "table")
    nodes = [helper.make_node("Gather", ["table", "at"], ["found"], axis=0)]
    return made(nodes, [info("at", TensorProto.INT64, [None])], [info("found", TensorProto.INT64, [None])], (table,))


@pytest.fixture
def serve(tmp_path: Path, env: dict[str, str], bucket: str) -> Iterator[Serve]:
    servers: list[LocalServer] = []
    params = {
        "input": {"s3": {"uri": f"s3://{bucket}/shop/in/"}},
        "output": {"s3": {"uri": f"s3://{bucket}/shop/out/"}, "format": "JSONL"},
        "model": {"name": "m", "version": "m-1", "digest": DIGEST},
    }

    def start(model: ModelProto) -> BatchPods:
        folder = tmp_path / "model"
        folder.mkdir()
        (folder / "model.onnx").write_bytes(model.SerializeToString())
        servers.append(LocalServer(folder, "--name", "m").__enter__())
        return BatchPods(tmp_path, env, folder, servers[-1].http, params)

    yield start
    for server in servers:
        server.__exit__(None, None, None)


def scored(pods: BatchPods) -> list[dict[str, Any]]:
    (part,) = pods.document()["files"]
    return [json.loads(line) for line in pods.get("out/" + part["path"]).splitlines()]


@pytest.mark.parametrize("width", [2, None])
def test_named_columns_make_one_wide_input(serve: Serve, width: int | None) -> None:
    pods = serve(doubling(width))
    pods.put("in/a.csv", "b,a\n1,2\n3,4\n")

    pods.whole(input={"features": ["a", "b"]})

    wanted = [{"y_0": 4, "y_1": 2}, {"y_0": 8, "y_1": 6}] if width else [{"y": [4, 2]}, {"y": [8, 6]}]
    assert scored(pods) == wanted


def test_a_prediction_that_is_not_finite_is_a_row_error(serve: Serve) -> None:
    pods = serve(doubling(1))
    pods.put("in/a.csv", 'x\n1\n""\n3\ninf\n5\n')

    told = pods.whole()

    assert told["metrics"] == {"rows": 3.0, "errors": 2.0}
    assert scored(pods) == [{"y": 2}, {"y": 6}, {"y": 10}]
    (errors,) = pods.document()["errorFiles"]
    found = [json.loads(line) for line in pods.get("out/" + errors["path"]).splitlines()]
    assert [(each["row"], each["reason"]) for each in found] == [(2, "NotFinite"), (4, "NotFinite")]


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        pytest.param("scalar_output", {"y"}, id="a scalar is left out"),
        pytest.param("catboost_regressor", {"predictions"}, id="declared shapes differ from the answers"),
    ],
)
def test_brought_models_are_scored_with_a_row_for_each_row(serve: Serve, name: str, columns: set[str]) -> None:
    pods = serve(onnx.load(f"tests/serving/brought_models/{name}.onnx"))
    pods.put("in/a.csv", "x,a,b,c\n1,1,1,1\n0,2,2,2\n3,3,3,3\n")
    features = {"features": ["x", "a", "b", "c"]} if name == "catboost_regressor" else {}

    told = pods.whole(input=features)

    assert told["metrics"] == {"rows": 3.0, "errors": 0.0}
    assert all(row.keys() == columns for row in scored(pods))


CASES = Path(__file__).parent / "cases"


def errors_of(pods: BatchPods, case: str, **changes: Any) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """The metrics of scoring a file of `cases`, and its rows that failed."""
    pods.put(f"in/{case}", (CASES / case).read_bytes())
    pods.plan(**changes)
    code, told = pods.step("score", **changes)
    assert code == 0, told
    pods.step("finish", **changes)
    paths = [path for path in pods.written() if path.startswith("_errors/") and path.endswith(".jsonl")]
    found = [json.loads(line) for path in paths for line in pods.get(f"out/{path}").splitlines()]
    return {name: told["metrics"][name] for name in ("rows", "errors")}, found


def post(pods: BatchPods, path: str, body: dict[str, Any]) -> tuple[int, str]:
    """Status and error of a request to the server of the batch."""
    head = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://{pods.server}{path}", json.dumps(body).encode(), head)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, ""
    except urllib.error.HTTPError as error:
        return error.code, str(json.loads(error.read())["error"])


def test_a_whole_number_that_the_input_lacks_is_refused_in_a_batch_as_online(serve: Serve) -> None:
    pods = serve(onnx.load("tests/serving/brought_models/double.onnx"))

    metrics, [failed] = errors_of(pods, "int_beyond_fp32.jsonl")
    tensor = {"name": "x", "datatype": "INT64", "shape": [1, 1], "data": [16777217]}
    online = [
        post(pods, "/v2/models/m/infer", {"inputs": [tensor]}),
        post(pods, "/v2/models/m/predict", {"rows": [{"x": 16777217}]}),
        post(pods, "/invocations", {"dataframe_records": [{"x": 16777217}]}),
    ]

    assert metrics == {"rows": 0.0, "errors": 1.0}
    assert failed["message"] == "column 'x': the value 16777217 cannot be represented in FP32"
    assert [status for status, _ in online] == [400, 400, 400]
    assert all("the value 16777217" in finding and "FP32" in finding for _, finding in online)


@pytest.mark.parametrize(
    ("name", "case", "features", "expected"),
    [
        pytest.param(
            "catboost_regressor", "catboost.csv", ["a", "b", "c", "d"],
            [{"predictions": 0.038358863}, {"predictions": 0.3424848}], id="a shape that CatBoost declares otherwise",
        ),
        pytest.param(
            "batch_baked_in", "catboost.csv", ["a", "b"], [{"y": [0.1, 0.2]}, {"y": [1, 2]}],
            id="one row in each call, whatever the model makes of two",
        ),
    ],
)  # fmt: skip
def test_each_row_of_a_brought_model_has_its_own_answer(
    serve: Serve, name: str, case: str, features: list[str], expected: list[dict[str, Any]]
) -> None:
    pods = serve(onnx.load(f"tests/serving/brought_models/{name}.onnx"))

    metrics, failed = errors_of(pods, case, input={"features": features})

    assert (metrics, failed) == ({"rows": 2.0, "errors": 0.0}, [])
    for found, wanted in zip(scored(pods), expected, strict=True):
        assert found.keys() == wanted.keys()
        assert all(found[each] == pytest.approx(wanted[each], rel=1e-6) for each in wanted)


def test_rows_that_a_model_drops_by_their_value_are_errors(serve: Serve) -> None:
    """Verification refuses this model; a server that runs it all the same gives no line that nobody asked for."""
    pods = serve(onnx.load("tests/serving/brought_models/nonzero_rows.onnx"))

    metrics, failed = errors_of(pods, "nonzero.csv")

    assert metrics["rows"] + metrics["errors"] == 3
    assert [row["row"] for row in failed][:1] == [1]
    assert "each row must have a row of its own" in failed[0]["message"]


def test_a_list_in_one_column_makes_one_wide_input(serve: Serve) -> None:
    pods = serve(doubling(2))
    pods.put("in/a.jsonl", '{"x": [1, 2]}\n{"x": [1]}\n{"x": 7}\n{"x": [3, "4"]}\n')

    told = pods.whole()

    assert told["metrics"] == {"rows": 2.0, "errors": 2.0}
    assert scored(pods) == [{"y_0": 2, "y_1": 4}, {"y_0": 6, "y_1": 8}]


@pytest.mark.parametrize(
    ("features", "reason", "words"),
    [
        (["a"], "FeaturesInvalid", "names 1 columns and input 'x' of the model takes 2"),
        (["a", "c"], "ColumnsMissing", "no column 'c'"),
        ([], "ColumnsMissing", "no column 'x_0', 'x_1'"),
    ],
)
def test_columns_that_do_not_fit_a_wide_input_are_named(
    serve: Serve, features: list[str], reason: str, words: str
) -> None:
    pods = serve(doubling(2))
    pods.put("in/a.csv", "a,b\n1,2\n")

    code, told = pods.step("plan", input={"features": features})

    assert (code, told["reason"]) == (2, reason)
    assert words in told["message"]


def test_a_model_that_mixes_rows_is_asked_row_by_row(serve: Serve) -> None:
    pods = serve(centring())
    pods.put("in/a.csv", "x\n1\n5\n9\n")

    pods.whole()

    assert scored(pods) == [{"y": 0}, {"y": 0}, {"y": 0}]


def test_a_row_that_the_model_refuses_fails_alone(serve: Serve) -> None:
    pods = serve(lookup())
    pods.put("in/a.csv", "at\n" + "".join(f"{7 if n in (2, 500) else n % 3}\n" for n in range(1, 1001)))

    told = pods.whole(output={"include": ["at"]})

    assert told["metrics"] == {"rows": 998.0, "errors": 2.0}
    (path,) = [each["path"] for each in pods.document()["errorFiles"]]
    faults = [json.loads(line) for line in pods.get(f"out/{path}").splitlines()]
    assert [(each["row"], each["reason"]) for each in faults] == [(2, "Refused"), (500, "Refused")]
    assert all(row["found"] == 10 + 10 * int(row["at"]) for row in scored(pods))


def test_an_output_that_the_model_does_not_give_is_named(serve: Serve) -> None:
    pods = serve(lookup())
    pods.put("in/a.csv", "at\n1\n")

    code, told = pods.step("plan", output={"prediction": "Probability"})

    assert (code, told["reason"]) == (2, "OutputsDiffer")
    assert "the model gives 'found'" in told["message"]

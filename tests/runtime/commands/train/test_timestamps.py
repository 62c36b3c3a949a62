"""A timestamp is a feature: one number in training, evaluation, batch and a request, whatever form it comes in."""

import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc

from flywheel_runtime.commands.batch.inference.cells import Cell
from flywheel_runtime.commands.batch.inference.client import Client
from flywheel_runtime.commands.batch.inference.model_inputs import match, read_tensors
from flywheel_runtime.commands.evaluate import main as evaluate
from flywheel_runtime.datasets.features import open_data
from flywheel_runtime.datasets.sql import connect
from flywheel_runtime.models.golden_rows import run_model
from tests.serving.local_server import LocalServer
from tests.serving.rest.rest_client import send_request

START = "TIMESTAMP '2024-05-01'"
TREE = {"estimator": "HistGradientBoostingClassifier", "parameters": {"max_iter": 20}}


def table(step: str, rows: int = 600, target: str = "x < 300") -> str:
    """CSV with `signup`, a time for each row that is `step` after the one before, and a date; the target depends on the time."""
    day = "DATE '2000-01-01' + (hash(x) % 9000)::INTEGER"
    query = (
        f"SELECT x AS id, {START} + (x * INTERVAL '{step}') AS signup, CASE WHEN x % 10 > 0 THEN {day} END AS born, "
        f"hash(x, 1) % 10 AS noise, ({target})::INTEGER AS late FROM range({rows}) AS t(x)"
    )
    with duckdb.connect() as connection:
        found = connection.execute(query).fetchall()
    lines = [",".join("" if cell is None else str(cell) for cell in row) for row in found]
    return "id,signup,born,noise,late\n" + "\n".join(lines) + "\n"


@pytest.fixture
def dataset(checked: Any) -> Any:
    def build(step: str = "1 hour", target_sql: str = "x < 300", **spec: Any) -> Path:
        return Path(checked({"a.csv": table(step, target=target_sql)}, target="late", keys=["id"], **spec))

    return build


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text())


@pytest.mark.integration
@pytest.mark.parametrize("step", ["1 microsecond", "1 second", "3 days"])
@pytest.mark.parametrize(
    ("estimator", "parameters"),
    [
        ("HistGradientBoostingClassifier", {"max_iter": 20}),
        ("DecisionTreeClassifier", {}),
        ("LogisticRegression", {}),
        ("MLPClassifier", {"max_iter": 20}),
    ],
)
def test_a_split_between_two_close_instants_is_exported(
    run_train: Any, dataset: Any, step: str, estimator: str, parameters: dict[str, Any]
) -> None:
    result = run_train(dataset(step), estimator=estimator, parameters=parameters)

    assert result.code == 0, result.failure
    assert result.output("model/run.json")["parity"] == {"maxDifference": pytest.approx(0, abs=1e-4), "rows": 90}
    assert result.output("metrics.json")["roc_auc"] > 0.98


@pytest.mark.integration
def test_neighbouring_microseconds_get_different_answers(run_train: Any, dataset: Any) -> None:
    """The boundary between the classes is found to the train row next to it."""
    data = dataset("1 microsecond")
    result = run_train(data, estimator="DecisionTreeClassifier", features={"numeric": ["signup"]})
    rows = open_data(data, None).raw("train", 1000)

    label = run_model((result.root / "outputs/model/model.onnx").read_bytes(), {"signup": rows["signup"]})["label"]

    assert label.tolist() == open_data(data, None).read_targets("train").tolist()


@pytest.mark.integration
def test_the_signature_and_the_baseline_say_timestamp(run_train: Any, dataset: Any) -> None:
    result = run_train(dataset(), **TREE)

    signature = result.output("model/signature.json")
    fp64 = {"datatype": "FP64", "shape": [-1, 1]}
    assert signature["inputs"] == [
        {"name": "signup", **fp64, "content": "Timestamp"},
        {"name": "born", **fp64, "content": "Timestamp"},
        {"name": "noise", **fp64},
    ]
    feature = result.output("model/baseline.json")["features"]["signup"]
    assert (feature["type"], len(feature["edges"]), sum(feature["counts"]["bins"])) == ("Timestamp", 21, 420)
    assert 1.7145e15 < feature["edges"][0] < feature["edges"][-1] < 1.7167e15
    born = result.output("model/baseline.json")["features"]["born"]["counts"]
    assert born["missing"] == 420 - sum(born["bins"]) > 0


def test_the_profile_counts_times_in_bins(dataset: Any) -> None:
    column = read(dataset(), "profile.json")["columns"]["signup"]

    assert column["type"] == "Timestamp"
    train = column["splits"]["train"]
    assert (sum(train["bins"]), train["under"], train["over"], train["missing"]) == (420, 0, 0, 0)
    assert (train["min"][:10], train["max"][:10]) == ("2024-05-01", "2024-05-25")


def test_the_times_of_a_new_dataset_are_features_but_for_its_event_time(dataset: Any) -> None:
    assert read(dataset(), "schema.json")["timestampFeatures"] == ["signup", "born"]
    by_time = dataset(eventTime="signup", split={"by": "Time"})
    assert read(by_time, "schema.json")["timestampFeatures"] == ["born"]
    assert [feature.name for feature in open_data(by_time, None).features] == ["born", "noise"]


def test_a_dataset_of_an_earlier_release_gets_no_new_features(run_check: Any) -> None:
    files, spec = {"a.csv": table("1 hour")}, {"target": "late", "keys": ["id"]}
    first = run_check(files, anew=True, **spec)
    schema = first.output("data/schema.json")
    del schema["timestampFeatures"]
    (first.data / "schema.json").write_text(json.dumps(schema))

    second = run_check(files, previous=first, **spec)

    assert "timestampFeatures" not in second.output("data/schema.json")
    assert [feature.name for feature in open_data(second.data, None).features] == ["noise"]


def test_the_next_version_has_the_same_features(run_check: Any) -> None:
    files, spec = {"a.csv": table("1 hour")}, {"target": "late", "keys": ["id"]}
    first = run_check(files, **spec)

    second = run_check(files, previous=first, **spec)

    old, new = (each.output("data/schema.json") for each in (first, second))
    assert (new["timestampFeatures"], new["content"]) == (old["timestampFeatures"], old["content"])


def test_prepared_data_has_the_features_of_its_first_table(dataset: Any, run_prepare: Any) -> None:
    result = run_prepare({"orders": dataset()}, "SELECT *, signup AS copied FROM orders")

    assert result.output("data/schema.json")["timestampFeatures"] == ["signup", "born"]


@pytest.mark.integration
def test_a_time_that_is_named_is_a_feature(run_train: Any, dataset: Any) -> None:
    data = dataset(eventTime="signup", split={"by": "Time"}, target_sql="hash(x, 2) % 2")

    result = run_train(data, **TREE, features={"numeric": ["signup", "noise"]})

    assert result.code == 0
    assert [each["name"] for each in result.output("model/signature.json")["inputs"]] == ["signup", "noise"]


@pytest.mark.integration
def test_a_time_is_no_category(run_train: Any, dataset: Any) -> None:
    result = run_train(dataset(), features={"categorical": ["born"]})

    assert result.failure["reason"] == "FeatureInvalid"
    assert (
        "'born' is a timestamp, which is learnt as a number; move it to features.numeric" in result.failure["message"]
    )


def test_a_time_that_tells_the_target_is_a_leak(run_check: Any) -> None:
    result = run_check({"a.csv": table("1 hour", rows=4000)}, target="late", keys=["id"])

    found = result.output("data/report.json")["anomalies"]
    assert [(each["kind"], each["column"]) for each in found] == [("LabelLeak", "signup")]


@pytest.fixture
def trial(run_train: Any, dataset: Any) -> Any:
    result = run_train(dataset("17 hours 13.000007 seconds"), **TREE)
    assert result.code == 0, result.failure
    return result


@pytest.mark.integration
def test_evaluate_measures_what_the_trial_did(trial: Any, run_step: Any, dataset: Any) -> None:
    data = dataset("17 hours 13.000007 seconds")

    report = run_step(evaluate, {"model": trial.root / "outputs/model", "data": data}, by=["signup"])

    assert report.code == 0, report.failure
    trained = trial.output("model/evaluation.json")["test"]["metrics"]
    assert report.output("evaluation/report.json")["whole"]["metrics"]["roc_auc"] == pytest.approx(trained["roc_auc"])


@pytest.mark.integration
def test_every_way_to_the_model_has_one_answer(trial: Any, dataset: Any) -> None:
    """Cell for cell: the number of training, of batch for the typed column and for its text, and of text in a request."""
    data = dataset("17 hours 13.000007 seconds")
    raw = open_data(data, None).raw("test", 50)
    expected = trial_probabilities(trial, raw)
    with LocalServer(trial.root / "outputs/model", "--name", "late") as server, connect(threads=1) as connection:
        connection.execute(f"CREATE TABLE rows AS FROM read_parquet('{data}/test.parquet') LIMIT 50")
        host, port = server.http.split(":")
        with Client("late", (host, int(port))) as client:
            inputs, _ = client.signature()
            feeds, answers = batch_answers(connection, client)
        for found in feeds:
            for name, values in raw.items():
                np.testing.assert_array_equal(found[name], values)
        texts = {name: text_of(connection, name) for name in raw}
        binary = infer(server, [bytes_tensor(name, texts[name]) for name in ("signup", "born")], raw)
        bodies = [json_rows(texts), csv_rows(texts)]
        answers += [binary, *(predict(server, *body) for body in bodies), infer_over_grpc(server, texts, raw)]

    assert [each.is_timestamp for each in inputs] == [True, True, False]
    for answer in answers:
        np.testing.assert_array_equal(np.asarray(answer, np.float32), expected)


def trial_probabilities(trial: Any, raw: Any) -> Any:
    return run_model((trial.root / "outputs/model/model.onnx").read_bytes(), raw)["probabilities"][:, 1]


def batch_answers(connection: duckdb.DuckDBPyConnection, client: Client) -> tuple[list[Any], list[Any]]:
    """Tensors and probabilities for typed columns, and for their texts."""
    inputs, _ = client.signature()
    features = match(inputs, (), [each.name for each in inputs], "rows")
    feeds, answers = [], []
    for sql_type in ("TIMESTAMP", None):
        cells = {
            each.name: Cell(
                f'"{each.name}"' if sql_type else f'"{each.name}"::VARCHAR', sql_type if each.is_timestamp else None
            )
            for each in inputs
        }
        tensors, wrong = read_tensors(connection, "rows", features, cells)
        assert wrong == {}
        feeds.append(tensors)
        answers.append(client.infer(inputs, tensors)["probabilities"][:, 1])
    return feeds, answers


def text_of(connection: duckdb.DuckDBPyConnection, name: str) -> list[Any]:
    form = f"replace(\"{name}\"::VARCHAR, ' ', 'T') || 'Z'" if name != "noise" else f'"{name}"'
    return [row[0] for row in connection.execute(f"SELECT {form} FROM rows").fetchall()]


def bytes_tensor(name: str, texts: list[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": "BYTES", "shape": [len(texts)], "data": texts}


def infer(server: LocalServer, tensors: list[dict[str, Any]], raw: Any) -> list[float]:
    noise = {"name": "noise", "datatype": "FP64", "shape": [len(raw["noise"])], "data": raw["noise"][:, 0].tolist()}
    body = json.dumps({"inputs": [*tensors, noise]}).encode()
    status, found, _ = send_request(server, "/v2/models/late/infer", body)
    assert status == 200, found
    (probabilities,) = (each["data"] for each in found["outputs"] if each["name"] == "probabilities")
    return [float(each) for each in probabilities[1::2]]


def infer_over_grpc(server: LocalServer, texts: dict[str, list[Any]], raw: Any) -> Any:
    with triton_grpc.InferenceServerClient(server.grpc) as client:
        described = client.get_model_metadata("late").inputs
        assert [(each.name, each.datatype) for each in described] == [(name, "FP64") for name in raw]
        inputs = []
        for name, values in raw.items():
            cells = values if name == "noise" else np.array([[cell or ""] for cell in texts[name]], object)
            inputs.append(triton_grpc.InferInput(name, list(values.shape), "FP64" if name == "noise" else "BYTES"))
            inputs[-1].set_data_from_numpy(cells)
        return client.infer("late", inputs).as_numpy("probabilities")[:, 1]


def json_rows(texts: dict[str, list[Any]]) -> tuple[bytes, str]:
    rows = [dict(zip(texts, row, strict=True)) for row in zip(*texts.values(), strict=True)]
    return json.dumps({"rows": rows}).encode(), "application/json"


def csv_rows(texts: dict[str, list[Any]]) -> tuple[bytes, str]:
    lines = [",".join("" if cell is None else str(cell) for cell in row) for row in zip(*texts.values(), strict=True)]
    return "\n".join([",".join(texts), *lines]).encode(), "text/csv"


def predict(server: LocalServer, body: bytes, media_type: str) -> list[float]:
    status, found, _ = send_request(server, "/invocations", body, content_type=media_type)
    assert status == 200, found
    return [each["probabilities"]["1"] for each in found["predictions"]]

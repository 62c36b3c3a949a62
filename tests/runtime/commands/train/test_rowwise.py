"""Features by SQL travel with the model: it takes raw columns, and computes what DuckDB computed for training."""

import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import onnx
import pytest

from flywheel_runtime.datasets.features import open_data
from flywheel_runtime.models.golden_rows import run_model
from flywheel_runtime.models.quantization import quantize_weights

TREE = {"estimator": "HistGradientBoostingClassifier", "parameters": {"max_iter": 20}}
ROWWISE = {
    "hour_sine": "sin(2 * pi() * hour(sched) / 24)",
    "speed": "dist / nullif(minutes, 0)",
    "is_night": "hour(sched) NOT BETWEEN 6 AND 21 -- by the clock",
    "kind": "CASE WHEN origin = 'JFK' THEN 2 WHEN origin LIKE 'L%' THEN 1 ELSE 0 END",
    "filled": "coalesce(wind, 0)",
}


def table(rows: int = 600) -> str:
    """CSV of flights; they are late where a short or missing time in the air meets an hour of the evening."""
    query = (
        "SELECT x AS id, TIMESTAMP '2024-05-01 00:05' + (x * INTERVAL '47 minutes') AS sched, (hash(x) % 2500)::DOUBLE AS dist, "
        "CASE WHEN x % 11 > 0 THEN hash(x, 1) % 300 END AS minutes, ['JFK', 'LGA', 'EWR', ''][1 + (hash(x, 2) % 4)::INTEGER] AS origin, "
        "CASE WHEN x % 7 > 0 THEN (hash(x, 3) % 400) / 10 END AS wind, 4 AS constant, "
        "(hour(sched) >= 16 AND coalesce(dist / nullif(minutes, 0), 20) > 6)::INTEGER AS late "
        f"FROM range({rows}) AS t(x)"
    )
    with duckdb.connect() as connection:
        found = connection.execute(query).fetchall()
    lines = [",".join("" if cell is None else str(cell) for cell in row) for row in found]
    return "id,sched,dist,minutes,origin,wind,constant,late\n" + "\n".join(lines) + "\n"


@pytest.fixture
def dataset(checked: Any) -> Path:
    return Path(checked({"a.csv": table()}, target="late", keys=["id"], eventTime="sched"))


@pytest.mark.integration
def test_a_model_with_rowwise_features_takes_raw_columns_alone(run_train: Any, dataset: Path) -> None:
    result = run_train(dataset, **TREE, rowwise=ROWWISE)

    assert result.code == 0, result.failure
    signature = result.output("model/signature.json")
    inputs = {each["name"]: each for each in signature["inputs"]}
    assert set(inputs) == {
        "dist",
        "minutes",
        "origin",
        "wind",
        "sched",
    }  # sched is the event time, which expressions read
    assert inputs["sched"]["content"] == "Timestamp"
    assert signature["leftOut"] == ["constant"]
    for name in ("golden.json", "baseline.json"):
        document = result.output(f"model/{name}")
        assert set(document.get("inputs") or document["features"]) == set(inputs)
    importance = result.output("model/permutation_importance.json")
    assert {each["name"] for each in importance["features"]} == set(inputs)
    assert {*ROWWISE} < {*result.output("model/explanation.json")["columns"]}
    assert result.output("metrics.json")["roc_auc"] > 0.98


@pytest.mark.integration
def test_what_was_compared_is_recorded(run_train: Any, dataset: Path) -> None:
    document = run_train(dataset, **TREE, rowwise=ROWWISE).output("model/features.json")

    assert document["v"] == 1
    assert document["rowwise"] == ROWWISE
    assert document["digest"].startswith("sha256:")
    assert document["largestDifference"] == 0
    assert document["rows"] > 1000
    assert document["features"]["hour_sine"] == {
        "columns": ["sched"], "functions": ["*", "/", "hour", "sin"], "inexact": [], "difference": 0,
    }  # fmt: skip


@pytest.mark.integration
def test_the_model_answers_raw_rows_as_one_that_was_fitted_to_columns_of_duckdb(
    run_train: Any, dataset: Path, checked: Any
) -> None:
    """The same estimator over the same columns, of which DuckDB made some before the training."""
    made = run_train(dataset, **TREE, rowwise=ROWWISE)
    content = (made.root / "outputs/model/model.onnx").read_bytes()
    raw = open_data(dataset, None).raw("test", 90)
    raw["sched"] = _times(dataset)

    outputs = run_model(content, raw)
    alone = [run_model(content, {name: values[row : row + 1] for name, values in raw.items()}) for row in range(10)]

    assert np.array_equal(outputs["probabilities"][:10], np.concatenate([each["probabilities"] for each in alone]))
    assert made.output("model/run.json")["parity"]["maxDifference"] < 1e-6


def _times(dataset: Path) -> Any:
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT epoch_us(sched)::DOUBLE AS t FROM '{dataset}/test.parquet' LIMIT 90")
        return found.fetchnumpy()["t"].reshape(-1, 1)


@pytest.mark.integration
def test_chosen_features_name_what_rowwise_makes(run_train: Any, dataset: Path) -> None:
    chosen = {"numeric": ["speed", "dist", "hour_sine"], "categorical": ["kind"]}
    rowwise = {name: ROWWISE[name] for name in ("hour_sine", "speed", "kind")}

    result = run_train(dataset, **TREE, features=chosen, rowwise=rowwise)

    assert result.code == 0, result.failure
    assert {each["name"] for each in result.output("model/signature.json")["inputs"]} == {
        "dist", "sched", "minutes", "origin",
    }  # fmt: skip
    assert result.output("model/run.json")["features"] == ["speed", "dist", "hour_sine", "kind"]


@pytest.mark.integration
def test_a_regression_has_a_loss_model_of_raw_columns(run_train: Any, checked: Any) -> None:
    lines = table(1200).splitlines()
    data = Path(checked({"a.csv": "\n".join(line.rsplit(",", 1)[0] for line in lines)}, target="wind", keys=["id"]))
    rowwise = {"hour": "hour(sched)", "root": "sqrt(dist)", "log": "ln(dist + 1)"}

    result = run_train(data, estimator="Ridge", objective={"metric": "rmse"}, rowwise=rowwise)

    assert result.code == 0, result.failure
    loss_model = (result.root / "outputs/model/loss_model.onnx").read_bytes()
    rows = open_data(data, None).raw("test", 20)
    assert np.isfinite(run_model(loss_model, rows)["prediction"]).all()
    assert 0 < result.output("model/features.json")["largestDifference"] <= 4


@pytest.mark.integration
def test_quantization_leaves_the_graph_of_the_features_alone(run_train: Any, dataset: Path) -> None:
    parameters = {"max_iter": 20, "hidden_layer_sizes": "[32]"}
    result = run_train(dataset, estimator="MLPClassifier", parameters=parameters, rowwise=ROWWISE)
    content = (result.root / "outputs/model/model.onnx").read_bytes()

    quantized, weights = quantize_weights(content)

    assert weights
    assert front(quantized) == front(content)
    assert len(front(content)) > 50


def front(content: bytes) -> set[bytes]:
    """The nodes of rowwise features, the constants that they read, and the digest of their record."""
    model = onnx.load_from_string(content)
    nodes = [node for node in model.graph.node if node.name.startswith("rowwise/")]
    read = {name for node in nodes for name in node.input}
    constants = [each for each in model.graph.initializer if each.name in read]
    digests = [each for each in model.metadata_props if each.key == "flywheel.rowwise"]
    return {each.SerializeToString(deterministic=True) for each in (*nodes, *constants, *digests)}


@pytest.mark.parametrize(
    ("rowwise", "finding"),
    [
        ({"a": "trim(origin) = 'JFK'"}, "'a': the function 'trim' cannot be compiled"),
        ({"a": "random() * dist"}, "'a': the function 'random' cannot be compiled: it has another value each time"),
        ({"a": "avg(dist) OVER (ORDER BY sched)"}, "'a': the expression looks at other rows by a window"),
        ({"a": "sum(dist)"}, "'a': the expression aggregates rows"),
        ({"a": "late + dist"}, "'a': it reads the target 'late', which callers do not know"),
        ({"a": "dist * 2", "b": "a + 1"}, "'b': it uses the rowwise feature 'a'"),
        ({"Dist": "dist * 2"}, "'Dist': the data has a column 'dist'; give the feature another name"),
        ({"a": "dist", "A": "wind"}, "differs from it in upper and lower case alone"),
        ({"a": "nosuch(dist)"}, "'a': DuckDB: Scalar Function with name nosuch does not exist"),
        ({"a": "dist + gone"}, "'a': DuckDB: Referenced column \"gone\" not found"),
    ],
)
@pytest.mark.integration
def test_what_cannot_be_computed_is_refused_before_anything_is_fitted(
    run_train: Any, dataset: Path, rowwise: dict[str, str], finding: str
) -> None:
    result = run_train(dataset, **TREE, rowwise=rowwise)

    assert result.code == 2
    assert result.failure["reason"] == "RowwiseInvalid"
    assert finding in result.failure["message"]


@pytest.mark.integration
def test_a_rowwise_feature_that_the_chosen_ones_leave_out_is_refused(run_train: Any, dataset: Path) -> None:
    result = run_train(dataset, **TREE, features={"numeric": ["dist"]}, rowwise={"speed": ROWWISE["speed"]})

    assert (result.code, result.failure["reason"]) == (2, "RowwiseInvalid")
    assert "trainer.sklearn.features does not name" in result.failure["message"]


@pytest.mark.integration
def test_a_rowwise_feature_that_says_nothing_is_left_out_with_its_columns(run_train: Any, dataset: Path) -> None:
    result = run_train(dataset, **TREE, rowwise={"speed": ROWWISE["speed"], "same": "id - id + constant"})

    assert result.code == 0, result.failure
    assert list(result.output("model/features.json")["rowwise"]) == ["speed"]
    inputs = {each["name"] for each in json.loads((result.root / "outputs/model/signature.json").read_text())["inputs"]}
    assert "id" not in inputs

"""A model on the test split: the whole is what its trainer measured, and every part is what scikit-learn says of its rows."""

import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import onnxruntime
import pytest
from sklearn import metrics

from flywheel_runtime.commands.evaluate import main as evaluate
from flywheel_runtime.commands.evaluate import slices
from flywheel_runtime.models import onnx_model
from tests.runtime.commands.flights import FEATURES, flights

pytestmark = pytest.mark.integration


@pytest.fixture
def dataset(checked: Any) -> Any:
    def build(target: str = "late") -> Path:
        return Path(checked({"a.csv": flights(2000)}, target=target, keys=["id"]))

    return build


@pytest.fixture
def evaluated(run_train: Any, run_step: Any, dataset: Any) -> Any:
    """evaluated("late", "roc_auc", by=["carrier"]) -> (Result, data folder, model folder)"""

    def run(target: str, metric: str, **params: Any) -> tuple[Any, Path, Path]:
        estimator = "Ridge" if target == "delay" else "LogisticRegression"
        done = run_train(dataset(target), estimator=estimator, features=FEATURES, objective={"metric": metric})
        assert done.code == 0
        folder = done.root / "outputs/model"
        settings = {"metric": metric, "by": [], "path": "model.onnx"} | params
        return run_step(evaluate, {"model": folder, "data": dataset(target)}, **settings), dataset(target), folder

    return run


def report(result: Any) -> Any:
    return result.output("evaluation/report.json")


@pytest.mark.parametrize(
    ("target", "metric"),
    [
        ("late", "roc_auc"),
        ("late", "accuracy"),
        ("late", "log_loss"),
        ("late", "f1"),
        ("grade", "roc_auc"),
        ("delay", "rmse"),
        ("delay", "r2"),
    ],
)
def test_the_whole_is_what_the_trainer_measured(evaluated: Any, target: str, metric: str) -> None:
    result, data, artifact = evaluated(target, metric)

    trained = json.loads((artifact / "evaluation.json").read_text())["test"]
    whole = report(result)["whole"]
    assert result.code == 0
    assert whole["metrics"] == pytest.approx(trained["metrics"], rel=1e-5)
    assert whole["rows"] == trained["rows"]
    assert result.output("facts.json")["testDigest"] == json.loads((data / "schema.json").read_text())["testDigest"]
    assert next(iter(result.output("metrics.json"))) == metric
    assert whole["interval"]["low"] < whole["metrics"][metric] < whole["interval"]["high"]


def test_a_boolean_is_a_class(run_train: Any, run_step: Any, dataset: Any) -> None:
    chosen = {"numeric": ["month", "delay"], "categorical": ["carrier"]}
    trained = run_train(dataset("express"), features=chosen, objective={"metric": "accuracy"})
    folder = trained.root / "outputs/model"

    result = run_step(evaluate, {"model": folder, "data": dataset("express")}, metric="accuracy", by=["express"])

    assert report(result)["confusionMatrix"]["classes"] == ["false", "true"]
    assert report(result)["whole"]["metrics"]["accuracy"] == pytest.approx(
        trained.output("metrics.json")["test_accuracy"]
    )
    assert {each["value"] for each in report(result)["slices"]["express"]["values"]} == {"true", "false"}


def test_a_slice_is_its_rows(evaluated: Any) -> None:
    result, data, artifact = evaluated("late", "roc_auc", by=["carrier"])

    session = onnxruntime.InferenceSession(artifact / "model.onnx", providers=["CPUExecutionProvider"])
    with duckdb.connect() as connection:
        rows = connection.execute(
            f"SELECT month, temp, express, carrier, late FROM '{data}/test.parquet' WHERE carrier = 'DL'"
        ).fetchall()
    columns = list(zip(*rows, strict=True))
    given = {
        name: np.array([np.nan if value is None else value for value in values], dtype=np.float64)[:, None]
        for name, values in zip(("month", "temp", "express"), columns[:3], strict=True)
    }
    given["carrier"] = np.array(columns[3], dtype=object)[:, None]
    said = session.run(["probabilities"], given)[0][:, 1]
    mine = next(each for each in report(result)["slices"]["carrier"]["values"] if each["value"] == "DL")
    assert mine["rows"] == len(rows)
    assert mine["metrics"]["roc_auc"] == pytest.approx(metrics.roc_auc_score(columns[4], said), rel=1e-9)


def test_the_worst_slice_has_thirty_rows(evaluated: Any) -> None:
    result, _, _ = evaluated("late", "roc_auc", by=["carrier"])

    parts = report(result)["slices"]["carrier"]["values"]
    worst = result.output("facts.json")["worst"]["carrier"]
    large = [each for each in parts if each["rows"] >= 30]
    assert len(large) < len(parts)
    assert worst["metric"] == min(each["metrics"]["roc_auc"] for each in large)
    assert worst["rows"] >= 30
    assert result.output("metrics.json")["worst_carrier_roc_auc"] == worst["metric"]


@pytest.mark.parametrize("shows", [False, True])
def test_the_status_has_the_value_of_a_slice_only_if_the_dataset_shows_values(
    run_train: Any, run_prepare: Any, run_step: Any, checked: Any, shows: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    more = {"showValues": True} if shows else {}
    data = Path(checked({"a.csv": flights()}, target="late", keys=["id"], **more))
    prepared = run_prepare({"flights": data}, "SELECT * FROM flights").data  # what SQL makes of it shows no more
    trained = run_train(prepared, features=FEATURES).root / "outputs/model"

    result = run_step(evaluate, {"model": trained, "data": prepared}, metric="accuracy", by=["express"])

    assert set(result.output("facts.json")["worst"]["express"]) == {"metric", "rows"} | ({"value"} if shows else set())
    value = report(result)["worst"]["express"]["value"]
    assert report(result).get("showsValues", False) is shows
    assert (f"worst express: {value} " in capsys.readouterr().out) is shows


def test_worse_is_greater_where_less_is_better(evaluated: Any) -> None:
    result, _, _ = evaluated("delay", "rmse", by=["express"])

    parts = report(result)["slices"]["express"]["values"]
    assert {each["value"] for each in parts} == {"true", "false"}
    assert result.output("facts.json")["worst"]["express"]["metric"] == max(each["metrics"]["rmse"] for each in parts)


@pytest.mark.parametrize(
    ("column", "kind", "values"),
    [
        pytest.param("month", "Values", 12, id="few numbers"),
        pytest.param("temp", "Quantiles", 6, id="many numbers and missing ones"),
        pytest.param("delay", "Quantiles", 5, id="a column that is no feature"),
        pytest.param("id", "Quantiles", 5, id="a key"),
    ],
)
def test_every_column_can_be_sliced_by(evaluated: Any, column: str, kind: str, values: int) -> None:
    result, _, _ = evaluated("late", "roc_auc", by=[column])

    part = report(result)["slices"][column]
    assert (part["kind"], len(part["values"])) == (kind, values)
    assert sum(each["rows"] for each in part["values"]) == report(result)["whole"]["rows"]
    assert (None in [each["value"] for each in part["values"]]) == (column == "temp")


def test_times_are_shared_out_in_order(tmp_path: Path) -> None:
    file = tmp_path / "test.parquet"
    with duckdb.connect() as connection:
        hours = "TIMESTAMP '2013-01-01' + to_hours(i) AS flown FROM range(100) t(i)"
        connection.execute(f"COPY (SELECT {hours}) TO '{file}' (FORMAT parquet)")
        column = slices.read_column(connection, file, "flown", "Timestamp")

    found = dict(column.slices())
    assert sum(len(chosen) for chosen in found.values()) == 100
    assert sorted(str(label) for label in found)[:2] == [
        "2013-01-01T00:00:00Z to 2013-01-01T19:00:00Z",
        "2013-01-01T19:00:00Z to 2013-01-02T15:00:00Z",
    ]


def test_the_curves_are_those_of_the_probabilities(evaluated: Any) -> None:
    result, _, _ = evaluated("late", "roc_auc")

    curve = report(result)["curves"]["1"]
    area = np.trapezoid(curve["roc"]["tpr"], curve["roc"]["fpr"])
    assert area == pytest.approx(report(result)["whole"]["metrics"]["roc_auc"], abs=0.01)
    assert sum(curve["reliability"]["rows"]) == report(result)["whole"]["rows"]
    assert 0 <= curve["reliability"]["expectedCalibrationError"] < 0.2
    assert report(result)["confusionMatrix"]["classes"] == ["0", "1"]


def test_the_page_names_the_worst(evaluated: Any) -> None:
    result, _, _ = evaluated("grade", "accuracy", by=["carrier"])

    page = (result.root / "outputs/evaluation/report.md").read_text()
    worst = report(result)["worst"]["carrier"]["value"] or "(missing)"
    assert page.startswith("# accuracy 0.")
    assert f"Worst with at least 30 rows: {worst}." in page
    assert "| is low |" in page


def test_the_same_question_has_the_same_bytes(run_step: Any, evaluated: Any) -> None:
    one, data, artifact = evaluated("late", "f1", by=["carrier", "temp"])

    two = run_step(evaluate, {"model": artifact, "data": data}, metric="f1", by=["carrier", "temp"])

    for name in ("report.json", "report.md"):
        assert (one.root / "outputs/evaluation" / name).read_bytes() == (
            two.root / "outputs/evaluation" / name
        ).read_bytes()


def test_batches_are_one_answer(evaluated: Any, run_step: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, data, artifact = evaluated("late", "roc_auc")
    monkeypatch.setattr(onnx_model, "BATCH_ROWS", 7)

    parts = run_step(evaluate, {"model": artifact, "data": data}, metric="roc_auc", by=[])

    assert parts.output("metrics.json") == whole.output("metrics.json")


def test_a_model_of_other_data_is_refused(evaluated: Any, run_step: Any, dataset: Any) -> None:
    _, _, artifact = evaluated("late", "roc_auc")

    result = run_step(evaluate, {"model": artifact, "data": dataset("grade")})

    assert (result.code, result.failure["reason"]) == (2, "DataMismatch")
    assert "'late'" in result.failure["message"]


def test_the_report_has_the_importance_of_columns(evaluated: Any) -> None:
    result, _, artifact = evaluated("late", "roc_auc")

    importance = report(result)["importance"]
    page = (result.root / "outputs/evaluation/report.md").read_text()
    assert importance == json.loads((artifact / "permutation_importance.json").read_text())
    assert {each["name"] for each in importance["features"]} == {"month", "temp", "express", "carrier"}
    assert importance["features"][0]["importance"] > 0.05
    assert f"| {importance['features'][0]['name']} | " in page.split("## Importance of columns")[1]
    assert result.output("evaluation/partial_dependence.json") == json.loads(
        (artifact / "partial_dependence.json").read_text()
    )


@pytest.mark.parametrize(
    ("target", "metric", "outputs"),
    [("late", "roc_auc", ["1"]), ("grade", "accuracy", ["high", "low", "mid"]), ("delay", "rmse", ["prediction"])],
)
def test_training_measures_what_the_model_relies_on(
    evaluated: Any, target: str, metric: str, outputs: list[str]
) -> None:
    _, _, artifact = evaluated(target, metric)

    importance, dependence = (
        json.loads((artifact / f"{name}.json").read_text()) for name in ("permutation_importance", "partial_dependence")
    )
    month = next(each for each in dependence["features"] if each["name"] == "month")
    assert importance["metric"] == metric
    assert importance["score"] == pytest.approx(
        json.loads((artifact / "evaluation.json").read_text())["test"]["metrics"][metric], rel=1e-4
    )
    assert dependence["outputs"] == outputs
    assert month["gridValues"] == list(range(1, 13))
    assert [len(each) for each in month["average"]] == [12] * len(outputs)
    if target == "delay":
        assert np.diff(month["average"][0]).mean() == pytest.approx(
            2, abs=0.5
        )  # as tests/runtime/commands/flights.py says

"""A trial: every allowed estimator exports with the same answers; the files say what a server and a reader need."""

import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import onnxruntime
import pytest
import sklearn.metrics
from sklearn.dummy import DummyClassifier

from flywheel_runtime.models.estimators import ESTIMATORS
from flywheel_runtime.models.onnx_export import target_scale
from flywheel_runtime.statistics.metrics import LESS_IS_BETTER
from tests.runtime.commands.flights import FEATURES, flights

pytestmark = pytest.mark.integration  # trains models

SMALL: dict[str, dict[str, Any]] = {
    name: {"boosting__max_iter": 20, "forest__n_estimators": 10, "network__max_iter": 20, "weights": "[2, 1, 1]"}
    if name.startswith("Voting")
    else {"max_iter": 20}
    if name.startswith(("Hist", "MLP"))
    else {"n_estimators": 10}
    if "Forest" in name or "Trees" in name or "Gradient" in name
    else {}
    for allowed in ESTIMATORS.values()
    for name in allowed
}
CLASSIFIERS = list(ESTIMATORS["Classification"])
REGRESSORS = list(ESTIMATORS["Regression"])


@pytest.fixture
def dataset(checked: Any) -> Any:
    def build(target: str = "late", **spec: Any) -> Path:
        return Path(checked({"a.csv": flights()}, target=target, keys=["id"], **spec))

    return build


def model(result: Any, name: str) -> Any:
    return result.output(f"model/{name}.json")


@pytest.mark.integration
@pytest.mark.parametrize("target", ["late", "grade"])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_classifier_gives_the_same_answers_in_onnx(run_train: Any, dataset: Any, name: str, target: str) -> None:
    result = run_train(dataset(target), estimator=name, parameters=SMALL[name], features=FEATURES)

    assert result.code == 0
    assert model(result, "run")["parity"] == {"maxDifference": pytest.approx(0, abs=1e-4), "rows": 90}
    assert result.output("metrics.json")["roc_auc"] > 0.7


@pytest.mark.integration
@pytest.mark.parametrize("name", REGRESSORS)
def test_every_regressor_gives_the_same_answers_in_onnx(run_train: Any, dataset: Any, name: str) -> None:
    result = run_train(
        dataset("delay"), estimator=name, parameters=SMALL[name], features=FEATURES, objective={"metric": "rmse"}
    )

    assert result.code == 0
    assert model(result, "run")["parity"]["maxDifference"] < 1e-4
    assert next(iter(result.output("metrics.json"))) == "rmse"
    assert model(result, "signature")["outputs"] == [{"name": "prediction", "datatype": "FP32", "shape": [-1]}]


@pytest.mark.parametrize(
    ("target", "datatype", "classes"),
    [
        ("late", "INT64", ["0", "1"]),
        ("grade", "BYTES", ["high", "low", "mid"]),
        ("express", "INT64", ["false", "true"]),
    ],
)
def test_golden_rows_replay_through_the_signature(
    run_train: Any, dataset: Any, target: str, datatype: str, classes: list[str]
) -> None:
    features = FEATURES | {"numeric": ["month", "temp"]}
    result = run_train(dataset(target), features=features)

    signature, golden = model(result, "signature"), model(result, "golden")
    session = onnxruntime.InferenceSession(result.root / "outputs" / "model" / "model.onnx")
    kinds = {"FP64": np.float64, "BYTES": object}
    inputs = {
        i["name"]: np.array(golden["inputs"][i["name"]], dtype=kinds[i["datatype"]]).reshape(-1, 1)
        for i in signature["inputs"]
    }
    label, probabilities = session.run([output["name"] for output in signature["outputs"]], inputs)
    assert (signature["outputs"][0]["datatype"], signature["classes"]) == (datatype, classes)
    assert label.tolist() == golden["outputs"]["label"]
    assert np.allclose(probabilities, golden["outputs"]["probabilities"], atol=golden["tolerance"])
    assert len(golden["outputs"]["label"]) == 50
    assert len(set(golden["outputs"]["label"])) > 1


def test_text_that_training_never_saw_is_answered(run_train: Any, dataset: Any) -> None:
    result = run_train(dataset(), features=FEATURES)

    session = onnxruntime.InferenceSession(result.root / "outputs" / "model" / "model.onnx")
    number = np.array([[1.0], [np.nan]])
    answers = session.run(
        ["probabilities"],
        {"month": number, "temp": number, "express": number, "carrier": np.array([["never seen"], [""]], dtype=object)},
    )
    assert np.isfinite(answers[0]).all()


@pytest.mark.parametrize("estimator", ["LogisticRegression", "HistGradientBoostingClassifier"])
def test_an_empty_text_of_a_parquet_file_is_a_missing_one(
    run_train: Any, checked: Any, tmp_path: Path, estimator: str
) -> None:
    path = tmp_path / "a.parquet"
    kind = "CASE range % 3 WHEN 0 THEN '' WHEN 1 THEN 'a' END"
    duckdb.sql(f"COPY (SELECT range AS id, {kind} AS kind, (range % 3 > 0)::INT AS late FROM range(300)) TO '{path}'")

    result = run_train(
        Path(checked({"a.parquet": path.read_bytes()}, target="late", keys=["id"])),
        estimator=estimator,
        features={"categorical": ["kind"]},
    )

    assert result.code == 0
    assert model(result, "run")["parity"]["maxDifference"] == pytest.approx(0, abs=1e-4)


def test_without_features_all_columns_but_keys_times_and_target_are_used(run_train: Any, dataset: Any) -> None:
    result = run_train(dataset(eventTime="when"))

    assert model(result, "run")["features"] == ["month", "temp", "carrier", "express", "delay", "grade", "group"]


def test_a_number_can_be_a_category(run_train: Any, dataset: Any) -> None:
    result = run_train(dataset(), features={"numeric": ["temp"], "categorical": ["month", "carrier"]})

    assert result.code == 0
    assert [i["datatype"] for i in model(result, "signature")["inputs"]] == ["FP64", "FP64", "BYTES"]


def test_holdout_scores_the_model_that_is_kept(run_train: Any, dataset: Any) -> None:
    result = run_train(dataset(), features=FEATURES)

    metrics, evaluation = result.output("metrics.json"), model(result, "evaluation")
    prefixes = ("test_", "train_", "baseline_", "gap_")
    assert evaluation["validation"] == {k: v for k, v in metrics.items() if not k.startswith(prefixes)}
    assert evaluation["test"]["metrics"] == {k[5:]: v for k, v in metrics.items() if k.startswith("test_")}
    assert sorted(evaluation["validation"]) == [
        "accuracy",
        "average_precision",
        "balanced_accuracy",
        "brier",
        "f1",
        "f1_macro",
        "log_loss",
        "roc_auc",
    ]
    assert sum(map(sum, evaluation["confusionMatrix"]["counts"])) == evaluation["test"]["rows"] == 90
    assert (evaluation["roc"]["fpr"][0], evaluation["roc"]["tpr"][-1]) == (0.0, 1.0)


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({}, id="stratified"),
        pytest.param({"eventTime": "when", "split": {"by": "Time"}}, id="the future from the past"),
        pytest.param({"split": {"by": "Group", "group": "group"}}, id="unseen groups from seen ones"),
    ],
)
def test_folds_are_logged_one_by_one_and_averaged(run_train: Any, dataset: Any, spec: dict[str, Any]) -> None:
    result = run_train(dataset(**spec), features=FEATURES, validation={"folds": 3})

    logged = [json.loads(line) for line in (result.root / "outputs" / "metrics.jsonl").read_text().splitlines()]
    scores = [line["value"] for line in logged if line["name"] == "roc_auc"]
    assert ([line["step"] for line in logged if line["name"] == "roc_auc"], logged[0]["name"]) == ([0, 1, 2], "roc_auc")
    assert result.output("metrics.json")["roc_auc"] == pytest.approx(np.mean(scores))
    assert result.output("metrics.json")["roc_auc_std"] == pytest.approx(np.std(scores))


@pytest.mark.parametrize("name", ["RandomForestClassifier", "MLPClassifier"])
def test_the_same_seed_gives_the_same_model(run_train: Any, dataset: Any, name: str) -> None:
    data = dataset()

    one, two = (run_train(data, estimator=name, parameters=SMALL[name], features=FEATURES) for _ in range(2))

    assert one.output("metrics.json") == two.output("metrics.json")
    for file in ("model.onnx", "golden.json", "signature.json", "baseline.json", "evaluation.json"):
        assert (one.root / "outputs/model" / file).read_bytes() == (two.root / "outputs/model" / file).read_bytes()


def test_the_baseline_is_counts_on_the_datasets_bins(run_train: Any, dataset: Any) -> None:
    data = dataset()
    result = run_train(data, features=FEATURES)

    baseline, profile = model(result, "baseline"), json.loads((data / "profile.json").read_text())
    assert baseline["features"]["temp"]["edges"] == profile["columns"]["temp"]["edges"]
    assert baseline["features"]["temp"]["counts"] == profile["columns"]["temp"]["splits"]["train"]
    assert {name: sum(counts) for name, counts in baseline["predictions"]["counts"].items()} == {
        "validation": 90,
        "test": 90,
    }
    assert len(baseline["predictions"]["edges"]) == 51
    pairs = [
        (baseline["predictions"][name][split] for name in ("positives", "counts")) for split in ("validation", "test")
    ]
    for positives, counts in pairs:
        assert 0 < sum(positives) < 90
        assert all(few <= all_rows for few, all_rows in zip(positives, counts, strict=True))


def test_the_run_is_recorded_without_asking(
    run_train: Any, dataset: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FLYWHEEL_NODE", "node-1")
    monkeypatch.setenv("FLYWHEEL_IMAGE", "runtime@sha256:1")
    monkeypatch.setenv("FLYWHEEL_GIT_REVISION", "abc")
    data = dataset()

    interrupted = tmp_path / "broken-1.0.dist-info"  # as an interrupted pip leaves it
    interrupted.mkdir()
    (interrupted / "METADATA").write_text("Metadata-Version: 2.1\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    run = model(run_train(data, features=FEATURES, parameters={"C": "0.5"}), "run")

    schema = json.loads((data / "schema.json").read_text())
    assert (run["node"], run["image"], run["gitRevision"], run["seed"]) == ("node-1", "runtime@sha256:1", "abc", 7)
    assert run["dataset"] == {"content": schema["content"], "testDigest": schema["testDigest"]}
    assert "scikit-learn" in run["packages"]
    assert run["usage"]["memoryPeakBytes"] > 0


@pytest.mark.parametrize(
    ("target", "estimator", "metric", "strategy"),
    [
        ("late", "LogisticRegression", "roc_auc", "prior"),
        ("grade", "LogisticRegression", "log_loss", "prior"),
        ("delay", "Ridge", "rmse", "mean"),
        ("delay", "Ridge", "mae", "median"),
    ],
)
@pytest.mark.parametrize("validation", [{"holdout": "Validation"}, {"folds": 3}])
def test_a_constant_prediction_and_the_train_rows_stand_beside_the_metric(
    run_train: Any,
    dataset: Any,
    target: str,
    estimator: str,
    metric: str,
    strategy: str,
    validation: dict[str, Any],
) -> None:
    result = run_train(
        dataset(target), estimator=estimator, features=FEATURES, objective={"metric": metric}, validation=validation
    )

    metrics, facts = result.output("metrics.json"), result.output("facts.json")
    assert facts["baseline"] == {"metric": metric, "value": metrics[f"baseline_{metric}"], "strategy": strategy}
    assert facts["train"] == {k.removeprefix("train_"): v for k, v in metrics.items() if k.startswith("train_")}
    sign = -1 if metric in LESS_IS_BETTER else 1
    assert sign * (metrics[metric] - metrics[f"baseline_{metric}"]) > 0
    assert metrics[f"gap_{metric}"] == pytest.approx(sign * (metrics[f"train_{metric}"] - metrics[metric]))
    assert {k: model(result, "evaluation")[k] for k in ("baseline", "train")} == {
        k: facts[k] for k in ("baseline", "train")
    }


def test_the_constant_is_scikit_learns_dummy_on_the_same_rows(run_train: Any, dataset: Any) -> None:
    data = dataset("grade")
    result = run_train(data, features=FEATURES, objective={"metric": "log_loss"})

    train, validation = (
        duckdb.read_parquet(str(data / f"{name}.parquet")).fetchnumpy()["grade"] for name in ("train", "validation")
    )
    dummy = DummyClassifier(strategy="prior").fit(np.zeros((len(train), 1)), train)
    expected = sklearn.metrics.log_loss(validation, dummy.predict_proba(np.zeros((len(validation), 1))))
    assert result.output("facts.json")["baseline"]["value"] == pytest.approx(expected)


def test_a_fold_without_the_metric_is_left_out_of_the_mean(run_train: Any, checked: Any) -> None:
    rows = "".join(
        f"2026-01-01T00:{i // 60:02d}:{i % 60:02d},{i % 7},{int(i < 420 and i % 3 == 0)}\n" for i in range(600)
    )
    data = checked(
        {"a.csv": "when,x,late\n" + rows}, target="late", eventTime="when", split={"by": "Time", "test": "10%"}
    )

    result = run_train(data, validation={"folds": 4}, objective={"metric": "f1"})

    logged = [json.loads(line) for line in (result.root / "outputs" / "metrics.jsonl").read_text().splitlines()]
    scores = [line["value"] for line in logged if line["name"] == "f1"]
    assert (result.code, len(scores)) == (0, 3)
    assert result.output("metrics.json")["f1"] == pytest.approx(np.mean(scores))


@pytest.mark.parametrize("estimator", ["Ridge", "LinearRegression"])
@pytest.mark.parametrize("alpha", ["1", "0.01"])
def test_a_target_in_millions_that_passes_zero_is_exported(
    run_train: Any, checked: Any, estimator: str, alpha: str
) -> None:
    random = np.random.default_rng(3)
    a, b, c = random.normal(0, 1, 5000), random.normal(0, 1, 5000), random.uniform(0, 5000, 5000)
    profit = 1e6 * a + 8e5 * b + 30 * (c - 2500) + random.normal(0, 1e4, 5000)
    table = "a,b,c,profit\n" + "".join(
        f"{w:.4f},{x:.4f},{y:.2f},{z:.2f}\n" for w, x, y, z in zip(a, b, c, profit, strict=True)
    )

    result = run_train(
        checked({"a.csv": table}, target="profit"),
        estimator=estimator,
        parameters={"alpha": alpha} if estimator == "Ridge" else {},
        objective={"metric": "rmse"},
    )

    assert (result.code, model(result, "run")["parity"]["rows"]) == (0, 750)
    assert model(result, "golden")["tolerance"] == pytest.approx(1e-4 * np.std(profit), rel=0.1)


def test_a_model_of_a_target_in_millionths_is_compared_in_that_unit() -> None:
    values = np.random.default_rng(1).normal(0, 1e-6, 100)

    assert target_scale(values, values) == pytest.approx(1e-6, rel=0.2)


LOST_IN_ONNX = [
    pytest.param(
        "delay", "HistGradientBoostingRegressor", {"loss": "poisson"}, "exponential", id="log link of boosting"
    ),
    pytest.param("delay", "HistGradientBoostingRegressor", {"loss": "gamma"}, "exponential", id="log link of gamma"),
    pytest.param("delay", "MLPRegressor", {"loss": "poisson"}, "converter", id="log link of a network"),
    pytest.param(
        "grade", "GradientBoostingClassifier", {"init": "zero"}, "three classes", id="no prior of three classes"
    ),
    pytest.param(
        "delay", "HistGradientBoostingRegressor", {"categorical_features": "[0]"}, "branches", id="categories"
    ),
]


@pytest.mark.parametrize(("target", "estimator", "parameters", "finding"), LOST_IN_ONNX)
def test_a_setting_that_the_export_would_lose_is_refused_before_the_fit(
    run_train: Any, dataset: Any, target: str, estimator: str, parameters: dict[str, Any], finding: str
) -> None:
    metric = "rmse" if target == "delay" else "roc_auc"
    result = run_train(dataset(target), estimator=estimator, parameters=parameters, objective={"metric": metric})

    assert (result.code, result.failure["reason"]) == (1, "ParameterRefused")
    assert all(part in result.failure["message"] for part in (estimator, next(iter(parameters)), finding, "ONNX"))
    assert not (result.root / "outputs" / "metrics.jsonl").exists()


def test_a_setting_is_refused_only_where_it_is_lost(run_train: Any, dataset: Any) -> None:
    result = run_train(
        dataset("late"), estimator="GradientBoostingClassifier", parameters={"init": "zero", "n_estimators": 10}
    )

    assert result.code == 0


REFUSED = [
    pytest.param(
        {"estimator": "SVC"}, 2, "EstimatorNotAllowed", ["'SVC'", "LogisticRegression"], id="not in the table"
    ),
    pytest.param({"estimator": "Ridge"}, 2, "EstimatorNotAllowed", ["Classification"], id="of the other task"),
    pytest.param({"parameters": {"C": -1}}, 1, "ParameterRefused", ["'C'", "must be", "-1"], id="a value out of range"),
    pytest.param({"parameters": {"CC": 1}}, 1, "ParameterRefused", ["'CC'"], id="a name that does not exist"),
    pytest.param(
        {"parameters": {"solver": "liblinear", "l1_ratio": "0.5"}},
        1,
        "ParameterRefused",
        ["liblinear"],
        id="values that do not go together",
    ),
    pytest.param(
        {"estimator": "HistGradientBoostingClassifier", "parameters": {"max_features": 1}},
        1,
        "ParameterRefused",
        ["max_features"],
        id="an int where a float is meant",
    ),
    pytest.param(
        {"estimator": "HistGradientBoostingClassifier", "parameters": {"categorical_features": "[0]"}},
        1,
        "ParameterRefused",
        ["ONNX"],
        id="a parameter that ONNX loses",
    ),
    pytest.param({"objective": {"metric": "auc"}}, 2, "MetricUnknown", ["'auc'", "roc_auc"], id="an unknown metric"),
    pytest.param(
        {"objective": {"metric": "rmse"}}, 2, "MetricUnknown", ["Classification"], id="a metric of the other task"
    ),
    pytest.param({"task": "Regression"}, 2, "TaskMismatch", ["'late'"], id="a task that the target is not for"),
    pytest.param(
        {"features": {"numeric": ["speed"]}}, 2, "FeatureMissing", ["'speed'", "month"], id="a missing feature"
    ),
    pytest.param(
        {"features": {"numeric": ["carrier"]}}, 2, "FeatureInvalid", ["features.categorical"], id="text as a number"
    ),
    pytest.param(
        {"features": {"numeric": ["late"]}}, 2, "FeatureInvalid", ["the target"], id="the target as a feature"
    ),
    pytest.param({"validation": {"folds": 1}}, 2, "FoldsInvalid", ["at least 2"], id="one fold"),
]


@pytest.mark.parametrize(("params", "code", "reason", "words"), REFUSED)
def test_what_cannot_work_is_refused(
    run_train: Any, dataset: Any, params: dict[str, Any], code: int, reason: str, words: list[str]
) -> None:
    result = run_train(dataset(), **{"features": FEATURES} | params)

    assert (result.code, result.failure["reason"]) == (code, reason)
    assert [word for word in words if word not in result.failure["message"]] == [], result.failure["message"]

"""Performance estimated from logged rows: a regression by its loss model, and a model of three classes by its confidence."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flywheel_runtime.models.golden_rows import run_model
from tests.runtime.monitoring.row_files import THREE_CLASSES, VALUE, write_rows

pytestmark = pytest.mark.integration

VERSION = "delay-1"
MAE = {"estimatedPerformance": {"metric": "mae", "maxDrop": "0.1"}}
FILES = ("baseline.json", "signature.json", "loss_model.json", "loss_model.onnx")


def draw(random: np.random.Generator, rows: int, shift: float = 0.0) -> dict[str, Any]:
    """Features of which `wind` decides how large the errors are; `shift` moves it."""
    table: dict[str, Any] = {"distance": random.normal(size=rows), "wind": random.normal(shift, 1, rows)}
    table["carrier"] = random.choice(np.array(["UA", "DL"], object), rows)
    return table


def true_target(random: np.random.Generator, table: dict[str, Any]) -> np.ndarray:
    noise = random.normal(size=len(table["wind"])) * (0.3 + 1.5 / (1 + np.exp(-2 * table["wind"])))
    return np.asarray(3 * table["distance"] + (table["carrier"] == "UA") + noise)


@dataclass
class Trained:
    """A regression in service, which logs all rows."""

    monitored: Any
    model: Path

    def predict(self, table: dict[str, Any]) -> np.ndarray:
        inputs = {name: values[:, None] for name, values in table.items()}
        return np.asarray(run_model((self.model / "model.onnx").read_bytes(), inputs)["prediction"])

    def serve(self, rows: int = 3_000, shift: float = 0.0, dropped: str = "") -> tuple[dict[str, Any], np.ndarray]:
        table = draw(self.monitored.generator, rows, shift)
        score = self.predict(table)
        for minute in range(0, 60, 5):
            part = slice(minute * rows // 60, (minute + 5) * rows // 60)
            counted = {name: values[part] for name, values in table.items()} | {"score": score[part]}
            self.pod.serve(counted, self.monitored.start.replace(minute=minute))
        logged = {name: values for name, values in table.items() if name != dropped} | {"score": score}
        file = self.monitored.root / "inputs" / "rows" / f"{self.monitored.windows}.parquet"
        write_rows(file, VERSION, self.monitored.start, logged, outputs=VALUE)
        return table, score

    def __post_init__(self) -> None:
        self.pod = self.monitored.add_pod(
            version=VERSION, baseline=json.loads((self.model / "baseline.json").read_text())
        )
        self.monitored.add_version(self.pod)
        self.monitored.versions = [VERSION]
        for name in FILES[1:]:
            shutil.copy(self.model / name, self.monitored.root / "inputs" / f"version-{VERSION}" / name)


@pytest.fixture
def trained(checked: Any, run_train: Any, monitored: Any, monkeypatch: pytest.MonkeyPatch) -> Trained:
    random = np.random.default_rng(1)
    table = draw(random, 6_000)
    table["delay"] = true_target(random, table)
    lines = [",".join(str(each) for each in row) for row in zip(range(6_000), *table.values(), strict=True)]
    data = checked({"a.csv": "\n".join([",".join(["id", *table]), *lines]) + "\n"}, target="delay", keys=["id"])
    result = run_train(data, estimator="Ridge", objective={"metric": "mae"})
    assert result.code == 0, result.failure
    monkeypatch.setenv("FLYWHEEL_ROOT", str(monitored.root))
    return Trained(monitored, result.root / "outputs" / "model")


def test_the_estimated_error_of_a_regression_follows_the_true_one(trained: Trained) -> None:
    trained.serve()
    quiet = trained.monitored.run(signals=MAE)
    for _ in range(4):
        table, score = trained.serve(shift=1.5)
        report = trained.monitored.run(signals=MAE)
    truth = float(np.abs(true_target(np.random.default_rng(2), table) - score).mean())

    assert quiet["signals"]["estimatedPerformance"]["state"] == "True", quiet["signals"]
    window = report["estimatedPerformance"]["windows"][-1]
    assert window["value"] == pytest.approx(truth, rel=0.12)
    assert truth > window["reference"] + 0.3
    (found,) = [each for each in report["findings"] if each["signal"] == "estimatedPerformance"]
    assert (found["subject"], found["measure"]) == ("mae", "estimatedDrop")


def test_rmse_is_estimated_by_squared_errors(trained: Trained) -> None:
    table, score = trained.serve(rows=6_000)
    report = trained.monitored.run(signals={"estimatedPerformance": {"metric": "rmse", "maxDrop": "0.2"}})
    truth = float(((true_target(np.random.default_rng(3), table) - score) ** 2).mean() ** 0.5)

    assert report["estimatedPerformance"]["windows"][-1]["value"] == pytest.approx(truth, rel=0.07)


def unknown(trained: Trained, signals: dict[str, Any]) -> tuple[str, str]:
    trained.monitored.run(signals=signals)
    signal = trained.monitored.facts["signals"]["estimatedPerformance"]
    assert signal["state"] == "Unknown"
    return signal["reason"], signal["message"]


def test_what_keeps_the_estimate_of_a_regression_away_is_the_reason(trained: Trained) -> None:
    trained.serve()
    assert (
        unknown(trained, {"estimatedPerformance": {"metric": "roc_auc", "maxDrop": "0.1"}})[0] == "MetricNotEstimable"
    )
    trained.serve(dropped="wind")
    reason, message = unknown(trained, MAE)
    assert reason == "ColumnNotLogged"
    assert "'wind'" in message
    shutil.rmtree(trained.monitored.root / "inputs" / "rows")
    trained.serve()
    shutil.rmtree(trained.monitored.root / "inputs" / "rows")
    assert unknown(trained, MAE)[0] == "RowsNotLogged"
    (trained.monitored.root / "inputs" / f"version-{VERSION}" / "loss_model.json").unlink()
    trained.serve()
    reason, message = unknown(trained, MAE)
    assert reason == "LossModelMissing"
    assert "train it again" in message


def test_the_same_training_gives_the_same_loss_model(trained: Trained, run_train: Any) -> None:
    again = run_train(
        (trained.model.parent.parent / "inputs" / "data").resolve(), estimator="Ridge", objective={"metric": "mae"}
    )

    for name in ("loss_model.json", "loss_model.onnx"):
        assert (again.root / "outputs" / "model" / name).read_bytes() == (trained.model / name).read_bytes()


def classify(random: np.random.Generator, rows: int, sureness: float) -> dict[str, Any]:
    """Probabilities of three classes, the surer the larger `sureness` is."""
    drawn = random.dirichlet([1.0, 1.0, 1.0], rows) ** sureness
    drawn /= drawn.sum(axis=1, keepdims=True)
    return {"x0": random.normal(size=rows), "score": drawn[:, 0], "other": drawn[:, 1]}


ACCURACY = {"estimatedPerformance": {"metric": "accuracy", "maxDrop": "0.05"}}


@dataclass
class ThreeClasses:
    """A service that answers with three classes, whose rows are logged in the hours that say so."""

    monitored: Any

    def __post_init__(self) -> None:
        self.random, edges = np.random.default_rng(4), np.linspace(0, 1, 51)
        confidence = confidence_of(classify(self.random, 20_000, 2.0))
        counts = np.histogram(confidence, edges)[0]
        correct = np.histogram(confidence[self.random.random(20_000) < confidence], edges)[0]
        self.monitored.baseline["predictions"]["confidence"] = {
            "edges": edges.tolist(),
            "counts": {"test": counts.tolist()},
            "correct": {"test": correct.tolist()},
        }
        folder = self.monitored.root / "inputs" / f"version-{self.monitored.pod.version}"
        (folder / "baseline.json").write_text(json.dumps(self.monitored.baseline))
        (folder / "signature.json").write_text(json.dumps({"task": "Classification", "classes": ["a", "b", "c"]}))

    def log(self, table: dict[str, Any], outputs: str = THREE_CLASSES, part: str = "") -> None:
        file = self.monitored.root / "inputs" / "rows" / f"{self.monitored.windows}{part}.parquet"
        write_rows(file, self.monitored.pod.version, self.monitored.start, table, outputs=outputs)

    def run(self, *sureness: float) -> dict[str, Any]:
        """Hours of these, and the report of the last."""
        for each in sureness:
            self.monitored.serve_hour()
            self.log(classify(self.random, 2_000, each))
            report: dict[str, Any] = self.monitored.run(signals=ACCURACY)
        return report

    @property
    def evidence(self) -> dict[str, Any]:
        """The states of the tests of estimated performance, by the names of their streams."""
        state = json.loads((self.monitored.root / "inputs" / "state" / "state.json").read_text())
        return {name: each for name, each in state["streams"].items() if "/estimatedPerformance/" in name}

    @property
    def since(self) -> str:
        """Since when the finding is there."""
        (found,) = self.monitored.facts["findings"]
        return str(found["since"])


def confidence_of(table: dict[str, Any]) -> np.ndarray:
    """The probability (rows,) of the predicted class."""
    probabilities = [table["score"], table["other"], 1 - table["score"] - table["other"]]
    return np.asarray(np.stack(probabilities, axis=1).max(axis=1))


@pytest.fixture
def three_classes(monitored: Any) -> ThreeClasses:
    return ThreeClasses(monitored)


def test_less_confidence_in_three_classes_is_a_finding_of_accuracy(three_classes: ThreeClasses) -> None:
    quiet = three_classes.run(2.0, 2.0)
    three_classes.run(0.8, 0.8, 0.8)
    monitored = three_classes.monitored
    monitored.serve_hour()
    now = classify(three_classes.random, 2_000, 0.8)
    three_classes.log(now)
    report = monitored.run(signals=ACCURACY)

    assert quiet["signals"]["estimatedPerformance"]["state"] == "True"
    assert report["signals"]["estimatedPerformance"]["state"] == "False"
    assert report["estimatedPerformance"]["windows"][-1]["value"] == pytest.approx(confidence_of(now).mean(), abs=0.02)
    monitored.run_hour(signals={"estimatedPerformance": {"metric": "roc_auc", "maxDrop": "0.05"}})
    assert monitored.facts["signals"]["estimatedPerformance"]["reason"] == "MetricNotEstimable"
    assert monitored.facts["findings"] == []


@pytest.mark.parametrize("night", ["no file", "no rows of its version", "rows of other columns"])
def test_hours_without_a_row_keep_the_finding_and_say_nothing_new(three_classes: ThreeClasses, night: str) -> None:
    three_classes.run(2.0, 2.0, 0.8, 0.8, 0.8, 0.8)
    monitored, since = three_classes.monitored, three_classes.since
    shutil.rmtree(monitored.root / "inputs" / "rows")
    for _ in range(3):
        monitored.serve_hour()
        table = classify(three_classes.random, 100, 0.8)
        if night == "rows of other columns":
            three_classes.log(table, outputs="{'label': 1}")
        elif night == "no rows of its version":
            file = monitored.root / "inputs" / "rows" / "other.parquet"
            write_rows(file, "other-1", monitored.start, table, outputs=THREE_CLASSES)
        monitored.run(signals=ACCURACY)
        assert monitored.facts["signals"]["estimatedPerformance"]["state"] == "False"
        assert three_classes.since == since
    three_classes.run(0.8)

    assert three_classes.since == since


def test_evidence_goes_on_after_hours_without_a_row(three_classes: ThreeClasses) -> None:
    three_classes.run(2.0, 2.0)
    monitored, before = three_classes.monitored, three_classes.evidence
    shutil.rmtree(monitored.root / "inputs" / "rows")
    monitored.run_hour(signals=ACCURACY)

    assert monitored.facts["signals"]["estimatedPerformance"]["reason"] == "RowsNotLogged"
    assert three_classes.evidence == before != {}


def test_a_file_without_the_probabilities_keeps_no_other_away(three_classes: ThreeClasses) -> None:
    three_classes.monitored.serve_hour()
    three_classes.log(classify(three_classes.random, 100, 2.0), outputs="{'label': 1}", part="-before")
    report = three_classes.run(2.0, 2.0)

    assert report["signals"]["estimatedPerformance"]["state"] == "True"

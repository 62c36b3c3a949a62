"""Models that were not trained here: called by the inputs that they declare, or refused with a sentence."""

from pathlib import Path
from typing import Any

import pytest

from flywheel_runtime.commands.evaluate import main as evaluate
from tests.runtime.commands.flights import flights
from tests.runtime.commands.month_models import onnx_of_month

pytestmark = pytest.mark.integration


@pytest.fixture
def dataset(checked: Any) -> Any:
    def build(target: str = "late") -> Path:
        return Path(checked({"a.csv": flights(2000)}, target=target, keys=["id"]))

    return build


def test_a_model_without_a_signature_is_called_by_its_own_inputs(run_step: Any, dataset: Any, tmp_path: Path) -> None:
    (tmp_path / "own.onnx").write_bytes(onnx_of_month())

    result = run_step(evaluate, {"model": tmp_path, "data": dataset()}, metric="roc_auc", path="own.onnx")

    assert result.code == 0, result.failure
    assert result.output("metrics.json")["roc_auc"] > 0.6


def test_rows_without_a_finite_answer_have_failed_and_are_counted(run_step: Any, dataset: Any, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(onnx_of_month(finite_from=4))

    result = run_step(evaluate, {"model": tmp_path, "data": dataset()}, metric="roc_auc", by=["month"])

    assert result.code == 0, result.failure
    report = result.output("evaluation/report.json")
    assert report["failedRows"] > 0
    assert report["whole"]["rows"] + report["failedRows"] == 299
    assert result.output("metrics.json")["failed_rows"] == report["failedRows"]
    by_month = {each["value"]: each for each in report["slices"]["month"]["values"]}
    assert by_month["1"]["rows"] == 0
    assert sum(each.get("failedRows", 0) for each in by_month.values()) == report["failedRows"]


def test_a_model_without_any_finite_answer_is_refused(run_step: Any, dataset: Any, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(onnx_of_month(finite_from=99))

    result = run_step(evaluate, {"model": tmp_path, "data": dataset()}, metric="roc_auc")

    assert (result.code, result.failure["reason"]) == (2, "AnswersNotFinite")
    assert "no finite answer to any of the 299 test rows" in result.failure["message"]


@pytest.mark.parametrize(
    ("signature", "code"),
    [
        pytest.param('{"inputs": [{"name": "month"}]}', 0, id="which says no more than its inputs"),
        pytest.param('{"inputs": "month"}', "SignatureInvalid", id="whose inputs are none"),
        pytest.param("[1]", "SignatureInvalid", id="that is none"),
        pytest.param('{"inputs": [{"name": "month"}], "task": "Regression"}', "DataMismatch", id="of another task"),
        pytest.param('{"inputs": [{"name": "months"}]}', "DataMismatch", id="of other columns"),
        pytest.param('{"inputs": [{"name": "month"}], "classes": ["0"]}', "ModelNotScorable", id="of fewer classes"),
        pytest.param(
            '{"inputs": [{"name": "month"}], "classes": ["0", "7"]}', "ModelNotScorable", id="of other classes"
        ),
    ],
)
def test_a_signature(run_step: Any, dataset: Any, tmp_path: Path, signature: str, code: int | str) -> None:
    (tmp_path / "model.onnx").write_bytes(onnx_of_month())
    (tmp_path / "signature.json").write_text(signature)

    result = run_step(evaluate, {"model": tmp_path, "data": dataset()}, metric="accuracy")

    assert (result.failure["reason"] if result.code else 0) == code


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        pytest.param({"path": "none.onnx"}, "ModelMissing", id="no model"),
        pytest.param({"path": "../model.onnx"}, "PathInvalid", id="a path that leaves"),
        pytest.param({"path": "other.onnx"}, "ModelNotScorable", id="other outputs"),
        pytest.param({"path": "broken.onnx"}, "ModelNotLoadable", id="no ONNX"),
        pytest.param({"metric": "rmse"}, "MetricUnknown", id="a metric of another task"),
        pytest.param({"by": ["carier"]}, "ColumnMissing", id="a column that is not there"),
    ],
)
def test_what_cannot_be_evaluated(
    run_step: Any, dataset: Any, tmp_path: Path, params: dict[str, Any], reason: str
) -> None:
    (tmp_path / "own.onnx").write_bytes(onnx_of_month())
    (tmp_path / "other.onnx").write_bytes(onnx_of_month("scores"))
    (tmp_path / "broken.onnx").write_bytes(b"no model")

    result = run_step(evaluate, {"model": tmp_path, "data": dataset()}, **({"path": "own.onnx"} | params))

    assert (result.code, result.failure["reason"]) == (2, reason)


def test_data_that_no_model_can_be_evaluated_on(run_step: Any, checked: Any, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(onnx_of_month())
    none = checked({"a.csv": flights()}, keys=["id"])
    untested = checked({"a.csv": flights()}, target="late", split={"by": "Random", "validation": "20%", "test": "0%"})

    reasons = [
        run_step(evaluate, {"model": tmp_path, "data": data}).failure["reason"] for data in (none, untested, tmp_path)
    ]

    assert reasons == ["TargetMissing", "DataMismatch", "InputInvalid"]

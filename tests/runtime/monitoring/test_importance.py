"""The order of columns in a monitor's report: by their shift times their importance."""

import json
from pathlib import Path
from typing import Any

import pytest

from flywheel_runtime.monitoring.report.importance import ImportanceOfColumns, rank_columns, read_importance

MEASURED = ImportanceOfColumns("roc_auc", {"month": 0.2, "carrier": 0.1, "noise": -0.001})


def column(name: str, psi: float | None, version: str = "delay-1", *, is_prediction: bool = False) -> dict[str, Any]:
    return {"name": name, "version": version, "psi": psi, "isPrediction": is_prediction}


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        pytest.param([column("noise", 3.0), column("month", 0.1)], ["month", "noise"], id="a shift that the model does not read is last"),
        pytest.param([column("carrier", 0.3), column("month", 0.2)], ["month", "carrier"], id="importance times effect"),
        pytest.param([column("carrier", 0.5), column("month", 0.2)], ["carrier", "month"], id="a large shift of a minor column"),
        pytest.param([column("month", 0.2), column("(prediction)", 0.3, is_prediction=True)], ["(prediction)", "month"], id="the prediction counts as the most important"),
        pytest.param([column("month", 0.2), column("b", 0.3, "old-1")], ["b", "month"], id="a version of an earlier release has effects alone"),
        pytest.param([column("noise", None), column("month", None)], ["month", "noise"], id="no effects"),
        pytest.param([column("new", 0.9), column("month", 0.1)], ["month", "new"], id="a column that was not measured"),
    ],
)  # fmt: skip
def test_columns_are_sorted_by_importance_times_effect(columns: list[dict[str, Any]], expected: list[str]) -> None:
    assert [each["name"] for each in rank_columns(columns, {"delay-1": MEASURED})] == expected


def test_a_model_that_needs_no_column_has_its_effects_in_their_order() -> None:
    none = ImportanceOfColumns("roc_auc", {"month": 0.0, "carrier": -0.01})

    ranked = rank_columns([column("carrier", 0.1), column("month", 0.3)], {"delay-1": none})

    assert [each["name"] for each in ranked] == ["month", "carrier"]


@pytest.mark.parametrize(
    "content", [None, "{", "[]", '{"metric": "roc_auc"}', '{"metric": "rmse", "features": [{"name": "x"}]}']
)
def test_a_file_that_cannot_be_read_is_none(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "permutation_importance.json").write_text(content)

    assert read_importance(tmp_path) is None


def test_what_training_wrote_is_read(tmp_path: Path) -> None:
    features = [{"name": "month", "importance": 0.02, "deviation": 0.001}]
    (tmp_path / "permutation_importance.json").write_text(
        json.dumps({"v": 1, "metric": "roc_auc", "features": features})
    )

    assert read_importance(tmp_path) == ImportanceOfColumns("roc_auc", {"month": 0.02})

"""Permutation importance of a model whose formula is known, and beside scikit-learn's of the same rows."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.inspection import permutation_importance as sklearn_importance

from flywheel_runtime.models.inspection import permutation_importance
from flywheel_runtime.models.inspection.permutation_importance import REPEATS, measure_importance
from flywheel_runtime.models.inspection.sample import draw_sample
from flywheel_runtime.models.onnx_model import OnnxModel
from flywheel_runtime.models.test_set import TestSet


def importances(document: Any) -> dict[str, float]:
    return {each["name"]: each["importance"] for each in document["features"]}


@pytest.mark.parametrize("metric", ["rmse", "mae", "r2"])
def test_a_column_that_the_model_does_not_read_has_none(model: OnnxModel, test_set: TestSet, metric: str) -> None:
    document = measure_importance(model, test_set, metric)

    assert document is not None
    assert [each["name"] for each in document["features"]] == ["carrier", "a", "b"]
    assert importances(document)["b"] == 0
    assert importances(document)["a"] > 0.1
    assert (document["metric"], document["repeats"], document["rows"]) == (metric, REPEATS, 600)


def test_the_same_model_and_rows_give_the_same_document(model: OnnxModel, test_set: TestSet) -> None:
    assert measure_importance(model, test_set, "rmse") == measure_importance(model, test_set, "rmse")


class Formula(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """The model for scikit-learn: carrier as a number, 1 where it is UA."""

    def fit(self, x: Any, y: Any) -> "Formula":
        return self

    def predict(self, x: Any) -> Any:
        return 3 * x[:, 0] + 5 * x[:, 2]


def test_importances_are_those_of_scikit_learn(model: OnnxModel, test_set: TestSet) -> None:
    sample = draw_sample(model, test_set, 600)
    ua = (sample.inputs["carrier"] == "UA").astype(float)
    x = np.hstack([sample.inputs["a"], np.nan_to_num(sample.inputs["b"]), ua])
    expected = sklearn_importance(
        Formula().fit(x, sample.y_true), x, sample.y_true, scoring="neg_root_mean_squared_error", n_repeats=30, random_state=0
    )  # fmt: skip

    document = measure_importance(model, test_set, "rmse")

    found = importances(document)
    for number, name in enumerate(("a", "b", "carrier")):
        tolerance = 4 * expected.importances_std[number]
        assert found[name] == pytest.approx(expected.importances_mean[number], abs=tolerance), name


def test_a_metric_without_a_value_gives_way_to_the_next(model: OnnxModel, test_set: TestSet) -> None:
    constant = replace(test_set)
    vars(constant)["y_true"] = np.zeros(600)  # r2 of a constant target has no value

    document = measure_importance(model, constant, "r2")

    assert document is not None
    assert document["metric"] == "rmse"


def test_columns_beyond_the_time_limit_are_named(
    model: OnnxModel, test_set: TestSet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(permutation_importance, "TIME_LIMIT_SECONDS", -1.0)

    document = measure_importance(model, test_set, "rmse")

    assert document is not None
    assert (document["features"], document["unmeasured"]) == ([], ["a", "b", "carrier"])
    assert "importance is measured in part" in capsys.readouterr().out


@pytest.mark.parametrize("rows", [1_000, 600, 300, 7, 1])
def test_a_sample_has_a_row_of_each_stretch_of_the_split(model: OnnxModel, test_set: TestSet, rows: int) -> None:
    found = draw_sample(model, test_set, rows)

    stretches = np.array_split(test_set.y_true, min(rows, 600))
    assert len(found) == len(stretches)
    assert all(
        value in stretch for value, stretch in zip(found.y_true, stretches, strict=True) if rows in (600, 300, 1)
    )


def test_a_sample_does_not_follow_a_cycle_of_the_rows(model: OnnxModel, test_set: TestSet) -> None:
    assert set(draw_sample(model, test_set, 200).inputs["carrier"][:, 0]) == {
        "AA",
        "DL",
        "UA",
    }  # they repeat every third row

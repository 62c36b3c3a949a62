"""Partial dependence of a model whose formula is known."""

from dataclasses import replace

import numpy as np
import pytest

from flywheel_runtime.models.inspection.partial_dependence import GRID_POINTS, measure_partial_dependence
from flywheel_runtime.models.onnx_model import OnnxModel
from flywheel_runtime.models.test_set import TestSet


def test_a_number_has_the_slope_of_the_formula(model: OnnxModel, test_set: TestSet) -> None:
    document = measure_partial_dependence(model, test_set, ["a"])

    assert document is not None
    feature = document["features"][0]
    assert (feature["name"], feature["type"], document["outputs"]) == ("a", "Number", ["prediction"])
    assert len(feature["gridValues"]) == GRID_POINTS
    slopes = np.diff(feature["average"][0]) / np.diff(feature["gridValues"])
    assert slopes == pytest.approx(3, abs=1e-3)


def test_categories_are_the_most_frequent_values(model: OnnxModel, test_set: TestSet) -> None:
    document = measure_partial_dependence(model, test_set, ["carrier"])

    assert document is not None
    feature = document["features"][0]
    averages = dict(zip(feature["gridValues"], feature["average"][0], strict=True))
    assert set(averages) == {"AA", "DL", "UA"}
    assert averages["UA"] - averages["AA"] == pytest.approx(5)
    assert averages["DL"] == averages["AA"]


def test_missing_values_are_no_point_of_the_grid(model: OnnxModel, test_set: TestSet) -> None:
    document = measure_partial_dependence(model, test_set, ["b"])

    assert document is not None
    assert np.isfinite(document["features"][0]["gridValues"]).all()
    assert len(set(document["features"][0]["average"][0])) == 1


def test_a_column_with_one_value_has_no_grid(model: OnnxModel, test_set: TestSet) -> None:
    document = measure_partial_dependence(model, replace(test_set, max_rows=1), ["a", "b", "carrier"])

    assert document is not None
    assert document["features"] == []

"""When two responses agree, by how much they differ, and the examples that differ most."""

import json
from functools import partial
from typing import Any

import numpy as np
import pytest

from flywheel_serving.model.datatypes import Array
from flywheel_serving.route.comparison import Comparison, compare
from flywheel_serving.route.top_differences import MAX_EXAMPLE_BYTES, MAX_EXAMPLES, TopDifferences, example_values

NAN, INF = float("nan"), float("inf")


def floats(*values: float) -> Array:
    return np.array(values, np.float32)


def texts(*values: str) -> Array:
    return np.array(values, object)


@pytest.mark.parametrize(
    ("champion", "challenger", "wanted"),
    [
        pytest.param(floats(1, 2), floats(1, 2), Comparison(True, 0.0, 0), id="the same"),
        pytest.param(floats(1, 100), floats(1, 100.5), Comparison(True, 0.5, 1), id="within the relative tolerance"),
        pytest.param(floats(0, 0), floats(0, 0.125), Comparison(True, 0.125, 1), id="within the absolute one"),
        pytest.param(floats(1, 2), floats(1, 4), Comparison(False, 2.0, 1), id="a number"),
        pytest.param(
            floats(1000, 2), floats(1009, 4), Comparison(False, 2.0, 1), id="what is tolerated is not the worst"
        ),
        pytest.param(floats(NAN, INF), floats(NAN, INF), Comparison(True, 0.0, 0), id="both are not finite"),
        pytest.param(floats(1, 2), floats(1, NAN), Comparison(False, INF, 1), id="NaN for a number"),
        pytest.param(floats(NAN, 2), floats(1, 2), Comparison(False, INF, 0), id="a number for NaN"),
        pytest.param(floats(INF, 2), floats(1, 2), Comparison(False, INF, 0), id="a number for infinity"),
        pytest.param(floats(INF, 2), floats(-INF, 2), Comparison(False, INF, 0), id="the other infinity"),
        pytest.param(np.array([1, 2]), np.array([1, 9]), Comparison(False, 1.0, 1), id="a class"),
        pytest.param(np.array([True]), np.array([False]), Comparison(False, 1.0, 0), id="a truth"),
        pytest.param(texts("a", "b"), texts("a", "c"), Comparison(False, 1.0, 1), id="a text"),
        pytest.param(floats(1), floats(1, 2), Comparison(False, INF, 0), id="another shape"),
        pytest.param(floats(), floats(), Comparison(True, 0.0, 0), id="nothing"),
        pytest.param(np.array(1.0), np.array(3.0), Comparison(False, 2.0, 0), id="one number"),
    ],
)
def test_compare(champion: Array, challenger: Array, wanted: Comparison) -> None:
    assert compare([champion], [challenger], absolute=0.125, relative=0.01) == wanted


def test_the_output_that_differs_most_names_the_row() -> None:
    champion = [np.array([0, 0, 0]), np.zeros((3, 2), np.float32)]
    challenger = [np.array([0, 1, 0]), np.array([[0, 0], [0, 2], [5, 0]], np.float32)]

    assert compare(champion, challenger, 1e-6, 1e-3) == Comparison(False, 5.0, 2)


def test_the_largest_differences_are_ranked() -> None:
    worst = TopDifferences()
    for number in [*range(0, 50, 2), INF, *range(1, 50, 2)]:
        worst.add(float(number), partial(dict, id=str(number)))

    kept = worst.examples()
    assert [one["id"] for one in kept] == ["inf", *(str(number) for number in range(49, 49 - MAX_EXAMPLES + 1, -1))]
    assert kept[0]["difference"] is None
    assert kept[1]["difference"] == 49.0
    json.loads(json.dumps(kept, allow_nan=False))


@pytest.mark.parametrize(
    ("array", "wanted"),
    [
        pytest.param(floats(1, 2.5), [1.0, 2.5], id="numbers"),
        pytest.param(texts("a"), ["a"], id="text"),
        pytest.param(np.array([[1, 2], [3, 4]]), [1, 2, 3, 4], id="flat"),
    ],
)
def test_values_are_logged_unchanged(array: Array, wanted: list[Any]) -> None:
    assert example_values(array) == wanted


@pytest.mark.parametrize(
    "array", [np.arange(100_000), texts("\u0001" * 5_000), texts(*["ä" * 300] * 9)], ids=["many", "long", "both"]
)
def test_values_are_cut_to_one_kibibyte(array: Array) -> None:
    cut = example_values(array)

    assert cut
    assert len(json.dumps(cut, ensure_ascii=False, separators=(",", ":")).encode()) <= MAX_EXAMPLE_BYTES

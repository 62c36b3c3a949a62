"""The expected calibration error: small examples that can be counted by hand, and what must always hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel_runtime.statistics.calibration import expected_calibration_error, reliability
from flywheel_runtime.statistics.metrics import Array, ScoredRows
from tests.examples import examples


def scored(y_true: Array, probabilities: Array) -> ScoredRows:
    return ScoredRows(y_true, probabilities.argmax(axis=1), probabilities)


def binary(y_true: Array, probability: Array) -> ScoredRows:
    return scored(y_true, np.stack([1 - probability, probability], axis=1))


def test_the_error_is_weighted_by_the_rows_of_its_bins() -> None:
    # Two bins are used: at 0.9, where 3 of 4 are true, and at 0.1, where none of 4 is: (|3 - 3.6| + |0 - 0.4|) / 8.
    probability = np.array([0.9] * 4 + [0.1] * 4)
    y_true = np.array([1, 1, 1, 0, 0, 0, 0, 0])

    assert expected_calibration_error(binary(y_true, probability)) == pytest.approx(0.125)


def test_there_are_fifteen_bins_of_equal_width() -> None:
    edges = np.linspace(0, 1, 16)
    middles = (edges[1:] + edges[:-1]) / 2

    found = reliability(np.arange(15) % 2, middles)
    # Two neighbours that fewer bins would join, one true and one not: each bin has its own error.
    neighbours = reliability(np.array([1, 0]), np.array([1 / 15 - 1e-9, 1 / 15 + 1e-9]))

    assert found.rows.tolist() == [1] * 15
    assert found.mean_probability == pytest.approx(middles)
    assert neighbours.error == pytest.approx(0.5, abs=1e-6)
    assert neighbours.rows.tolist() == [1, 1]
    # More bins would divide the second of the fifteen.
    assert reliability(np.array([1, 0]), np.array([1 / 15 + 1e-9, 2 / 15 - 1e-9])).rows.tolist() == [2]


@pytest.mark.parametrize("probability", [0.0, 1.0, -1e-7, 1 + 1e-7])
def test_a_probability_at_an_end_is_in_the_bin_at_that_end(probability: float) -> None:
    assert reliability(np.array([0]), np.array([probability])).error == pytest.approx(probability, abs=1e-6)


def test_of_more_classes_the_most_probable_one_counts() -> None:
    probabilities = np.array([[0.8, 0.1, 0.1]] * 5)

    assert expected_calibration_error(scored(np.array([0, 0, 0, 0, 1]), probabilities)) == pytest.approx(0)
    assert expected_calibration_error(scored(np.array([1, 1, 1, 1, 1]), probabilities)) == pytest.approx(0.8)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=examples(50), deadline=None)
def test_certain_and_right_is_calibrated_and_certain_and_wrong_is_not(seed: int) -> None:
    y_true = np.random.default_rng(seed).integers(0, 2, 50)

    assert expected_calibration_error(binary(y_true, y_true.astype(float))) == 0
    assert expected_calibration_error(binary(y_true, 1.0 - y_true)) == 1


def test_a_probability_of_one_belongs_to_the_last_bin() -> None:
    found = reliability(np.array([1, 0]), np.array([1.0, 0.95]))

    assert found.rows.tolist() == [2]
    assert found.error == pytest.approx(0.475)

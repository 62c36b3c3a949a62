"""Slices, parity and calibration: small examples that can be counted by hand, and what must always hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel_runtime.statistics.calibration import expected_calibration_error
from flywheel_runtime.statistics.groups import gap, positive_rates, slices
from flywheel_runtime.statistics.metrics import Answers
from tests.examples import examples

TRUTH = np.array([1, 1, 0, 0, 1, 1, 1, 0])
FOUND = np.array([1, 1, 1, 0, 1, 0, 0, 0])
SEX = np.array(["f", "f", "f", "f", "m", "m", "m", "m"])


def test_demographic_parity_compares_how_often_groups_are_answered_positive() -> None:
    found = positive_rates("DemographicParity", TRUTH, FOUND, 1, SEX, least_rows=2)

    assert found.values == {"f": 0.75, "m": 0.25}
    assert gap(found.values) == 0.5


def test_equal_opportunity_asks_only_those_who_are_positive() -> None:
    found = positive_rates("EqualOpportunity", TRUTH, FOUND, 1, SEX, least_rows=2)

    assert found.values == {"f": 1.0, "m": pytest.approx(1 / 3)}
    assert found.rows == {"f": 2, "m": 3}


def test_groups_with_few_rows_are_left_out_and_counted() -> None:
    groups = np.array(["a"] * 5 + ["b"] * 2 + ["c"])
    found = positive_rates("DemographicParity", TRUTH, FOUND, 1, groups, least_rows=2)

    assert set(found.values) == {"a", "b"}
    assert found.left_out == 1


def test_slices_find_the_group_that_is_served_worst() -> None:
    answers = Answers(FOUND, np.stack([1 - FOUND, FOUND], axis=1).astype(float))
    found = slices("accuracy", TRUTH, answers, SEX, least_rows=1)

    assert found.values == {"f": 0.75, "m": 0.5}
    assert found.rows == {"f": 4, "m": 4}


def test_a_slice_in_which_the_metric_has_no_value_is_left_out() -> None:
    answers = Answers(FOUND, np.stack([1 - FOUND, FOUND], axis=1).astype(float))
    found = slices("roc_auc", np.array([1, 1, 1, 1, 1, 0, 1, 0]), answers, SEX, least_rows=1)

    assert set(found.values) == {"m"}
    assert found.left_out == 1


@given(seed=st.integers(0, 10_000))
@settings(max_examples=examples(50), deadline=None)
def test_who_is_answered_alike_has_no_gap_and_no_gap_is_above_one(seed: int) -> None:
    chance = np.random.default_rng(seed)
    truth, found, groups = chance.integers(0, 2, 90), chance.integers(0, 2, 90), chance.integers(0, 3, 90).astype(str)

    rates = positive_rates("DemographicParity", truth, found, 1, groups, least_rows=1).values
    alike = positive_rates("DemographicParity", truth, np.ones(90, dtype=int), 1, groups, least_rows=1).values

    assert 0 <= gap(rates) <= 1
    assert gap(alike) == 0


def test_calibration_by_hand() -> None:
    # Two bins are used: at 0.9, where 3 of 4 are so, and at 0.1, where none of 4 is: (|3 - 3.6| + |0 - 0.4|) / 8.
    said = np.array([0.9] * 4 + [0.1] * 4)
    truth = np.array([1, 1, 1, 0, 0, 0, 0, 0])

    assert expected_calibration_error(truth, np.stack([1 - said, said], axis=1)) == pytest.approx(0.125)


def test_calibration_of_more_classes_looks_at_the_answer_that_is_given() -> None:
    probabilities = np.array([[0.8, 0.1, 0.1]] * 5)

    assert expected_calibration_error(np.array([0, 0, 0, 0, 1]), probabilities) == pytest.approx(0)
    assert expected_calibration_error(np.array([1, 1, 1, 1, 1]), probabilities) == pytest.approx(0.8)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=examples(50), deadline=None)
def test_who_says_what_is_so_is_calibrated(seed: int) -> None:
    truth = np.random.default_rng(seed).integers(0, 2, 50)
    sure = np.stack([1 - truth, truth], axis=1).astype(float)

    assert expected_calibration_error(truth, sure) == 0
    assert expected_calibration_error(truth, 1 - sure) == 1

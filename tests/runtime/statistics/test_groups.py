"""Groups of rows: small examples that can be counted by hand, and what must always hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel_runtime.contract.errors import Undefined
from flywheel_runtime.statistics.groups import largest_difference, metric_by_group, positive_rates
from flywheel_runtime.statistics.metrics import Array, ScoredRows
from tests.examples import examples

SEX = np.array(["f", "f", "f", "f", "m", "m", "m", "m"])


def scored(y_true: Array, predicted: Array) -> ScoredRows:
    return ScoredRows(y_true, predicted, np.stack([1 - predicted, predicted], axis=1).astype(float))


EIGHT = scored(np.array([1, 1, 0, 0, 1, 1, 1, 0]), np.array([1, 1, 1, 0, 1, 0, 0, 0]))


def test_demographic_parity_compares_how_often_groups_are_predicted_positive() -> None:
    found = positive_rates("DemographicParity", EIGHT, 1, SEX, min_rows=2)

    assert found.values == {"f": 0.75, "m": 0.25}
    assert largest_difference(found.values) == 0.5


def test_equal_opportunity_counts_the_positive_rows_alone() -> None:
    found = positive_rates("EqualOpportunity", EIGHT, 1, SEX, min_rows=2)

    assert found.values == {"f": 1.0, "m": pytest.approx(1 / 3)}
    assert found.rows == {"f": 2, "m": 3}


def test_groups_with_few_rows_are_omitted_and_counted() -> None:
    groups = np.array(["a"] * 5 + ["b"] * 2 + ["c"])
    found = positive_rates("DemographicParity", EIGHT, 1, groups, min_rows=2)

    assert set(found.values) == {"a", "b"}
    assert found.omitted == 1


def test_a_metric_is_measured_for_each_group() -> None:
    found = metric_by_group("accuracy", EIGHT, SEX, min_rows=1)

    assert found.values == {"f": 0.75, "m": 0.5}
    assert found.rows == {"f": 4, "m": 4}


def test_no_group_has_no_largest_difference() -> None:
    with pytest.raises(Undefined, match="no group"):
        largest_difference({})


def test_a_group_in_which_the_metric_has_no_value_is_omitted() -> None:
    one_class = scored(np.array([1, 1, 1, 1, 1, 0, 1, 0]), EIGHT.predicted)
    found = metric_by_group("roc_auc", one_class, SEX, min_rows=1)

    assert set(found.values) == {"m"}
    assert found.omitted == 1


@given(seed=st.integers(0, 10_000))
@settings(max_examples=examples(50), deadline=None)
def test_equal_predictions_have_no_gap_and_no_gap_is_above_one(seed: int) -> None:
    random = np.random.default_rng(seed)
    y_true, predicted, groups = random.integers(0, 2, 90), random.integers(0, 2, 90), random.integers(0, 3, 90)

    rates = positive_rates("DemographicParity", scored(y_true, predicted), 1, groups, min_rows=1).values
    equal = positive_rates("DemographicParity", scored(y_true, np.ones(90, dtype=int)), 1, groups, min_rows=1).values

    assert 0 <= largest_difference(rates) <= 1
    assert largest_difference(equal) == 0

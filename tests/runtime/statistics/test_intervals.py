"""Intervals of differences: known values, and what must always hold."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from flywheel_runtime.contract.errors import Undefined
from flywheel_runtime.statistics.intervals import bootstrap, delong, midranks
from flywheel_runtime.statistics.metrics import Answers, Array, measure
from tests.examples import examples


def scores(seed: int, rows: int = 400, better: float = 0.5) -> tuple[Array, Array, Array]:
    """Truth, and two scores of which the second knows more."""
    chance = np.random.default_rng(seed)
    truth = np.append([0, 0, 1, 1], chance.integers(0, 2, rows - 4))
    shared = chance.normal(0, 1, rows)
    first = truth * 0.8 + shared + chance.normal(0, 0.3, rows)
    return truth, first, truth * (0.8 + better) + shared + chance.normal(0, 0.3, rows)


def by_definition(truth: Array, first: Array, second: Array) -> float:
    """The variance of the difference as DeLong et al. (1988) write it, with all pairs compared one by one."""
    positive, rest = truth == 1, truth == 0
    parts = []
    for score in (first, second):
        pairs = score[positive][:, None] - score[rest][None, :]
        wins = (pairs > 0) + 0.5 * (pairs == 0)
        parts.append((wins.mean(axis=1), wins.mean(axis=0)))
    of_positive, of_rest = (np.cov(np.stack([part[at] for part in parts])) for at in (0, 1))
    covariance = of_positive / positive.sum() + of_rest / rest.sum()
    return float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])


@given(seed=st.integers(0, 10_000), rounded=st.booleans())
@settings(max_examples=examples(40), deadline=None)
def test_delong_by_midranks_is_delong_by_all_pairs(seed: int, rounded: bool) -> None:
    truth, first, second = scores(seed, rows=60)
    if rounded:
        first, second = np.round(first), np.round(second)

    found = delong(truth, second, first, 0.95)

    assert found.difference == pytest.approx(roc_auc_score(truth, second) - roc_auc_score(truth, first))
    reach = 1.959963984540054 * by_definition(truth, second, first) ** 0.5
    assert (found.low, found.high) == pytest.approx((found.difference - reach, found.difference + reach))


@given(values=st.lists(st.integers(0, 8), min_size=1, max_size=50))
@settings(deadline=None)
def test_equal_values_share_the_mean_of_their_ranks(values: list[int]) -> None:
    shared = [sum(other < one for other in values) + (values.count(one) + 1) / 2 for one in values]

    assert midranks(np.array(values)).tolist() == shared


def test_the_bootstrap_of_a_mean_agrees_with_the_normal_interval() -> None:
    chance = np.random.default_rng(4)
    gains = chance.normal(0.3, 1, 2000)

    found = bootstrap(lambda weights: weights @ gains / weights.sum(axis=1), len(gains), seed=1, confidence=0.95)

    normal = NormalDist(gains.mean(), gains.std(ddof=1) / len(gains) ** 0.5)
    assert found.difference == pytest.approx(gains.mean())
    assert (found.low, found.high) == pytest.approx((normal.inv_cdf(0.025), normal.inv_cdf(0.975)), abs=0.006)


def test_bootstrap_and_delong_agree_about_areas() -> None:
    truth, first, second = scores(7, rows=1500)

    def area(score: Array) -> Array:
        return np.stack([-score, score], axis=1)

    mine, theirs = (measure("roc_auc", truth, Answers(truth, area(score))) for score in (second, first))
    found = bootstrap(lambda weights: mine(weights) - theirs(weights), len(truth), seed=2, confidence=0.95)
    known = delong(truth, second, first, 0.95)

    assert found.difference == pytest.approx(known.difference)
    assert (found.low, found.high) == pytest.approx((known.low, known.high), abs=0.004)


def test_the_same_seed_draws_the_same_rows_and_another_one_others() -> None:
    gains = np.random.default_rng(1).normal(0, 1, 100)

    def interval(seed: int) -> tuple[float, float]:
        found = bootstrap(lambda weights: weights @ gains / weights.sum(axis=1), 100, seed, 0.9)
        return found.low, found.high

    assert interval(5) == interval(5)
    assert interval(5) != interval(6)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=examples(20), deadline=None)
def test_an_interval_turns_round_with_its_models_and_grows_with_its_confidence(seed: int) -> None:
    truth, first, second = scores(seed, rows=80)
    there, back = delong(truth, second, first, 0.9), delong(truth, first, second, 0.9)
    wide = delong(truth, second, first, 0.99)

    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
    assert wide.low <= there.low <= there.difference <= there.high <= wide.high


def test_a_model_that_is_compared_with_itself_gains_nothing() -> None:
    truth, first, _ = scores(3)

    found = delong(truth, first, first, 0.95)

    assert (found.difference, found.low, found.high) == (0, 0, 0)


@pytest.mark.parametrize("truth", [np.ones(5), np.zeros(5), np.array([1, 0, 0, 0, 0])])
def test_too_few_rows_of_a_class_have_no_interval(truth: Array) -> None:
    with pytest.raises(Undefined):
        delong(truth, np.arange(5), np.arange(5), 0.95)
    if truth.sum() in (0, 5):
        answers = Answers(truth, np.random.default_rng(1).random((5, 2)))
        one = measure("roc_auc", truth, answers)
        with pytest.raises(Undefined):
            bootstrap(one, 5, 1, 0.95)


def test_a_bootstrap_that_mostly_lacks_a_class_says_so() -> None:
    truth = np.array([1] + [0] * 99)
    one = measure("roc_auc", truth, Answers(truth, np.random.default_rng(1).random((100, 2))))

    with pytest.raises(Undefined, match="too few"):
        bootstrap(one, 100, 1, 0.95)

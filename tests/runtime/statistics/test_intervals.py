"""Intervals: known values, what must always hold, and that 95 of 100 hold the truth. Seeds are fixed, so these never flicker."""

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from flywheel_runtime.contract.errors import Undefined
from flywheel_runtime.statistics.intervals import (
    Interval,
    bootstrap,
    delong,
    difference_interval,
    metric_interval,
    midranks,
    newcombe,
    wilson,
)
from flywheel_runtime.statistics.metrics import CLASSIFICATION, Array, ScoredRows, metric_function, metric_value
from tests.examples import examples

DRAWS = 400


def two_scores(seed: int, rows: int = 400, better: float = 0.5) -> tuple[Array, Array, Array]:
    """Truth, and two scores of which the second knows more."""
    random = np.random.default_rng(seed)
    y_true = np.append([0, 0, 1, 1], random.integers(0, 2, rows - 4))
    shared = random.normal(0, 1, rows)
    first = y_true * 0.8 + shared + random.normal(0, 0.3, rows)
    return y_true, first, y_true * (0.8 + better) + shared + random.normal(0, 0.3, rows)


def scored(y_true: Array, score: Array) -> ScoredRows:
    """Binary predictions whose probability rises with the score."""
    probability = 1 / (1 + np.exp(-score))
    return ScoredRows(y_true, (probability > 0.5).astype(int), np.stack([1 - probability, probability], axis=1))


def delong_variance(y_true: Array, first: Array, second: Array) -> float:
    """The variance of the difference as DeLong et al. (1988) write it, with all pairs compared one by one."""
    positive, negative = y_true == 1, y_true == 0
    components = []
    for score in (first, second):
        pairs = score[positive][:, None] - score[negative][None, :]
        wins = (pairs > 0) + 0.5 * (pairs == 0)
        components.append((wins.mean(axis=1), wins.mean(axis=0)))
    of_positive, of_negative = (np.cov(np.stack([each[axis] for each in components])) for axis in (0, 1))
    covariance = of_positive / positive.sum() + of_negative / negative.sum()
    return float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])


@given(seed=st.integers(0, 10_000), rounded=st.booleans())
@settings(max_examples=examples(40), deadline=None)
def test_delong_by_midranks_is_delong_by_all_pairs(seed: int, rounded: bool) -> None:
    y_true, first, second = two_scores(seed, rows=60)
    if rounded:
        first, second = np.round(first), np.round(second)

    found = delong(y_true, second, first)

    assert found.value == pytest.approx(roc_auc_score(y_true, second) - roc_auc_score(y_true, first))
    half = 1.959963984540054 * delong_variance(y_true, second, first) ** 0.5
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half))


@given(values=st.lists(st.integers(0, 8), min_size=1, max_size=50))
@settings(deadline=None)
def test_equal_values_share_the_mean_of_their_ranks(values: list[int]) -> None:
    shared = [sum(other < one for other in values) + (values.count(one) + 1) / 2 for one in values]

    assert midranks(np.array(values)).tolist() == shared


def test_the_bootstrap_of_a_mean_agrees_with_the_normal_interval() -> None:
    gains = np.random.default_rng(4).normal(0.3, 1, 2000)

    found = bootstrap(lambda weights: weights @ gains / weights.sum(axis=1), len(gains))

    normal = NormalDist(gains.mean(), gains.std(ddof=1) / len(gains) ** 0.5)
    assert found.value == pytest.approx(gains.mean())
    assert (found.low, found.high) == pytest.approx((normal.inv_cdf(0.025), normal.inv_cdf(0.975)), abs=0.006)


def test_bootstrap_and_delong_agree_about_areas() -> None:
    y_true, first, second = two_scores(7, rows=1500)
    of_first, of_second = (metric_function("roc_auc", scored(y_true, score)) for score in (first, second))

    found = bootstrap(lambda weights: of_second(weights) - of_first(weights), len(y_true))
    known = difference_interval("roc_auc", scored(y_true, second), scored(y_true, first))

    assert known.method == "DeLong"
    assert found.value == pytest.approx(known.value)
    assert (found.low, found.high) == pytest.approx((known.low, known.high), abs=0.004)


@pytest.mark.parametrize("metric", CLASSIFICATION)
def test_the_same_rows_have_the_same_interval_and_one_around_their_value(metric: str) -> None:
    y_true, first, _ = two_scores(5)

    found = metric_interval(metric, scored(y_true, first))

    assert found == metric_interval(metric, scored(y_true, first))
    assert found.low < found.value < found.high
    assert found.value == pytest.approx(metric_value(metric, scored(y_true, first)))
    assert found.method == {"accuracy": "Wilson", "roc_auc": "Newcombe"}.get(metric, "bootstrap")


def test_losses_of_32_and_of_64_bits_have_one_interval() -> None:
    """A certain and wrong prediction: clipped at another epsilon, its loss was 16 in place of 36."""
    y_true, first, _ = two_scores(5)
    of_64_bits = scored(y_true, first)
    of_64_bits.probabilities[0] = [1, 0] if y_true[0] else [0, 1]
    of_64_bits = ScoredRows(y_true, of_64_bits.predicted, of_64_bits.probabilities.astype(np.float32).astype(float))
    of_32_bits = ScoredRows(y_true, of_64_bits.predicted, of_64_bits.probabilities.astype(np.float32))

    assert metric_interval("log_loss", of_64_bits) == metric_interval("log_loss", of_32_bits)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=examples(20), deadline=None)
def test_an_interval_turns_round_with_its_models_and_grows_with_its_confidence(seed: int) -> None:
    y_true, first, second = two_scores(seed, rows=80)
    forward, back = delong(y_true, second, first, 0.9), delong(y_true, first, second, 0.9)
    wide = delong(y_true, second, first, 0.99)

    assert (forward.low, forward.high) == pytest.approx((-back.high, -back.low))
    assert wide.low <= forward.low <= forward.value <= forward.high <= wide.high


def test_a_model_that_is_compared_with_itself_gains_nothing() -> None:
    y_true, first, _ = two_scores(3)

    found = delong(y_true, first, first)

    assert (found.value, found.low, found.high) == (0, 0, 0)


@pytest.mark.parametrize("y_true", [np.ones(5), np.zeros(5), np.array([1, 0, 0, 0, 0])])
def test_too_few_rows_of_a_class_have_no_interval(y_true: Array) -> None:
    with pytest.raises(Undefined):
        delong(y_true, np.arange(5), np.arange(5))
    if y_true.sum() in (0, 5):
        with pytest.raises(Undefined):
            metric_interval("roc_auc", scored(y_true, np.arange(5)))
        with pytest.raises(Undefined):
            bootstrap(metric_function("roc_auc", scored(y_true, np.arange(5))), 5)


def test_a_bootstrap_that_mostly_lacks_a_class_has_no_interval() -> None:
    y_true = np.array([1] + [0] * 99)

    with pytest.raises(Undefined, match="too few"):
        metric_interval("average_precision", scored(y_true, np.arange(100)))


def test_wilson_is_wilsons() -> None:
    """The example of Newcombe (1998), Two-sided confidence intervals for the single proportion, table I: 81 of 263."""
    found = wilson(81 / 263, 263)

    assert (round(found.low, 4), round(found.high, 4)) == (0.2553, 0.3662)


def test_wilson_of_few_rows() -> None:
    """Two of ten, from the formula by hand."""
    found = wilson(0.2, 10)

    assert (found.low, found.high) == pytest.approx((0.056682, 0.509838), abs=1e-6)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_wilson_at_the_edge_is_no_certainty(share: float) -> None:
    found = wilson(share, 30)

    assert 0 <= found.low < found.high <= 1
    assert found.high - found.low > 0.1


def draw_area(random: np.random.Generator, rows: int, true_value: float) -> Interval:
    """Scores of two normal distributions whose ROC area is `true_value`."""
    apart = math.sqrt(2) * NormalDist().inv_cdf(true_value)
    left, right = random.standard_normal(rows // 2), random.standard_normal(rows // 2) + apart
    area = float((right[:, None] > left[None, :]).mean())
    return newcombe(area, rows // 2, rows // 2)


def draw_errors(random: np.random.Generator, rows: int, true_value: float) -> Interval:
    errors = ScoredRows(np.zeros(rows), random.standard_normal(rows) * true_value, np.empty((rows, 0)))
    return metric_interval("rmse", errors)


def draw_hits(random: np.random.Generator, rows: int, true_value: float, metric: str = "accuracy") -> Interval:
    y = random.integers(0, 2, rows)
    label = np.where(random.random(rows) < true_value, y, 1 - y)
    return metric_interval(metric, ScoredRows(y, label, np.eye(2)[label]))


def draw_balanced(random: np.random.Generator, rows: int, true_value: float) -> Interval:
    return draw_hits(random, rows, true_value, "balanced_accuracy")


def draw_log_losses(random: np.random.Generator, rows: int, _: float) -> Interval:
    score = random.normal(0, 1.6, rows)
    return metric_interval("log_loss", scored((random.random(rows) < 1 / (1 + np.exp(-score))).astype(int), score))


@pytest.mark.integration
@pytest.mark.parametrize(
    ("draw", "rows", "true_value", "draws"),
    [
        pytest.param(draw_area, 40, 0.8, DRAWS, id="few rows of an ROC area"),
        pytest.param(draw_area, 400, 0.7, DRAWS, id="an ROC area"),
        pytest.param(draw_area, 60, 0.97, DRAWS, id="an ROC area near 1"),
        pytest.param(draw_errors, 300, 3.0, DRAWS, id="an RMSE"),
        pytest.param(draw_hits, 40, 0.9, DRAWS, id="an accuracy"),
        pytest.param(draw_balanced, 200, 0.8, 150, id="a balanced accuracy"),
        # The entropy of the true probabilities, in nats, by an integral over the scores.
        pytest.param(draw_log_losses, 60, 0.5136, DRAWS, id="few rows of a log loss"),
        pytest.param(draw_log_losses, 400, 0.5136, DRAWS, id="a log loss"),
    ],
)
def test_ninety_five_of_a_hundred_hold_the_truth(
    draw: Callable[[np.random.Generator, int, float], Interval], rows: int, true_value: float, draws: int
) -> None:
    random = np.random.default_rng(1)
    found = [draw(random, rows, true_value) for _ in range(draws)]

    held = np.mean([each.low <= true_value <= each.high for each in found])
    assert 0.91 <= held <= 0.99


@pytest.mark.parametrize("seed", range(60))
def test_r2_of_three_rows_has_no_interval(seed: int) -> None:
    """One resample in nine draws one row thrice."""
    y_true, error = np.random.default_rng(seed).normal(3, 1, (2, 3))

    with pytest.raises(Undefined):
        metric_interval("r2", ScoredRows(y_true, y_true + error, np.empty((3, 0))))


@pytest.mark.parametrize(("area", "positives", "negatives"), [(0.8, 30, 5), (0.62, 4, 90), (0.9, 1, 1)])
def test_each_end_of_newcombes_interval_is_z_of_its_own_standard_errors_away(
    area: float, positives: int, negatives: int
) -> None:
    z, size = 1.959964, (positives + negatives) / 2 - 1

    found = newcombe(area, positives, negatives)

    for end in (found.low, found.high):
        variance = end * (1 - end) / (positives * negatives) * (1 + size * ((1 - end) / (2 - end) + end / (1 + end)))
        assert abs(end - area) == pytest.approx(z * variance**0.5, rel=1e-4)

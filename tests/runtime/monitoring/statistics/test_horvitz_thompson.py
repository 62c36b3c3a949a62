"""Few labels, right answer: unbiased whatever the draw, narrower than a fair sample, and right beside one."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.client.labels.label_sampling import RowClass, allocate_labels, classify_row, random_number
from flywheel_runtime.contract.errors import Undefined
from flywheel_runtime.monitoring.statistics.horvitz_thompson import (
    combine_samples,
    count_capped,
    largest_weight,
    weighted_mean,
    weighted_roc_auc,
    weighted_share,
)

Array = np.ndarray
ROWS = 4_000


def population() -> tuple[Array, list[RowClass]]:
    """The losses of a calibrated model that is sure of most rows, and what it expects of each."""
    random = np.random.default_rng(1)
    errors = random.beta(0.3, 3, ROWS) / 2
    return (random.random(ROWS) < errors).astype(float), [classify_row("accuracy", (1 - each, each)) for each in errors]


def draw_probabilities(classes: list[RowClass], labels: int) -> Array:
    found = allocate_labels(Counter(classes), labels).probabilities
    return np.array([found[each] for each in classes])


def repeat_estimates(losses: Array, chances: Array, draws: int = 1_000, uniform: float = 0.0) -> Array:
    """Rows (draws, 4): the estimate, its standard error, and both ends of its interval. `uniform` of the rows are labelled anyway."""
    random, found = np.random.default_rng(7), []
    for _ in range(draws):
        drawn, anyway = random.random(len(losses)) < chances, random.random(len(losses)) < uniform
        labelled = drawn | anyway
        weights = combine_samples(np.where(drawn, chances, np.nan)[labelled], anyway[labelled])
        each = weighted_share(losses[labelled], weights)
        found.append([each.value, each.standard_error, each.low, each.high])
    return np.array(found)


@pytest.mark.parametrize("guess", ["right", "wrong", "none"])
@pytest.mark.parametrize("uniform", [0.0, 0.03], ids=["drawn labels alone", "beside a fair sample"])
def test_the_estimate_is_unbiased_whatever_the_draw(guess: str, uniform: float) -> None:
    losses, classes = population()
    wrong = [RowClass(1 - each.loss, 1 - each.loss) for each in classes]
    by_guess = {"right": classes, "wrong": wrong, "none": [RowClass(0.5, 0.5)] * ROWS}[guess]

    found = repeat_estimates(losses, draw_probabilities(by_guess, 300), uniform=uniform)

    assert found[:, 0].mean() == pytest.approx(losses.mean(), abs=4 * found[:, 0].std() / np.sqrt(len(found)) + 5e-4)
    assert ((found[:, 2] <= losses.mean()) & (losses.mean() <= found[:, 3])).mean() > 0.9


def test_a_biased_sample_without_its_weights_would_be_wrong() -> None:
    losses, classes = population()
    expected_without = np.average(losses, weights=draw_probabilities(classes, 300))

    assert expected_without > 1.4 * losses.mean()


def test_labels_where_the_model_is_unsure_say_more_than_a_fair_sample() -> None:
    losses, classes = population()
    by_model = repeat_estimates(losses, draw_probabilities(classes, 200), 500)
    uniform = repeat_estimates(losses, np.full(ROWS, 200 / ROWS), 500)

    assert by_model[:, 0].std() < 0.8 * uniform[:, 0].std()


def test_the_promised_precision_is_reached() -> None:
    losses, classes = population()
    allocation = allocate_labels(Counter(classes), 300)
    found = repeat_estimates(losses, np.array([allocation.probabilities[each] for each in classes]))

    assert 1.96 * found[:, 0].std() == pytest.approx(allocation.half_width, rel=0.15)


def test_a_larger_draw_that_contains_the_smaller_one_counts_by_its_own_probabilities() -> None:
    """The labels of a draw of 100 rows are posted again with those of a draw of 250: the largest probability is that of the union."""
    losses, classes = population()
    small, large = draw_probabilities(classes, 100), draw_probabilities(classes, 250)
    values = []
    for salt in range(300):
        numbers = np.array([random_number(str(salt), f"r{at}", 0) for at in range(ROWS)])
        assert not ((numbers < small) & ~(numbers < large)).any()
        drawn = numbers < large
        values.append(weighted_mean(losses[drawn], combine_samples(large[drawn], np.zeros(drawn.sum()))).value)

    assert np.mean(values) == pytest.approx(losses.mean(), abs=4 * np.std(values) / np.sqrt(len(values)) + 5e-4)


def test_the_roc_area_is_unbiased_and_covered() -> None:
    random = np.random.default_rng(4)
    score = random.beta(0.5, 1.5, ROWS)
    truth = random.random(ROWS) < score
    everything = weighted_roc_auc(truth, score, np.ones(ROWS)).value
    chances = draw_probabilities([classify_row("roc_auc", (1 - each, each)) for each in score], 400)
    found = []
    for _ in range(500):
        drawn = random.random(ROWS) < chances
        each = weighted_roc_auc(truth[drawn], score[drawn], 1 / chances[drawn])
        found.append([each.value, each.low <= everything <= each.high])

    assert np.mean(found, axis=0)[0] == pytest.approx(everything, abs=0.004)
    assert np.mean(found, axis=0)[1] > 0.92


def test_equal_weights_are_the_plain_mean_and_the_area_of_pairs() -> None:
    truth, score = np.array([0, 1, 0, 1, 1]), np.array([0.1, 0.4, 0.4, 0.8, 0.3])

    assert weighted_mean([1.0, 0.0, 0.0, 1.0], np.ones(4)).value == 0.5
    assert weighted_roc_auc(truth, score, np.full(5, 2.0)).value == pytest.approx((1 + 0.5 + 2 + 1) / 6)


def test_a_row_of_both_samples_counts_in_both() -> None:
    weights = combine_samples([0.5, np.nan, 0.25, 0.5], [True, True, False, False])

    inverse = np.array([2.0, 0.0, 4.0, 2.0])
    assert weights == pytest.approx([1, 1, 0, 0] + inverse * inverse.sum() / (inverse**2).sum())


def test_one_label_with_a_wrong_probability_does_not_outweigh_all_others() -> None:
    """Of 200 rows of a fair draw 40 % are errors; one more has the least probability that is accepted."""
    losses, chances = np.tile([1.0, 1.0, 0.0, 0.0, 0.0], 40), np.full(200, 0.05)
    probabilities = np.append(chances, 1e-6)

    found = weighted_mean(np.append(losses, 1.0), combine_samples(probabilities, np.zeros(201)))

    assert count_capped(probabilities) == 1
    assert found.value == pytest.approx((80 + 20 / 0.9) / (200 + 20 / 0.9), rel=0.01)
    assert found.low < 0.4 < found.high


@pytest.mark.parametrize("labels", [30, 100, 300])
def test_no_weight_of_an_honest_draw_is_cut(labels: int) -> None:
    _, classes = population()
    chances = draw_probabilities(classes, labels)
    drawn = np.random.default_rng(11).random((500, ROWS)) < chances

    assert sum(count_capped(np.where(each, chances, np.nan)) for each in drawn) == 0
    assert largest_weight(np.full(1_000, 7.0)) > 7


@given(weights=st.lists(st.floats(1, 1e6), min_size=1, max_size=200))
def test_the_largest_weight_is_twenty_times_the_mean_after_the_cut(weights: list[float]) -> None:
    given = np.array(weights)
    largest = largest_weight(given)

    assert largest == pytest.approx(20 * np.minimum(given, largest).mean())


@pytest.mark.parametrize("hits", [0.0, 1.0])
def test_labels_without_a_single_error_still_have_an_interval(hits: float) -> None:
    found = weighted_share(np.full(30, hits), np.ones(30))

    assert found.value == pytest.approx(hits)
    assert found.high - found.low == pytest.approx(0.1135, abs=0.001)


def test_too_few_labels_have_no_estimate() -> None:
    with pytest.raises(Undefined):
        weighted_mean([1.0], [1.0])
    with pytest.raises(Undefined):
        weighted_roc_auc([1, 0, 0], [0.5, 0.4, 0.3], np.ones(3))

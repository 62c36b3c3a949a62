"""Few labels, right answer: unbiased whatever the allocation, and narrower than a uniform draw."""

import numpy as np
import pytest

from flywheel_runtime.contract.errors import Undefined
from flywheel_runtime.monitoring.statistics.horvitz_thompson import (
    allocate_labels,
    draw_rows,
    estimate_mean,
    estimate_ratio,
    expected_error_spread,
    labels_for_precision,
)


def population(rows: int = 4_000) -> tuple[np.ndarray, np.ndarray]:
    """The losses of a calibrated model that is sure of most rows, and the spread that it expects."""
    random = np.random.default_rng(1)
    sure = random.beta(0.3, 3, rows) / 2
    return (random.random(rows) < sure).astype(float), np.sqrt(sure)


def repeated_estimates(losses: np.ndarray, chances: np.ndarray, draws: int = 2_000) -> np.ndarray:
    """Rows (draws, 4): the estimate, its standard error, and both ends of its interval."""
    found = []
    for seed in range(draws):
        drawn = draw_rows(chances, seed)
        each = estimate_mean(losses[drawn], chances[drawn], len(losses))
        found.append([each.value, each.standard_error, each.low, each.high])
    return np.array(found)


@pytest.mark.parametrize("guess", ["right", "wrong", "none"])
def test_the_estimate_is_unbiased_whatever_the_allocation(guess: str) -> None:
    losses, spread = population()
    sizes = {"right": spread, "wrong": spread.max() - spread, "none": np.ones_like(spread)}[guess]
    found = repeated_estimates(losses, allocate_labels(sizes, 200))

    assert found[:, 0].mean() == pytest.approx(losses.mean(), abs=4 * found[:, 0].std() / np.sqrt(len(found)))
    assert np.sqrt((found[:, 1] ** 2).mean()) == pytest.approx(found[:, 0].std(), rel=0.1)


def test_the_interval_covers_the_truth() -> None:
    losses, spread = population()
    found = repeated_estimates(losses, allocate_labels(spread, 400))
    covered = (found[:, 2] <= losses.mean()) & (losses.mean() <= found[:, 3])

    assert covered.mean() > 0.90


def test_labels_where_the_model_is_unsure_say_more_than_a_uniform_draw() -> None:
    losses, spread = population()
    by_model = repeated_estimates(losses, allocate_labels(spread, 200), 500)
    uniform = repeated_estimates(losses, np.full(len(losses), 200 / len(losses)), 500)

    assert by_model[:, 0].std() < 0.8 * uniform[:, 0].std()


@pytest.mark.parametrize("labels", [10, 200, 3_999, 4_000, 9_000])
def test_the_allocation_is_of_as_many_labels_as_asked_for(labels: int) -> None:
    _, spread = population()
    chances = allocate_labels(spread, labels)

    assert chances.sum() == pytest.approx(min(labels, 4_000), rel=1e-6)
    assert (chances > 0).all()
    assert (chances <= 1).all()


def test_each_group_has_labels() -> None:
    _, spread = population()
    groups = np.where(np.arange(4_000) < 40, "few", "many").tolist()
    chances = allocate_labels(spread, 150, groups)

    assert chances[:40].sum() >= 5 - 1e-9
    assert chances.sum() == pytest.approx(150, rel=1e-6)


def test_the_promised_precision_is_reached() -> None:
    losses, spread = population()
    labels = labels_for_precision(spread, 0.02)
    found = repeated_estimates(losses, allocate_labels(spread, labels), 1_000)

    assert 20 < labels < 1_500
    assert 1.96 * found[:, 0].std() == pytest.approx(0.02, rel=0.15)


def test_the_ratio_is_nearly_unbiased() -> None:
    losses, spread = population()
    chances = allocate_labels(spread, 300)
    values = [
        estimate_ratio(losses[drawn], chances[drawn]).value
        for drawn in (draw_rows(chances, each) for each in range(1_000))
    ]

    assert np.mean(values) == pytest.approx(losses.mean(), abs=0.003)


def test_a_draw_is_the_same_every_time() -> None:
    chances = np.full(100, 0.2)

    assert draw_rows(chances, 3).tolist() == draw_rows(chances, 3).tolist()
    assert draw_rows(chances, 3).tolist() != draw_rows(chances, 4).tolist()


def test_nothing_labelled_has_no_estimate() -> None:
    with pytest.raises(Undefined):
        estimate_mean([], [], 10)
    with pytest.raises(Undefined):
        estimate_ratio([1.0], [0.5])


def test_a_sure_row_is_expected_to_have_little_loss() -> None:
    assert expected_error_spread([[0.99, 0.01], [0.5, 0.5]]) == pytest.approx([0.1, 0.5**0.5])

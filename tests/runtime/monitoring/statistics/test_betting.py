"""Bets on losses: fair within the null, profitable beyond it."""

import numpy as np
import pytest

from flywheel_runtime.contract.errors import Undefined
from flywheel_runtime.monitoring.statistics.betting import (
    average_log_e_values,
    brier_loss,
    dispersion_of_losses,
    log_e_values_of_losses,
    log_e_values_of_pairs,
    zero_one_loss,
)


@pytest.mark.parametrize("concentration", [0.2, 1.0, 20.0])
@pytest.mark.parametrize("mean", [0.05, 0.3, 0.8])
def test_no_losses_at_the_null_mean_are_profitable(mean: float, concentration: float) -> None:
    random = np.random.default_rng(1)
    losses = random.beta(mean * concentration, (1 - mean) * concentration, size=(40_000, 4))
    wealth = np.exp([log_e_values_of_losses(each, mean) for each in losses])

    assert (wealth.mean(axis=0) <= 1 + 4 * wealth.std(axis=0) / 200).all()


def test_losses_above_the_null_mean_are_profitable() -> None:
    losses = (np.random.default_rng(2).random(2_000) < 0.15).astype(float)

    assert log_e_values_of_losses(losses, 0.1).max() > 10
    assert log_e_values_of_losses(losses, 0.2).max() < 1


def test_a_worse_ranking_is_profitable_and_the_promised_one_is_not() -> None:
    random = np.random.default_rng(3)
    labels = random.random(4_000) < 0.4
    scores = random.normal(labels * 0.8)  # a ROC area of 0.714

    assert log_e_values_of_pairs(scores, labels, null_mean=1 - 0.80).max() > 10
    assert log_e_values_of_pairs(scores, labels, null_mean=1 - 0.70).max() < 3


def test_pairs_are_the_same_every_time_and_need_both_classes() -> None:
    scores, labels = np.array([0.1, 0.9, 0.4, 0.4]), np.array([0, 1, 1, 0])

    assert log_e_values_of_pairs(scores, labels, 0.2).tolist() == log_e_values_of_pairs(scores, labels, 0.2).tolist()
    with pytest.raises(Undefined):
        log_e_values_of_pairs(scores, np.zeros(4), 0.2)


def test_the_average_is_of_the_e_values_themselves() -> None:
    assert average_log_e_values(np.log([[1.0, 4.0], [3.0, 2.0]])) == pytest.approx(np.log([2.0, 3.0]))


def test_clustered_losses_are_seen() -> None:
    random = np.random.default_rng(4)
    independent = [dispersion_of_losses(random.random(600)) or 0 for _ in range(400)]
    clustered = [dispersion_of_losses(np.repeat(random.random(60), 10)) or 0 for _ in range(400)]

    assert np.mean(independent) == pytest.approx(1.0, abs=0.1)
    assert np.mean(clustered) > 4
    assert dispersion_of_losses(np.zeros(600)) == 1.0
    assert dispersion_of_losses(np.zeros(10)) is None


def test_losses_are_by_hand() -> None:
    assert zero_one_loss(np.array([1, 0]), np.array([1, 1])).tolist() == [0, 1]
    assert brier_loss(np.array([1, 0]), np.array([0.8, 0.5])) == pytest.approx([0.04, 0.25])

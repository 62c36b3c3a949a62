"""Bets on losses: fair within the null, profitable beyond it."""

import numpy as np
import pytest

from flywheel_runtime.monitoring.statistics.betting import dispersion_of_losses, log_e_values_of_losses


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


def test_clustered_losses_are_seen() -> None:
    random = np.random.default_rng(4)
    independent = [dispersion_of_losses(random.random(600)) or 0 for _ in range(400)]
    clustered = [dispersion_of_losses(np.repeat(random.random(60), 10)) or 0 for _ in range(400)]

    assert np.mean(independent) == pytest.approx(1.0, abs=0.1)
    assert np.mean(clustered) > 4
    assert dispersion_of_losses(np.zeros(600)) == 1.0
    assert dispersion_of_losses(np.zeros(10)) is None

"""Effects by closed forms, and beside scipy."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats
from scipy.spatial import distance

from flywheel_runtime.monitoring.statistics.effects import (
    jensen_shannon_distance,
    l_infinity_distance,
    population_stability_index,
    psi_bias,
    smooth_shares,
    total_variation_distance,
    wasserstein_distance,
)

EDGES = stats.norm.ppf(np.linspace(0.0005, 0.9995, 201))


def normal_counts(mean: float, rows: float = 1e7) -> np.ndarray:
    counts: np.ndarray = rows * np.diff(stats.norm.cdf(EDGES, mean))
    return counts


def test_psi_of_two_bins_is_by_hand() -> None:
    p, q = 50.5 / 101, 80.5 / 101

    assert float(population_stability_index([50, 50], [80, 20])) == pytest.approx(2 * (q - p) * np.log(q / (1 - q)) / 2)


def test_psi_of_a_shift_is_its_square() -> None:
    assert float(population_stability_index(normal_counts(0), normal_counts(0.5))) == pytest.approx(0.25, rel=0.03)


def test_psi_is_symmetric_and_zero_only_for_equal_shares() -> None:
    first, second = np.array([10, 40, 50]), np.array([30, 30, 40])

    assert population_stability_index(first, second) == pytest.approx(population_stability_index(second, first))
    assert population_stability_index(first, first) == 0.0


def test_three_far_values_of_ten_thousand_are_a_small_psi() -> None:
    assert float(population_stability_index([5_000, 5_000, 0], [4_999, 4_998, 3])) < 0.001


def test_psi_is_finite_without_rows() -> None:
    assert np.isfinite(population_stability_index([5, 5, 0], [0, 0, 0]))
    assert smooth_shares([0, 0]).tolist() == [0.5, 0.5]


def test_the_bias_of_psi_is_its_mean_without_drift() -> None:
    random = np.random.default_rng(3)
    reference, current = (random.multinomial(rows, np.full(20, 0.05), size=4_000) for rows in (5_000, 1_000))

    assert population_stability_index(reference, current).mean() == pytest.approx(
        psi_bias(reference, current).mean(), rel=0.03
    )


@pytest.mark.parametrize("current", [[10, 20, 70], [0, 0, 100], [100, 0, 0]])
def test_jensen_shannon_is_scipys(current: list[int]) -> None:
    reference = [30, 30, 0]

    assert float(jensen_shannon_distance(reference, current)) == pytest.approx(
        distance.jensenshannon(reference, current, base=2), abs=1e-9
    )


def test_distributions_without_a_common_bin_are_one_apart() -> None:
    assert float(jensen_shannon_distance([5, 0], [0, 9])) == pytest.approx(1.0)
    assert float(total_variation_distance([5, 0], [0, 9])) == pytest.approx(1.0)
    assert float(l_infinity_distance([5, 0], [0, 9])) == pytest.approx(1.0)


def test_l_infinity_is_the_largest_difference_of_a_share() -> None:
    assert float(l_infinity_distance([50, 30, 20], [20, 40, 40])) == pytest.approx(0.3)


def test_wasserstein_is_scipys_on_values_spread_over_the_bins() -> None:
    random = np.random.default_rng(5)
    edges = np.array([0.0, 0.5, 1.0, 3.0, 4.0, 10.0])
    reference, current = random.integers(0, 60, (2, 5))
    points = np.concatenate([np.linspace(low, high, 4001)[:-1] for low, high in pairwise(edges)])
    weights = [np.repeat(each / 4000, 4000) for each in (reference, current)]
    mean = np.average(points, weights=weights[0])
    deviation = np.sqrt(np.average((points - mean) ** 2, weights=weights[0]))

    expected = stats.wasserstein_distance(points, points, *weights) / deviation

    assert float(wasserstein_distance(reference, current, edges)) == pytest.approx(expected, rel=1e-3)


def test_wasserstein_of_a_shift_is_the_shift() -> None:
    assert float(wasserstein_distance(normal_counts(0), normal_counts(0.2), EDGES)) == pytest.approx(0.2, rel=0.03)


@pytest.mark.parametrize(("reference", "current"), [([0, 0], [1, 1]), ([1, 1], [0, 0])])
def test_wasserstein_without_rows_is_zero(reference: list[int], current: list[int]) -> None:
    assert float(wasserstein_distance(reference, current, [0.0, 1.0, 2.0])) == 0.0


def test_effects_of_many_windows_are_those_of_each() -> None:
    random = np.random.default_rng(7)
    reference, windows = random.integers(1, 90, 8), random.integers(0, 90, (5, 8))
    for effect in (population_stability_index, jensen_shannon_distance, l_infinity_distance, total_variation_distance):
        assert effect(reference, windows) == pytest.approx([float(effect(reference, each)) for each in windows])

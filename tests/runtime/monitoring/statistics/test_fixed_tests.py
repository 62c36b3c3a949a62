"""Classic tests of one window beside scipy, and their level over many windows."""

import numpy as np
import pytest
from scipy import stats

from flywheel_runtime.monitoring.statistics.fixed_tests import (
    drift_p_values,
    fixed_level,
    holm_adjusted,
    noncentral_chi_square_tail,
    share_p_values,
)

EDGES = stats.norm.ppf(np.linspace(0, 1, 11))


def normal_counts(random: np.random.Generator, shift: float, rows: int, windows: int) -> np.ndarray:
    counts: np.ndarray = random.multinomial(rows, np.diff(stats.norm.cdf(EDGES, shift)), size=windows)
    return counts


@pytest.mark.parametrize("degrees", [1, 9, 20])
@pytest.mark.parametrize("noncentrality", [0.1, 20.0, 400.0])
@pytest.mark.parametrize("tail", [0.2, 0.01, 1e-5])
def test_the_noncentral_tail_is_scipys(degrees: int, noncentrality: float, tail: float) -> None:
    statistic = stats.ncx2.isf(tail, degrees, noncentrality)

    assert 0.6 * tail <= float(noncentral_chi_square_tail(statistic, degrees, noncentrality)) <= 2.6 * tail


def test_equal_distributions_have_the_p_values_of_scipys_test() -> None:
    random = np.random.default_rng(1)
    reference, current = normal_counts(random, 0, 5_000, 50), normal_counts(random, 0, 2_000, 50)
    by_scipy = [stats.chi2_contingency(np.stack(pair)).pvalue for pair in zip(reference, current, strict=True)]

    assert drift_p_values(reference, current, 0.0) == pytest.approx(np.array(by_scipy), abs=0.03)


@pytest.mark.parametrize(("shift", "threshold"), [(0.0, 0.0), (0.315, 0.1), (0.2, 0.1)])
def test_the_level_holds_at_the_boundary_of_the_null(shift: float, threshold: float) -> None:
    random = np.random.default_rng(2)
    reference, current = normal_counts(random, 0, 20_000, 20_000), normal_counts(random, shift, 1_000, 20_000)

    assert (drift_p_values(reference, current, threshold) < 0.01).mean() <= 0.0125


def test_a_shift_beyond_the_threshold_is_significant() -> None:
    random = np.random.default_rng(3)
    reference, current = normal_counts(random, 0, 20_000, 200), normal_counts(random, 0.6, 1_000, 200)

    assert (drift_p_values(reference, current, 0.1) < 1e-4).mean() > 0.9
    assert (drift_p_values(reference, current, 0.1, design_effect=50.0) < 1e-4).mean() < 0.05


def test_the_level_of_shares_holds_at_the_boundary_of_the_null() -> None:
    random = np.random.default_rng(4)
    reference, current = random.binomial(5_000, 0.02, 1_500), random.binomial(1_000, 0.03, 1_500)

    assert (
        share_p_values(reference, np.full(1_500, 5_000), current, np.full(1_500, 1_000), 0.01) < 0.01
    ).mean() <= 0.015
    assert float(share_p_values([100], [5_000], [80], [1_000], 0.01)[0]) < 1e-6


def test_holm_is_by_hand() -> None:
    assert holm_adjusted([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@pytest.mark.parametrize("true_nulls", [1, 5, 20])
def test_holm_holds_the_chance_of_any_false_rejection(true_nulls: int) -> None:
    random = np.random.default_rng(5)
    rejected = 0
    for _ in range(4_000):
        p_values = np.concatenate([random.random(true_nulls), np.full(5, 1e-9)])
        rejected += bool((holm_adjusted(p_values)[:true_nulls] < 0.05).any())

    assert rejected / 4_000 <= 0.05 + 0.011


def test_the_level_of_a_window_spends_the_budget_over_the_year() -> None:
    assert fixed_level(1, 365 * 86400, 3600) == pytest.approx(1 / 8760)
    assert fixed_level(100, 3600, 3600) == 1.0

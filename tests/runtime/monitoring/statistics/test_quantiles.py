"""Closed forms beside scipy's exact values."""

import numpy as np
import pytest
from scipy import special, stats

from flywheel_runtime.monitoring.statistics.quantiles import (
    binary_divergence,
    binomial_upper_bound,
    chi_square_upper_quantile,
    log_sum_exp,
    normal_upper_quantile,
)


@pytest.mark.parametrize("tail", [1e-6, 1e-5, 1e-3, 0.1])
@pytest.mark.parametrize(("degrees", "tolerance"), [(1, 0.16), (2, 0.1), (5, 0.05), (20, 0.015), (66, 0.015)])
def test_chi_square_quantile_is_scipys(tail: float, degrees: int, tolerance: float) -> None:
    assert float(chi_square_upper_quantile(tail, degrees)) == pytest.approx(
        stats.chi2.isf(tail, degrees), rel=tolerance
    )


def test_normal_quantile_is_scipys() -> None:
    assert normal_upper_quantile(1e-5) == pytest.approx(stats.norm.isf(1e-5), rel=1e-9)


@pytest.mark.parametrize(("hits", "rows"), [(0, 50), (0, 10_000), (3, 100), (50, 100), (99, 100), (100, 100)])
def test_the_upper_bound_of_a_share_is_at_least_clopper_and_pearsons(hits: int, rows: int) -> None:
    exact = 1.0 if hits == rows else stats.beta.isf(1e-5, hits + 1, rows - hits)

    bound = float(binomial_upper_bound(hits, rows, 1e-5))

    assert exact - 1e-12 <= bound <= min(1.0, exact + 0.6 * (exact - hits / rows) + 1e-9)


def test_binary_divergence_is_that_of_two_bins() -> None:
    assert float(binary_divergence(0.3, 0.6)) == pytest.approx(stats.entropy([0.3, 0.7], [0.6, 0.4]))
    assert float(binary_divergence(0.0, 0.6)) == pytest.approx(-np.log(0.4))
    assert float(binary_divergence(1.0, 0.6)) == pytest.approx(-np.log(0.6))


def test_log_sum_exp_is_scipys() -> None:
    values = np.array([[1.0, 2.0, -np.inf], [800.0, 801.0, 3.0]])

    assert log_sum_exp(values) == pytest.approx(special.logsumexp(values, axis=-1))

"""The design effect: what clusters, bursts and constant columns do to it."""

import numpy as np
import pytest
from scipy import stats

from flywheel_runtime.monitoring.statistics.dependence import (
    DispersionAverages,
    estimate_design_effect,
    measure_dispersion,
)

SHARES = np.full(20, 0.05)


def test_the_dispersion_is_pearsons_statistic_over_its_degrees() -> None:
    blocks = np.random.default_rng(1).multinomial(400, SHARES, size=10).astype(float)

    by_scipy = sum(stats.chi2_contingency(pair).statistic for pair in blocks.reshape(5, 2, 20)) / (5 * 19)
    assert float(measure_dispersion(blocks).value) == pytest.approx(by_scipy)


@pytest.mark.parametrize("size", [1, 5, 20])
def test_clusters_of_equal_rows_have_their_size_as_dispersion(size: int) -> None:
    blocks = size * np.random.default_rng(2).multinomial(300, SHARES, size=(300, 12)).astype(float)

    assert measure_dispersion(blocks).value.mean() == pytest.approx(size, rel=0.05)


def test_the_standard_error_is_that_of_independent_rows() -> None:
    blocks = np.random.default_rng(3).multinomial(400, SHARES, size=(1_000, 60)).astype(float)
    found = measure_dispersion(blocks)

    assert found.value.mean() == pytest.approx(1.0, abs=0.01)
    assert found.value.std() == pytest.approx(found.standard_error.mean(), rel=0.12)


@pytest.mark.parametrize("rows", [2, 17])
def test_sparse_blocks_have_no_larger_error_than_is_said(rows: int) -> None:
    blocks = np.random.default_rng(3).multinomial(rows, SHARES, size=(1_000, 60)).astype(float)
    found = measure_dispersion(blocks)

    assert found.value.mean() <= 1.6 if rows == 2 else found.value.mean() == pytest.approx(1.0, abs=0.05)
    assert found.value.std() <= 1.1 * found.standard_error.mean()


def test_a_daily_cycle_is_no_dependence() -> None:
    hours = np.arange(24)[:, None]
    shares = np.exp(0.2 * np.sin(2 * np.pi * hours / 24) * np.linspace(-1.6, 1.6, 20))
    shares /= shares.sum(axis=1, keepdims=True)
    blocks = np.stack([np.random.default_rng(seed).multinomial(1_000, shares) for seed in range(50)]).astype(float)

    assert measure_dispersion(blocks).value.mean() < 1.15


def test_independent_rows_cost_little() -> None:
    random, averages, factors = np.random.default_rng(4), DispersionAverages(), []
    for _ in range(40):
        blocks = random.multinomial(20, SHARES, size=60).astype(float)
        factor, averages = estimate_design_effect(blocks, None, averages)
        factors.append(factor or 0.0)

    assert 1.0 <= max(factors[8:]) < 1.25


def test_a_burst_from_one_source_damps_its_own_window_and_hardly_the_next() -> None:
    random, averages = np.random.default_rng(5), DispersionAverages()
    for _ in range(10):
        _, averages = estimate_design_effect(random.multinomial(20, SHARES, size=60).astype(float), None, averages)
    burst = random.multinomial(20, SHARES, size=60).astype(float)
    burst[30, 3] += 800
    during, averages = estimate_design_effect(burst, None, averages)
    after, _ = estimate_design_effect(random.multinomial(20, SHARES, size=60).astype(float), None, averages)

    assert during is not None
    assert after is not None
    assert during > 3
    assert after < 1.5


@pytest.mark.parametrize("minute", [3, 30, 59])
def test_a_burst_between_empty_minutes_damps_its_window_too(minute: int) -> None:
    window = np.zeros((60, 20))
    window[[8, 20, 36, 50]] = np.random.default_rng(7).multinomial(75, SHARES, size=4)
    before, _ = estimate_design_effect(window, None, DispersionAverages())
    window[minute, 7] = 5_700

    found, _ = estimate_design_effect(window, None, DispersionAverages())

    assert before is not None
    assert before < 2
    assert found is not None
    assert found > 50


def test_one_document_a_window_is_compared_with_the_window_before() -> None:
    random, averages, previous = np.random.default_rng(6), DispersionAverages(), None
    factors = []
    for _ in range(8):
        counts = 4 * random.multinomial(1_000, SHARES).astype(float)
        factor, averages = estimate_design_effect(counts[None, :], previous, averages)
        factors.append(factor)
        previous = counts

    assert factors[:5] == [None] * 5
    assert factors[7] == pytest.approx(4, rel=0.5)


def test_a_constant_column_cannot_depend_on_anything() -> None:
    factor, _ = estimate_design_effect(np.array([[100.0, 0.0]] * 6), None, DispersionAverages())

    assert factor == 1.0

"""The mean of each e-value is at most 1 wherever the null holds, and they grow where it does not."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from flywheel_runtime.monitoring.statistics.effects import smooth_shares
from flywheel_runtime.monitoring.statistics.evalues import (
    WindowTest,
    distribution_test,
    log_e_values,
    merge_blocks,
    share_test,
)

EDGES = stats.norm.ppf(np.linspace(0, 1, 21))
ONE = np.asarray(1.0)


def normal_shares(shift: float, scale: float = 1.0) -> np.ndarray:
    return np.diff(stats.norm.cdf(EDGES, shift, scale))


def worst_mean_of_a_row(test: WindowTest, shares: np.ndarray) -> float:
    return float(np.einsum("k,km->m", shares, np.exp(test.log_ratios)).max())


def psi(p: np.ndarray, q: np.ndarray) -> float:
    return float(((q - p) * np.log(q / p)).sum())


@pytest.mark.parametrize("ordered", [20, 0])
@pytest.mark.parametrize("threshold", [0.02, 0.1, 0.25])
def test_no_distribution_within_the_threshold_makes_a_bet_profitable(ordered: int, threshold: float) -> None:
    counts = np.random.default_rng(1).multinomial(5_000, normal_shares(0))
    test, reference = distribution_test(counts, threshold, ordered), smooth_shares(counts)
    random = np.random.default_rng(2)
    shares = [normal_shares(shift, scale) for shift in np.linspace(-0.6, 0.6, 25) for scale in (0.8, 1.0, 1.25)]
    shares += list(reference * np.exp(random.normal(0, np.linspace(0.02, 0.6, 500)[:, None], (500, 20))))
    within = [each / each.sum() for each in shares if psi(reference, each / each.sum()) <= threshold]

    assert len(within) > 50
    assert max(worst_mean_of_a_row(test, each) for each in within) <= 1 + 1e-9


@pytest.mark.parametrize("rows", [100, 1_000, 10_000])
def test_the_reference_may_have_erred_in_the_direction_of_the_drift(rows: int) -> None:
    """Over many draws of the reference, with the truth at the threshold: the bets along fixed directions stay fair."""
    random, profitable = np.random.default_rng(3), 0
    at_threshold = [normal_shares(shift) for shift in (0.316, -0.316)]
    for _ in range(100):
        test = distribution_test(random.multinomial(rows, normal_shares(0)), 0.1, 20)
        profitable += any(worst_mean_of_a_row(test, each) > 1 + 1e-9 for each in at_threshold)

    assert profitable == 0


def test_every_shift_beyond_the_threshold_has_a_bet_that_grows() -> None:
    test = distribution_test(np.round(1e6 * normal_shares(0)), 0.1, 20)
    for shares in (
        normal_shares(0.4),
        normal_shares(-0.4),
        normal_shares(1.0),
        normal_shares(0, 1.5),
        normal_shares(0, 0.6),
    ):
        assert float((shares @ test.log_ratios).max()) > 0


def test_each_category_has_a_bet_that_it_grows_or_shrinks() -> None:
    reference = np.array([500_000, 300_000, 200_000])
    test = distribution_test(reference, 0.05, 0)
    for index in range(3):
        for factor in (0.4, 2.0):
            shares = reference * np.where(np.arange(3) == index, factor, 1.0)
            assert float((shares / shares.sum() @ test.log_ratios).max()) > 0


def test_the_learned_alternative_wins_where_no_fixed_one_does() -> None:
    reference = np.full(20, 50_000)
    comb = np.where(np.arange(20) % 2 == 0, 1.6, 0.4) / 20
    test = distribution_test(reference, 0.1, 20)
    blocks = np.round(1_000 * np.tile(comb, (12, 1)))

    log_e, learned = log_e_values(test, test.initial_counts(), blocks, ONE)

    assert log_e[:-2].max() < 0
    assert log_e[-2:].min() > 100
    assert learned.sum(axis=-1) == pytest.approx([12_000, 12_000])


def test_nothing_is_bet_on_a_distribution_within_the_ball() -> None:
    test = distribution_test(np.full(20, 50_000), 0.1, 20)

    log_e, _ = log_e_values(test, test.initial_counts(), np.full((12, 20), 40.0), ONE)

    assert log_e[-2:].tolist() == [0.0, 0.0]
    assert log_e[:-2].max() < 0


def test_the_design_effect_divides_the_evidence() -> None:
    test = distribution_test(np.full(20, 50_000), 0.1, 20)
    blocks = np.round(1_000 * np.tile(normal_shares(0.5), (12, 1)))

    whole, half = (log_e_values(test, test.initial_counts(), blocks, np.asarray(each))[0] for each in (1.0, 2.0))

    assert half[:-2] == pytest.approx(whole[:-2] / 2)


def test_many_streams_at_once_are_each_alone() -> None:
    random = np.random.default_rng(6)
    references = random.multinomial(3_000, normal_shares(0), size=3)
    blocks = random.multinomial(200, normal_shares(0.9), size=(3, 5)).astype(float)
    together = distribution_test(references, 0.1, 20)
    all_e, all_learned = log_e_values(together, together.initial_counts(), blocks, np.ones(3))
    for index in range(3):
        alone = distribution_test(references[index], 0.1, 20)
        log_e, learned = log_e_values(alone, alone.initial_counts(), blocks[index], ONE)
        assert all_e[index] == pytest.approx(log_e)
        assert all_learned[index] == pytest.approx(learned)


@pytest.mark.parametrize(("hits", "rows"), [(0, 10_000), (20, 400), (9_990, 10_000)])
def test_a_share_within_the_allowed_increase_makes_no_bet_profitable(hits: int, rows: int) -> None:
    test = share_test(hits, rows, 0.01)
    means = [worst_mean_of_a_row(test, np.array([q, 1 - q])) for q in np.linspace(0, min(1.0, hits / rows + 0.01), 50)]

    assert max(means) <= 1 + 1e-9


def test_a_share_that_doubles_is_bet_upon() -> None:
    test = share_test(100, 10_000, 0.01)
    log_e, _ = log_e_values(test, test.initial_counts(), np.array([[60.0, 940.0]]), ONE)

    assert log_e.max() > 8


def test_the_weights_are_a_distribution() -> None:
    for test in (
        distribution_test(np.full(9, 100), 0.1, 9),
        distribution_test(np.full(2, 100), 0.1, 0),
        share_test(1, 9, 0.1),
    ):
        assert float(np.exp(test.log_weights).sum()) == pytest.approx(1.0)


def test_merged_blocks_keep_their_sum_and_their_order() -> None:
    blocks = np.arange(26.0).reshape(13, 2)

    merged = merge_blocks(blocks, 4)

    assert merged.shape == (4, 2)
    assert merged.sum(axis=0).tolist() == blocks.sum(axis=0).tolist()
    assert all(first[0] < second[0] for first, second in pairwise(merged))
    assert merge_blocks(blocks[:3], 4) is not None

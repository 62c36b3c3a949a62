"""Differences between groups: bets that are fair at the most, rows that depend on one another, and a gap without bias."""

import numpy as np
import pytest

from flywheel_runtime.monitoring.fairness.group_differences import (
    COMPONENTS,
    PARTS,
    GroupCounts,
    count_outcomes,
    design_effects,
    gap_without_bias,
    log_e_values_of_differences,
    ordered_pairs,
)

LEVELS = np.array([0.0, 1.0])


def draw(random: np.random.Generator, rows: list[int], rates: list[float], cycle: float = 0.0) -> GroupCounts:
    """A window whose rates move together by `cycle` to each side within it."""
    groups = random.permutation(np.repeat(np.arange(len(rows)), rows))
    moved = cycle * np.sin(np.linspace(0, 2 * np.pi, len(groups)))
    outcomes = (random.random(len(groups)) < np.asarray(rates)[groups] + moved).astype(int)
    return count_outcomes(tuple(f"g{each}" for each in range(len(rows))), groups, outcomes, LEVELS)


@pytest.mark.parametrize(
    ("rows", "rates", "cycle"),
    [
        pytest.param([500, 500], [0.6, 0.5], 0.0, id="two groups"),
        pytest.param([1_000, 120], [0.3, 0.2], 0.0, id="of unequal size"),
        pytest.param([300, 300], [0.97, 0.87], 0.0, id="near 1"),
        pytest.param([300, 300], [0.12, 0.02], 0.0, id="near 0"),
        pytest.param([400, 400, 400], [0.3, 0.25, 0.2], 0.0, id="three groups"),
        pytest.param([500, 500], [0.5, 0.4], 0.3, id="a cycle of both"),
    ],
)
def test_no_bet_wins_in_the_mean_at_the_threshold(rows: list[int], rates: list[float], cycle: float) -> None:
    random = np.random.default_rng(1)
    values = np.exp([log_e_values_of_differences(draw(random, rows, rates, cycle), 0.1) for _ in range(2_000)])

    means, errors = values.mean(axis=0), values.std(axis=0) / len(values) ** 0.5
    assert values.shape[1:] == (len(rows) * (len(rows) - 1), COMPONENTS)
    assert (means <= 1 + 4 * errors).all()


def test_a_gap_beyond_the_threshold_pays_in_its_direction_alone() -> None:
    found = draw(np.random.default_rng(2), [2_000, 2_000], [0.5, 0.2])
    forward, backward = log_e_values_of_differences(found, 0.1).max(axis=1)

    assert ordered_pairs(2).tolist() == [[0, 1], [1, 0]]
    assert forward > 20
    assert backward < 0


def test_rows_that_repeat_are_divided_by_their_number_and_a_common_cycle_is_not() -> None:
    random, repeats, cycles = np.random.default_rng(3), [], []
    for _ in range(60):
        outcomes = np.repeat((random.random(200) < 0.3).astype(int), 10)
        groups = np.repeat(random.integers(0, 2, 200), 10)
        repeats.append(design_effects(count_outcomes(("a", "b"), groups, outcomes, LEVELS))[0])
        cycles.append(design_effects(draw(random, [1_000, 1_000], [0.5, 0.4], cycle=0.3))[0])

    assert np.median(repeats) == pytest.approx(10, rel=0.4)
    assert np.median(cycles) < 1.5


def test_a_design_effect_of_outcomes_that_do_not_vary_is_one() -> None:
    found = count_outcomes(("a", "b"), np.arange(240) % 2, np.zeros(240, int), LEVELS)

    assert design_effects(found).tolist() == [1.0, 1.0]


def test_the_gap_is_that_of_the_rates_although_many_groups_are_compared() -> None:
    random = np.random.default_rng(4)
    equal = [gap_without_bias(draw(random, [300] * 8, [0.4] * 8)) for _ in range(300)]
    apart = [gap_without_bias(draw(random, [300] * 8, [0.6, *[0.4] * 7])) for _ in range(300)]
    observed = [float(np.ptp(draw(random, [300] * 8, [0.4] * 8).means)) for _ in range(300)]

    assert np.mean(equal) < 0.03 < 0.06 < np.mean(observed)
    assert np.mean(apart) == pytest.approx(0.2, abs=0.01)


def test_a_group_that_half_of_the_window_does_not_have_gives_no_gap() -> None:
    counts = np.zeros((PARTS, 2, 2), int)
    counts[:, 0, 0], counts[0::2, 1, 1] = 10, 10

    assert gap_without_bias(GroupCounts(("a", "b"), LEVELS, counts)) == 0.0


def test_counts_are_in_the_order_of_the_rows() -> None:
    found = count_outcomes(("a", "b"), np.array([0] * 12 + [1] * 12), np.array([1] * 12 + [0] * 12), LEVELS)

    assert (found.rows.tolist(), found.means.tolist()) == ([12, 12], [1.0, 0.0])
    assert found.counts.sum(axis=(1, 2)).tolist() == [2] * 12
    assert found.counts[:6, 1].sum() == 0
    assert found.select(np.array([1])).names == ("b",)

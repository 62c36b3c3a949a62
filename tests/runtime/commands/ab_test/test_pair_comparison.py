"""The stopping rule of an A/B test: its e-values by hand, their laws, and simulations of whole tests that are looked at again and again."""

import itertools
import math
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel_runtime.commands.ab_test.pair_comparison import (
    compare_arms,
    log_evidence,
    log_evidence_of_split,
    pair_outcomes,
)
from flywheel_runtime.monitoring.statistics.betting import BETS
from flywheel_runtime.statistics.metrics import Array

ALPHA, LEAST_EFFECT = 0.05, 0.1
PAIRS, LOOK_PAIRS = 1_500, 50
Draw = Callable[[np.random.Generator], tuple[Array, Array]]

differences = st.lists(st.floats(-1, 1, allow_nan=False), min_size=1, max_size=30).map(np.array)


def test_the_evidence_is_what_bets_on_each_pair_win() -> None:
    found = np.array([1.0, 0.0, -1.0, 1.0])
    better = np.mean([np.prod(1 + bet * found) for bet in BETS])
    not_better = np.mean([np.prod(1 + bet * (0.1 - found) / 0.9) for bet in BETS])

    assert np.exp(log_evidence(found, 0.1)) == pytest.approx((better, not_better))


def test_the_mean_of_the_evidence_is_one_where_there_is_no_effect() -> None:
    worlds = itertools.product((-1.0, 0.0, 1.0), repeat=6)  # each as likely as any other

    assert np.mean([math.exp(log_evidence(np.array(each), 0.1)[0]) for each in worlds]) == pytest.approx(1.0)


@given(differences, st.floats(0.01, 0.5))
def test_a_decision_and_the_confidence_bounds_agree(found: Array, least_effect: float) -> None:
    comparison = compare_arms(found, least_effect, ALPHA)
    needed = -math.log(ALPHA)

    assert comparison.low <= comparison.effect <= comparison.high
    assert (comparison.log_better >= needed) == (comparison.low >= -1e-9) or abs(comparison.log_better - needed) < 1e-6
    is_ruled_out = comparison.high <= least_effect + 1e-9
    assert (comparison.log_not_better >= needed) == is_ruled_out or abs(comparison.log_not_better - needed) < 1e-6


@given(differences)
def test_swapped_arms_have_mirrored_bounds(found: Array) -> None:
    one, other = compare_arms(found, 0.1, ALPHA), compare_arms(-found, 0.1, ALPHA)

    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))


@pytest.mark.parametrize(
    ("share", "champions", "challengers", "expected"),
    [
        pytest.param(0.5, [0, 0, 1], [1, 0], [1, 0], id="equal arms"),
        pytest.param(0.25, [0, 0, 1, 1], [1], [1 - 1 / 3], id="a pair has three of the champion's units"),
        pytest.param(0.75, [0], [1, 0, 1], [2 / 3], id="or of the challenger's"),
        pytest.param(0.5, [], [1], [], id="one arm alone"),
    ],
)
def test_pairs_are_the_next_units_of_both_arms(
    share: float, champions: list[float], challengers: list[float], expected: list[float]
) -> None:
    assert pair_outcomes(champions, challengers, share).tolist() == pytest.approx(expected)


def test_without_a_pair_nothing_is_known() -> None:
    found = compare_arms([], 0.1, ALPHA)

    assert (found.low, found.high) == pytest.approx((-1, 1))
    assert (found.pairs, found.log_better, found.log_not_better) == (0, 0, 0)


def test_a_split_that_cannot_be_chance_is_seen_and_one_that_can_is_not() -> None:
    assert log_evidence_of_split(500, 1_000, 0.5) < 0
    assert log_evidence_of_split(400, 1_000, 0.5) > -math.log(0.001)
    assert log_evidence_of_split(0, 0, 0.1) == 0


def binary(champion: float, challenger: float) -> Draw:
    """Units with an outcome of 1 with these probabilities."""

    def draw(random: np.random.Generator) -> tuple[Array, Array]:
        chances = random.random((2, PAIRS))
        return (chances[0] < champion).astype(float), (chances[1] < challenger).astype(float)

    return draw


def clustered(random: np.random.Generator) -> tuple[Array, Array]:
    """Users with up to 20 rows each, of which a user's share is 1: the outcome of a unit is the mean over its rows."""
    arms = []
    for _ in range(2):
        share, rows = random.beta(0.5, 0.5, PAIRS), random.integers(1, 21, PAIRS)
        arms.append(random.binomial(rows, share) / rows)
    return arms[0], arms[1]


def rows_of_clusters(random: np.random.Generator) -> tuple[Array, Array]:
    """The same users with 20 rows each, where each row is wrongly taken for a unit."""
    share = random.beta(0.5, 0.5, (2, PAIRS // 20)).repeat(20, axis=1)
    found = (random.random(share.shape) < share).astype(float)
    return found[0], found[1]


def moving(random: np.random.Generator) -> tuple[Array, Array]:
    """A level that moves slowly and in a cycle, for both arms alike."""
    noise, level = random.normal(0, 0.03, PAIRS), np.zeros(PAIRS)
    for at in range(1, PAIRS):
        level[at] = 0.98 * level[at - 1] + noise[at]
    chance = np.clip(0.5 + level + 0.3 * np.sin(np.arange(PAIRS) / 40), 0, 1)
    found = random.random((2, PAIRS)) < chance
    return found[0].astype(float), found[1].astype(float)


def run(draw: Draw, runs: int) -> Counter[str]:
    """How so many tests end that are looked at after each fifty pairs."""
    random, needed, ends = np.random.default_rng(41), -math.log(ALPHA), Counter[str]()
    for _ in range(runs):
        pairs, end = pair_outcomes(*draw(random), 0.5), "Inconclusive"
        for known in range(LOOK_PAIRS, PAIRS + 1, LOOK_PAIRS):
            better, not_better = log_evidence(pairs[:known], LEAST_EFFECT)
            if max(better, not_better) >= needed:
                end = "NotBetter" if not_better >= needed else "Better"
                break
        ends[end] += 1
    return ends


COUNTS = [
    pytest.param(300, id="300 tests", marks=pytest.mark.integration),
    pytest.param(10_000, id="10,000 tests", marks=[pytest.mark.integration, pytest.mark.long_run]),
]


def at_most(runs: int, chance: float) -> float:
    """What a count with that chance exceeds in one of 1,000 simulations."""
    return runs * chance + 3.1 * math.sqrt(runs * chance * (1 - chance))


@pytest.mark.parametrize("runs", COUNTS)
@pytest.mark.parametrize(
    "draw", [binary(0.5, 0.5), binary(0.1, 0.1), clustered, moving], ids=["even", "rare", "users with many rows", "a level that moves"]
)  # fmt: skip
def test_without_an_effect_few_challengers_are_promoted_however_often_it_is_looked_at(draw: Draw, runs: int) -> None:
    ends = run(draw, runs)

    assert ends["Better"] <= at_most(runs, ALPHA), ends
    assert ends["NotBetter"] > 0.8 * runs, ends


@pytest.mark.parametrize("runs", COUNTS)
@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_a_challenger_that_is_better_by_the_least_effect_is_found(rate: float, runs: int) -> None:
    ends = run(binary(rate, rate + LEAST_EFFECT), runs)

    assert ends["Better"] > 0.9 * runs, ends
    assert ends["NotBetter"] <= at_most(runs, ALPHA), ends


@pytest.mark.integration
def test_rows_of_one_user_that_are_taken_for_units_would_promote_too_many() -> None:
    assert run(rows_of_clusters, 300)["Better"] > at_most(300, ALPHA)

"""The stopping rule of an A/B test: its e-values by hand, their laws, and simulations of whole tests that are looked at again and again."""

import itertools
import math
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel_runtime.commands.ab_test.arm_comparison import (
    Gains,
    compare_arms,
    log_evidence,
    log_evidence_of_split,
    unit_gains,
)
from flywheel_runtime.monitoring.statistics.betting import BETS
from flywheel_runtime.statistics.metrics import Array

ALPHA, LEAST_EFFECT = 0.05, 0.1
UNITS, LOOK_UNITS = 3_000, 100
SHARES = (0.5, 0.3, 0.4)
Draw = Callable[[np.random.Generator, Array], Array]

units = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=30)


def test_the_evidence_is_what_bets_on_each_unit_win() -> None:
    found = np.array([2.0, 0.0, -2.0, 2.0])
    better = np.mean([np.prod(1 + bet * found / 2) for bet in BETS])
    not_better = np.mean([np.prod(1 + bet * (0.1 - found) / (2 - 0.1)) for bet in BETS])

    assert np.exp(log_evidence(Gains(found, 2.0), 0.1)) == pytest.approx((better, not_better))


def test_a_unit_gains_its_distance_from_those_before_over_the_probability_of_its_arm() -> None:
    found = unit_gains([1, 1, 0], [True, False, True], 0.25)

    assert found.values.tolist() == pytest.approx([(1 - 0.5) / 0.25, -(1 - 0.75) / 0.75, (0 - 2.5 / 3) / 0.25])
    assert found.bound == 4


def test_the_centre_follows_the_level_of_the_units_just_before() -> None:
    found = unit_gains(np.repeat([0.0, 1.0], 1_000), np.ones(2_000), 0.5)

    assert (found.values[1_000], found.values[-1]) == pytest.approx((2.0, 0.0), abs=0.01)


@pytest.mark.parametrize("share", SHARES)
def test_the_mean_of_the_evidence_is_one_where_there_is_no_effect_whatever_the_outcomes(share: float) -> None:
    outcomes = [0.0, 0.1, 0.9, 0.4, 1.0, 1.0]  # they rise, for both arms alike
    found = 0.0
    for assigned in itertools.product((True, False), repeat=len(outcomes)):
        chance = math.prod(share if each else 1 - share for each in assigned)
        found += chance * math.exp(log_evidence(unit_gains(outcomes, assigned, share), 0.1)[0])

    assert found == pytest.approx(1.0)


@given(units, st.floats(0.01, 0.5), st.floats(0.01, 0.99))
def test_a_decision_and_the_confidence_bounds_agree(
    found: list[tuple[float, bool]], least_effect: float, share: float
) -> None:
    outcomes, assigned = zip(*found, strict=True)
    comparison = compare_arms(outcomes, assigned, share, least_effect, ALPHA)
    needed = -math.log(ALPHA)

    assert -1 <= comparison.low <= comparison.effect <= comparison.high <= 1
    assert (comparison.log_better >= needed) == (comparison.low >= -1e-9) or abs(comparison.log_better - needed) < 1e-6
    is_ruled_out = comparison.high <= least_effect + 1e-9
    assert (comparison.log_not_better >= needed) == is_ruled_out or abs(comparison.log_not_better - needed) < 1e-6


@given(units, st.floats(0.01, 0.99))
def test_no_gain_is_beyond_its_bound(found: list[tuple[float, bool]], share: float) -> None:
    outcomes, assigned = zip(*found, strict=True)
    gains = unit_gains(outcomes, assigned, share)

    assert np.abs(gains.values).max() <= gains.bound


@given(units, st.floats(0.01, 0.99))
def test_swapped_arms_have_mirrored_bounds(found: list[tuple[float, bool]], share: float) -> None:
    outcomes, assigned = (np.array(each) for each in zip(*found, strict=True))
    one = compare_arms(outcomes, assigned, share, 0.1, ALPHA)
    other = compare_arms(outcomes, ~assigned, 1 - share, 0.1, ALPHA)

    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))


def test_without_a_unit_nothing_is_known() -> None:
    found = compare_arms([], [], 0.5, 0.1, ALPHA)

    assert (found.effect, found.low, found.high) == pytest.approx((0, -1, 1))
    assert (found.log_better, found.log_not_better) == (0, 0)


def test_a_split_that_cannot_be_chance_is_seen_and_one_that_can_is_not() -> None:
    assert log_evidence_of_split(500, 1_000, 0.5) < 0
    assert log_evidence_of_split(400, 1_000, 0.5) > -math.log(0.001)
    assert log_evidence_of_split(0, 0, 0.1) == 0


def binary(champion: float, challenger: float) -> Draw:
    """Units with an outcome of 1 with these probabilities."""
    return lambda random, assigned: draw_binary(random, np.where(assigned, challenger, champion))


def trend(start: float, end: float) -> Draw:
    """A level that rises or falls for both arms alike."""
    return lambda random, assigned: draw_binary(random, np.linspace(start, end, len(assigned)))


def draw_binary(random: np.random.Generator, chances: Array) -> Array:
    return (random.random(len(chances)) < chances).astype(float)


def clustered(random: np.random.Generator, assigned: Array) -> Array:
    """Users with up to 20 rows each, of which a user's share is 1: the outcome of a unit is the mean over its rows."""
    share, rows = random.beta(0.5, 0.5, len(assigned)), random.integers(1, 21, len(assigned))
    return random.binomial(rows, share) / rows


def moving(random: np.random.Generator, assigned: Array) -> Array:
    """A level that moves slowly and in a cycle, for both arms alike."""
    count = len(assigned)
    noise, level = random.normal(0, 0.03, count), np.zeros(count)
    for at in range(1, count):
        level[at] = 0.98 * level[at - 1] + noise[at]
    return draw_binary(random, np.clip(0.5 + level + 0.3 * np.sin(np.arange(count) / 40), 0, 1))


def assign(random: np.random.Generator, share: float) -> Array:
    return random.random(UNITS) < share


def end_of(outcomes: Array, assigned: Array, share: float, least_effect: float) -> tuple[str, int]:
    """How a test ends that is looked at after each hundred units, and after how many."""
    needed = -math.log(ALPHA)
    gains = unit_gains(outcomes, assigned, share)
    for known in range(LOOK_UNITS, len(outcomes) + 1, LOOK_UNITS):
        better, not_better = log_evidence(Gains(gains.values[:known], gains.bound), least_effect)
        if max(better, not_better) >= needed:
            return "NotBetter" if not_better >= needed else "Better", known
    return "Inconclusive", len(outcomes)


def run(draw: Draw, runs: int, share: float = 0.5, least_effect: float = LEAST_EFFECT) -> Counter[str]:
    """How so many tests end."""
    random, ends = np.random.default_rng(41), Counter[str]()
    for _ in range(runs):
        assigned = assign(random, share)
        ends[end_of(draw(random, assigned), assigned, share, least_effect)[0]] += 1
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
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize(
    "draw",
    [
        pytest.param(trend(0.2, 0.8), marks=pytest.mark.long_run, id="rising"),
        pytest.param(trend(0.8, 0.2), id="falling"),
    ],
)
def test_a_trend_promotes_no_challenger_that_is_equal_and_rejects_none_that_is_better(
    draw: Draw, share: float, runs: int
) -> None:
    ends = run(draw, runs, share, least_effect=0.05)

    assert ends["Better"] <= at_most(runs, ALPHA), ends

    def with_gain(random: np.random.Generator, assigned: Array) -> Array:
        return 0.95 * draw(random, assigned) + 0.05 * assigned

    assert run(with_gain, runs, share, least_effect=0.05)["NotBetter"] <= at_most(runs, ALPHA)


@pytest.mark.parametrize("runs", COUNTS)
@pytest.mark.parametrize("draw", [trend(0.2, 0.8), trend(0.8, 0.2)], ids=["rising", "falling"])
def test_labels_that_fewer_of_one_arm_have_promote_few_before_their_rate_is_seen(draw: Draw, runs: int) -> None:
    random, promoted = np.random.default_rng(43), 0
    for _ in range(runs):
        assigned = assign(random, 0.5)
        outcomes, is_labelled = draw(random, assigned), ~assigned | (random.random(UNITS) < 0.8)
        promoted += end_of(outcomes[is_labelled], assigned[is_labelled], 0.5, 0.05)[0] == "Better"

    assert promoted <= at_most(runs, ALPHA)


@pytest.mark.parametrize("runs", COUNTS)
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_a_challenger_that_is_better_by_the_least_effect_is_found(rate: float, share: float, runs: int) -> None:
    ends = run(binary(rate, rate + LEAST_EFFECT), runs, share)

    assert ends["Better"] > 0.9 * runs, ends
    assert ends["NotBetter"] <= at_most(runs, ALPHA), ends


@pytest.mark.integration
def test_as_many_users_are_needed_as_the_documents_say() -> None:
    random = np.random.default_rng(47)

    def needed(rate: float, share: float) -> float:
        found = []
        for _ in range(200):
            assigned = assign(random, share)
            found.append(end_of(binary(0.5, rate)(random, assigned), assigned, share, LEAST_EFFECT)[1])
        return float(np.median(found))

    assert needed(0.6, 0.5) <= 1_100
    assert needed(0.5, 0.5) <= 1_100
    assert needed(0.6, 0.3) <= 1_300


@pytest.mark.integration
def test_rows_of_one_user_that_are_taken_for_units_would_promote_too_many() -> None:
    random, promoted = np.random.default_rng(41), 0
    for _ in range(300):
        users = UNITS // 20
        assigned, share = (random.random(users) < 0.5).repeat(20), random.beta(0.5, 0.5, users).repeat(20)
        promoted += end_of(draw_binary(random, share), assigned, 0.5, LEAST_EFFECT)[0] == "Better"

    assert promoted > at_most(300, ALPHA)

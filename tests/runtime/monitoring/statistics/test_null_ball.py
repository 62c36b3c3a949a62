"""The ball around the reference contains the null, and its projections are the best bets that are fair there."""

import numpy as np
import pytest
from scipy import optimize, stats

from flywheel_runtime.monitoring.statistics.effects import smooth_shares
from flywheel_runtime.monitoring.statistics.null_ball import (
    hellinger_distance,
    project_onto_ball,
    radius_in_all_directions,
    radius_in_one_direction,
)


def random_shares(random: np.random.Generator, count: int, bins: int = 12) -> np.ndarray:
    shares: np.ndarray = random.dirichlet(np.full(bins, 0.7), size=count) * (1 - 1e-6) + 1e-6 / bins
    return shares


def psi(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    index: np.ndarray = ((q - p) * np.log(q / p)).sum(axis=-1)
    return index


def test_psi_is_at_least_the_squared_distance() -> None:
    random = np.random.default_rng(1)
    p, q = random_shares(random, 5_000), random_shares(random, 5_000)

    assert (psi(p, q) >= hellinger_distance(np.sqrt(p), q) ** 2).all()


def test_psi_is_nearly_the_squared_distance_of_a_small_difference() -> None:
    edges = stats.norm.ppf(np.linspace(0, 1, 21))
    p, q = np.diff(stats.norm.cdf(edges)), np.diff(stats.norm.cdf(edges, 0.3))

    assert float(hellinger_distance(np.sqrt(p), q)) ** 2 == pytest.approx(float(psi(p, q)), rel=0.02)


def test_the_projection_lies_on_the_sphere_and_bets_on_it_are_fair_in_the_ball() -> None:
    random = np.random.default_rng(2)
    p, alternative = random_shares(random, 300), random_shares(random, 300)
    radius = random.uniform(0.05, 1.0, 300)
    q = project_onto_ball(np.sqrt(p), radius, alternative)
    is_outside = hellinger_distance(np.sqrt(p), alternative) > radius
    for _ in range(300):
        inside = project_onto_ball(np.sqrt(p), radius * random.uniform(0, 1), random_shares(random, 300))
        assert ((inside * alternative / q).sum(axis=-1) <= 1 + 1e-9).all()

    assert hellinger_distance(np.sqrt(p), q)[is_outside] == pytest.approx(radius[is_outside], abs=1e-6)


@pytest.mark.parametrize("radius", [0.005, 0.1, 1.0, 2.0])
@pytest.mark.parametrize("bins", [2, 12, 50])
def test_the_projection_is_no_further_in_than_the_sphere_and_hardly_further_out(radius: float, bins: int) -> None:
    random = np.random.default_rng(6)
    p, alternative = random_shares(random, 200, bins), random_shares(random, 200, bins)
    is_outside = hellinger_distance(np.sqrt(p), alternative) > radius

    distance = hellinger_distance(np.sqrt(p), project_onto_ball(np.sqrt(p), np.full(200, radius), alternative))

    assert (distance[is_outside] >= radius - 1e-11).all()
    assert (distance[is_outside] <= radius * (1 + 1e-7)).all()


def test_the_projection_has_the_least_divergence() -> None:
    p, alternative, radius = np.array([0.4, 0.3, 0.2, 0.1]), np.array([0.1, 0.2, 0.2, 0.5]), 0.3
    best = optimize.minimize(
        lambda q: -(alternative * np.log(q)).sum(),
        p,
        bounds=[(1e-9, 1)] * 4,
        constraints=[
            {"type": "eq", "fun": lambda q: q.sum() - 1},
            {"type": "ineq", "fun": lambda q: radius - float(hellinger_distance(np.sqrt(p), q))},
        ],
    )

    assert project_onto_ball(np.sqrt(p), np.asarray(radius), alternative) == pytest.approx(best.x, abs=1e-4)


def test_an_alternative_in_the_ball_is_its_own_projection() -> None:
    p = np.array([0.5, 0.5])

    assert project_onto_ball(np.sqrt(p), np.asarray(0.5), np.array([0.52, 0.48])).tolist() == [0.52, 0.48]


@pytest.mark.parametrize("shares", [np.full(20, 0.05), np.array([0.9, 0.09, 0.009, 0.0009, 0.0001])])
@pytest.mark.parametrize("rows", [100, 1_000, 100_000])
def test_the_reference_is_within_the_radius_of_a_threshold_of_zero(shares: np.ndarray, rows: int) -> None:
    drawn = np.random.default_rng(4).multinomial(rows, shares, size=100_000)
    distance = hellinger_distance(np.sqrt(shares), smooth_shares(drawn))

    assert (distance > radius_in_all_directions(0.0, rows, len(shares))).mean() <= 1e-4


def test_more_reference_rows_and_fewer_directions_make_the_ball_smaller() -> None:
    assert radius_in_all_directions(0.1, 1e12, 20) == pytest.approx(np.sqrt(0.1), rel=1e-3)
    assert radius_in_all_directions(0.1, 1_000, 20) > radius_in_all_directions(0.1, 10_000, 20)
    assert radius_in_one_direction(0.1, 1_000, 4) < radius_in_all_directions(0.1, 1_000, 20)
    assert radius_in_all_directions(0.1, 0, 20) == 2.8

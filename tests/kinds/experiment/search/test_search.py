"""The next trial is a pure function of seed, number and history."""

import subprocess
import sys
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.kinds.experiment.search.sampler import Algorithm, importance, suggest
from flywheel.kinds.experiment.search.space import (
    Branch,
    CategoricalDimension,
    IntegerDimension,
    PastTrial,
    Point,
    RealDimension,
    Space,
    parameters_of,
    point_of,
    space_size,
)
from tests.examples import examples

BOOSTING = Branch(
    "Boosting", {"rate": RealDimension(Decimal("0.02"), Decimal("0.3"), log=True), "leaves": IntegerDimension(15, 127)}
)
LINEAR = Branch(
    "Linear",
    {"C": RealDimension(Decimal("0.001"), Decimal(10), log=True), "penalty": CategoricalDimension(("l1", "l2"))},
)
WIDE: Space = (BOOSTING, LINEAR)
SMALL: Space = (
    Branch(
        "",
        {
            "depth": IntegerDimension(2, 8, step=2),
            "share": RealDimension(Decimal("0.1"), Decimal("0.3"), step=Decimal("0.1")),
        },
    ),
)
PLAIN: Space = (Branch(""),)


def quality(point: Point) -> float:
    """A landscape whose top is the branch Boosting with a rate near 0.1."""
    return 1.0 - abs(float(point[2]) - 0.1) if point[0] == 0 and len(point) == 3 else 0.5


def search(
    space: Space, trials: int, *, algorithm: Algorithm = "TPE", seed: int = 7, budget: int = 100
) -> list[PastTrial]:
    past: list[PastTrial] = []
    for trial in range(1, trials + 1):
        point = suggest(space, past, trial=trial, algorithm=algorithm, seed=seed, maximize=True, budget=budget)
        if point is None:
            break
        past.append(PastTrial(point, quality(point)))
    return past


@pytest.mark.parametrize("algorithm", ["TPE", "Random"])
def test_the_same_seed_searches_alike(algorithm: Algorithm) -> None:
    assert search(WIDE, 12, algorithm=algorithm) == search(WIDE, 12, algorithm=algorithm)
    assert search(WIDE, 12, algorithm=algorithm) != search(WIDE, 12, algorithm=algorithm, seed=8)


def test_another_process_searches_alike() -> None:
    program = (
        "from decimal import Decimal\n"
        "from flywheel.kinds.experiment.search.sampler import *\nfrom flywheel.kinds.experiment.search.space import *\n"
        "space = (Branch('a', {'rate': RealDimension(Decimal('0.02'), Decimal('0.3'), log=True), 'kind': CategoricalDimension(('x', 'y'))}), Branch('b', {'n': IntegerDimension(1, 99)}))\n"
        "past = []\n"
        "for trial in range(1, 10):\n"
        "    point = suggest(space, past, trial=trial, algorithm='TPE', seed=3, maximize=False, budget=99)\n"
        "    past.append(PastTrial(point, float(point[1])))\n"
        "print([each.point for each in past])\n"
    )

    def suggested_points(hash_seed: str) -> str:
        environment = {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path)}
        ran = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        return ran.stdout

    assert suggested_points("1") == suggested_points("2") != ""


def test_every_estimator_is_tried_before_one_is_preferred() -> None:
    assert [each.point[0] for each in search(WIDE, 2)] == [0, 1]


def test_tpe_finds_the_better_branch_and_place() -> None:
    late = search(WIDE, 40)[20:]

    assert sum(each.point[0] == 0 for each in late) > 10
    assert max(each.value or 0 for each in late) > 0.98


def test_a_running_trial_is_not_asked_twice() -> None:
    past = search(WIDE, 8)
    first = suggest(WIDE, past, trial=9, algorithm="TPE", seed=7, maximize=True, budget=100)
    assert first is not None
    second = suggest(
        WIDE, [*past, PastTrial(first, running=True)], trial=10, algorithm="TPE", seed=7, maximize=True, budget=100
    )

    assert second not in {each.point for each in past} | {first}


@pytest.mark.parametrize("algorithm", ["TPE", "Random", "Grid"])
def test_a_space_within_the_budget_is_walked_through_once(algorithm: Algorithm) -> None:
    visited = [each.point for each in search(SMALL, 50, algorithm=algorithm)]

    assert space_size(SMALL) == 12
    assert len(visited) == len(set(visited)) == 12
    assert {point[2] for point in visited} == {0.1, 0.2, 0.3}


def test_a_grid_beyond_the_budget_starts_all_over_the_place() -> None:
    large: Space = (Branch("", {"a": IntegerDimension(1, 10**6), "b": IntegerDimension(1, 10**6)}),)

    visited = [each.point for each in search(large, 20, algorithm="Grid", budget=20)]

    assert len({point[1] for point in visited}) > 10
    assert len({point[2] for point in visited}) > 10


def test_a_space_of_one_point_is_one_plain_training() -> None:
    assert [each.point for each in search(PLAIN, 5)] == [(0,)]


def test_two_estimators_without_a_space_are_two_trainings() -> None:
    assert sorted(each.point for each in search((Branch("A"), Branch("B")), 5)) == [(0,), (1,)]


def test_a_point_reads_as_parameters() -> None:
    assert parameters_of(WIDE, (1, 0.5, 1)) == ("Linear", {"C": 0.5, "penalty": "l2"})


def test_failed_points_are_not_tried_again_and_do_not_inform_the_sampler() -> None:
    past = [replace(each, value=None) for each in search(WIDE, 8)]

    point = suggest(WIDE, past, trial=9, algorithm="TPE", seed=7, maximize=True, budget=100)

    assert point not in {each.point for each in past}


dimensions = st.one_of(
    st.tuples(st.integers(1, 50), st.integers(1, 50), st.booleans()).map(
        lambda it: RealDimension(Decimal(it[0]) / 10, Decimal(it[0] + it[1]) / 10, log=it[2])
    ),
    st.tuples(st.integers(0, 9), st.integers(1, 20), st.integers(1, 3)).map(
        lambda it: RealDimension(Decimal(it[0]) / 7, Decimal(it[0]) / 7 + Decimal(it[1]) / 10, step=Decimal(it[2]) / 10)
    ),
    st.tuples(st.integers(1, 50), st.integers(1, 500), st.booleans()).map(
        lambda it: IntegerDimension(it[0], it[0] + it[1], log=it[2])
    ),
    st.tuples(st.integers(-50, 50), st.integers(1, 500), st.integers(1, 7)).map(
        lambda it: IntegerDimension(it[0], it[0] + it[1], step=it[2])
    ),
    st.integers(1, 4).map(lambda count: CategoricalDimension(tuple("abcd"[:count]))),
)
branches = st.dictionaries(st.sampled_from("pqrs"), dimensions, max_size=4)
spaces = st.lists(branches, min_size=1, max_size=3).map(
    lambda found: tuple(Branch(str(i), each) for i, each in enumerate(found))
)


def within(dimension: RealDimension | IntegerDimension | CategoricalDimension, value: float | int) -> bool:
    if isinstance(dimension, CategoricalDimension):
        return 0 <= value < dimension.size
    return float(dimension.low) <= value <= float(dimension.high)


@settings(max_examples=examples(40, ci=10), deadline=None)
@given(space=spaces, seed=st.integers(0, 2**31 - 1), algorithm=st.sampled_from(["TPE", "Random"]))
def test_any_space_gives_points_within_it(space: Space, seed: int, algorithm: Algorithm) -> None:
    past: list[PastTrial] = []
    for trial in range(1, 11):
        point = suggest(space, past, trial=trial, algorithm=algorithm, seed=seed, maximize=False, budget=10)
        if point is None:
            assert space_size(space) == len(past)
            break
        found = dict(zip(dict(space[int(point[0])].ordered), point[1:], strict=True))
        assert all(within(space[int(point[0])].dimensions[name], value) for name, value in found.items())
        assert point_of(space, *parameters_of(space, point)) == point
        past.append(PastTrial(point, float(sum(point)), running=False))


def test_what_decides_is_important() -> None:
    space: Space = (Branch("", {"matters": IntegerDimension(1, 100), "not": IntegerDimension(1, 100)}),)
    past = [PastTrial((0, number, number * 37 % 101), value=number / 100) for number in range(1, 60)]

    shares = importance(space, past, maximize=True)

    assert list(shares) == ["matters", "not"]
    assert shares["matters"] > 0.8
    assert sum(shares.values()) == pytest.approx(1)


def test_of_several_estimators_the_choice_and_their_parameters_are_named() -> None:
    assert set(importance(WIDE, search(WIDE, 30), maximize=True)) <= {
        "estimator", "Boosting.rate", "Boosting.leaves", "Linear.C", "Linear.penalty",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("space", "past"),
    [
        pytest.param(WIDE, search(WIDE, 7), id="too few trials"),
        pytest.param(WIDE, [replace(each, value=0.5) for each in search(WIDE, 9)], id="all are equal"),
        pytest.param(PLAIN, [PastTrial((0,), 0.5)] * 9, id="nothing was searched"),
        pytest.param(WIDE, [PastTrial(each.point, each.value, step=3) for each in search(WIDE, 9)], id="all pruned"),
    ],
)
def test_nothing_is_said_about_importance(space: Space, past: list[PastTrial]) -> None:
    assert importance(space, past, maximize=True) == {}


@pytest.mark.parametrize("good", ["low", "high"])
def test_the_sampler_prefers_where_pruned_trials_were_better_when_they_ended(good: str) -> None:
    space: Space = (Branch("", {"x": RealDimension(Decimal(0), Decimal(1))}),)
    past = [PastTrial((0, x / 20), value=x / 20 if good == "high" else 1 - x / 20, step=10) for x in range(20)]
    points = [
        suggest(space, past, trial=21, algorithm="TPE", seed=seed, maximize=True, budget=100) for seed in range(10)
    ]
    mean = sum(float(point[1]) for point in points if point is not None) / 10

    assert mean > 0.6 if good == "high" else mean < 0.4

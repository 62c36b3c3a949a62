"""The next point of a search: a pure function of seed, trial number and history. No database, and no study that lives on."""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from flywheel.kinds.experiment.search.scikit_learn import default_coordinate
from flywheel.kinds.experiment.search.space import PastTrial, Point, Space, space_size

Algorithm = Literal["TPE", "Random", "Grid"]

RANDOM_TRIALS = 5  # TPE learns nothing from fewer results
MAX_GRID_POINTS = 2000
MIN_TRIALS_FOR_IMPORTANCE = 8  # that succeeded
MAX_DRAWS = 20  # to find a point that was not tried yet


def suggest(
    space: Space,
    past: Sequence[PastTrial],
    *,
    trial: int,
    algorithm: Algorithm,
    seed: int,
    maximize: bool,
    budget: int,
    earlier: Sequence[PastTrial] = (),
    stopped: frozenset[int] = frozenset(),
) -> Point | None:
    """The point of the next trial, or None where all have been tried. `earlier` are other searches' trials, which inform this one and may be tried again.

    Every branch is tried once, with scikit-learn's defaults, before any is preferred; one that is `stopped` is not tried at all. A space
    with no more points than the budget is searched exhaustively, whatever the algorithm, so a space of one point is a single training.
    """
    remaining = [branch for branch in range(len(space)) if branch not in stopped]
    if not remaining:
        return None
    point = _suggest_anywhere(
        tuple(space[branch] for branch in remaining),
        _in_branches(past, remaining),
        _in_branches(earlier, remaining),
        trial=trial,
        algorithm=algorithm,
        seed=seed,
        maximize=maximize,
        budget=budget,
    )
    return None if point is None else (remaining[int(point[0])], *point[1:])


def _suggest_anywhere(
    space: Space,
    past: Sequence[PastTrial],
    earlier: Sequence[PastTrial],
    *,
    trial: int,
    algorithm: Algorithm,
    seed: int,
    maximize: bool,
    budget: int,
) -> Point | None:
    tried = {each.point for each in past}
    points = space_size(space)
    known = tried | {each.point for each in earlier}
    untried = [branch for branch in range(len(space)) if all(point[0] != branch for point in known)]
    is_exhaustive = points is not None and (algorithm == "Grid" or points <= budget)
    if untried and not (is_exhaustive and space[untried[0]].name == ""):
        return _first_point(space, untried[0], random.Random(f"{seed}:{trial}"))
    if points is not None and is_exhaustive:
        return next((point for point in _grid_points(space, points, seed) if point not in tried), None)
    results = sum(each.has_result for each in (*earlier, *past))
    if algorithm == "TPE" and results >= RANDOM_TRIALS:
        # Optuna takes 50 MB that an operator without a search never needs.
        from flywheel.kinds.experiment.search import optuna_sampler

        point = optuna_sampler.suggest_point(space, (*earlier, *past), _optuna_seed(seed, trial), maximize=maximize)
        if point not in tried:
            return point
    for attempt in range(MAX_DRAWS):
        generator = random.Random(f"{seed}:{trial}:{attempt}")
        point = _random_point(space, generator.randrange(len(space)), generator)
        if point not in tried:
            break
    return point


def importance(space: Space, past: Sequence[PastTrial], *, maximize: bool) -> dict[str, float]:
    """The share of each parameter in whether a trial was among the best, the largest first; empty where too few trials succeeded."""
    done = [each for each in past if each.value is not None and each.step is None]
    if len(done) < MIN_TRIALS_FOR_IMPORTANCE or all(len(each.point) == 1 for each in done):
        return {}
    from flywheel.kinds.experiment.search import optuna_sampler

    return optuna_sampler.importance(space, done, maximize=maximize)


def _grid_points(space: Space, points: int, seed: int) -> list[Point]:
    """The points of a finite space in an order that covers it evenly from the start; the same for the same seed."""
    indices = random.Random(seed).sample(range(points), min(points, MAX_GRID_POINTS))
    return [_point_at(space, index) for index in indices]


def _point_at(space: Space, index: int) -> Point:
    for number, branch in enumerate(space):
        branch_size = branch.size or 1
        if index < branch_size:
            return (number, *branch.coordinates_at(index))
        index -= branch_size
    raise IndexError(f"the space has no point {index}")


def _in_branches(trials: Sequence[PastTrial], branches: Sequence[int]) -> list[PastTrial]:
    """The trials of some branches of a space, as trials of a space that has only these."""
    numbers = {branch: number for number, branch in enumerate(branches)}
    return [
        replace(each, point=(numbers[int(each.point[0])], *each.point[1:]))
        for each in trials
        if int(each.point[0]) in numbers
    ]


def _first_point(space: Space, branch: int, generator: random.Random) -> Point:
    """Scikit-learn's defaults; a parameter whose default is not known, or is no choice of the space, is drawn."""
    name = space[branch].name
    defaults = [(default_coordinate(name, each, dimension), dimension) for each, dimension in space[branch].ordered]
    return (branch, *(dimension.draw(generator) if known is None else known for known, dimension in defaults))


def _random_point(space: Space, branch: int, generator: random.Random) -> Point:
    return (branch, *(dimension.draw(generator) for _, dimension in space[branch].ordered))


def _optuna_seed(seed: int, trial: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}:{trial}".encode()).digest()[:4], "big")

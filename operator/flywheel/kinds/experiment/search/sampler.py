"""The next point of a search: a pure function of seed, trial number and history. No database, no study that lives on.

A point is a place in the space, as a tuple that JSON can hold: the branch's number (which estimator), then its searched values in the
order of their names, a choice by its position. Real values have six significant digits, so that what a user reads is what ran.
"""

import hashlib
import random
from collections.abc import Sequence
from typing import Literal

from flywheel.kinds.experiment.search.space import Past, Point, Space, size

Algorithm = Literal["TPE", "Random", "Grid"]

FIRST_AT_RANDOM = 5  # TPE learns nothing from fewer results
LONGEST_WALK = 2000  # points of a grid that may be visited
FEWEST_FOR_IMPORTANCE = 8  # successes
DRAWS = 20  # to find a point that nobody tried


def suggest(
    space: Space,
    past: Sequence[Past],
    *,
    trial: int,
    algorithm: Algorithm,
    seed: int,
    maximize: bool,
    budget: int,
    earlier: Sequence[Past] = (),
) -> Point | None:
    """The point of the next trial, or None where all have been tried. `earlier` are other searches' trials, which teach and may be tried again.

    A space with no more points than the budget is walked through, whatever the algorithm: nothing could be gained by guessing. So a space
    of one point is one plain training. Else every branch is tried once before any is preferred.
    """
    tried = {each.point for each in past}
    points = size(space)
    if points is not None and (algorithm == "Grid" or points <= budget):
        return next((point for point in _walk(space, points, seed) if point not in tried), None)
    known = tried | {each.point for each in earlier}
    untried = [branch for branch in range(len(space)) if all(point[0] != branch for point in known)]
    if untried:
        return _draw(space, untried[0], random.Random(f"{seed}:{trial}"))
    results = sum(each.tells for each in (*earlier, *past))
    if algorithm == "TPE" and results >= FIRST_AT_RANDOM:
        # Optuna takes 50 MB that an operator without a search never needs.
        from flywheel.kinds.experiment.search import optuna_sampler

        point = optuna_sampler.ask(space, (*earlier, *past), _number(seed, trial), maximize=maximize)
        if point not in tried:
            return point
    for attempt in range(DRAWS):
        chance = random.Random(f"{seed}:{trial}:{attempt}")
        point = _draw(space, chance.randrange(len(space)), chance)
        if point not in tried:
            break
    return point


def importance(space: Space, past: Sequence[Past], *, maximize: bool) -> dict[str, float]:
    """The share of each parameter in whether a trial was among the best, the largest first; empty where too few succeeded (optuna_sampler.py)."""
    done = [each for each in past if each.value is not None and each.step is None]
    if len(done) < FEWEST_FOR_IMPORTANCE or all(len(each.point) == 1 for each in done):
        return {}
    from flywheel.kinds.experiment.search import optuna_sampler

    return optuna_sampler.importance(space, done, maximize=maximize)


def _walk(space: Space, points: int, seed: int) -> list[Point]:
    """Points of a finite space in an order that covers it evenly from the start; the same for the same seed."""
    order = random.Random(seed).sample(range(points), min(points, LONGEST_WALK))
    return [_at(space, index) for index in order]


def _at(space: Space, index: int) -> Point:
    for number, branch in enumerate(space):
        branch_size = branch.size or 1
        if index < branch_size:
            return (number, *branch.at(index))
        index -= branch_size
    raise IndexError(f"the space has no point {index}")


def _draw(space: Space, branch: int, chance: random.Random) -> Point:
    return (branch, *(dimension.draw(chance) for _, dimension in space[branch].ordered))


def _number(seed: int, trial: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}:{trial}".encode()).digest()[:4], "big")

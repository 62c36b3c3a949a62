"""Which estimators failed so often that the search goes on without them, and whether anything is left to try."""

from collections.abc import Sequence
from dataclasses import dataclass

from flywheel.kinds.experiment.schema.spec import Budget
from flywheel.kinds.experiment.search.defaults import Setup
from flywheel.kinds.experiment.search.space import space_size
from flywheel.kinds.experiment.trials import Trials


@dataclass(frozen=True)
class Tally:
    """The trials of one branch, an estimator or the container: how many gave a result, failed, and can never work (those failed as well)."""

    succeeded: int
    failed: int
    invalid: int

    def is_hopeless(self, max_failed: int) -> bool:
        """Whether nothing succeeded, and a trial can never work or as many failed as may."""
        return not self.succeeded and (self.invalid > 0 or self.failed >= max_failed)

    def mostly_fails(self, max_failed: int) -> bool:
        """Whether as many failed as may, and most of all."""
        return self.failed >= max_failed and self.failed > self.succeeded


def tally_branches(trials: Trials, setup: Setup) -> tuple[Tally, ...]:
    """The trials of each branch of the space."""
    states: list[list[str]] = [[] for _ in setup.space]
    for record in trials.records.values():
        states[int(record.coordinates[0])].append(record.state)
    return tuple(_tally(each) for each in states)


def _tally(states: Sequence[str]) -> Tally:
    results = sum(state in ("Succeeded", "Pruned") for state in states)
    return Tally(results, sum(state in ("Failed", "Invalid") for state in states), states.count("Invalid"))


def stopped_branches(trials: Trials, setup: Setup, budget: Budget) -> frozenset[int]:
    """The numbers of the branches that get no further trial. One that gave results goes on where no other is left."""
    tallies, most = tally_branches(trials, setup), budget.max_failed_trials
    hopeless = frozenset(number for number, each in enumerate(tallies) if each.is_hopeless(most))
    stopped = hopeless | {number for number, each in enumerate(tallies) if each.mostly_fails(most)}
    return stopped if len(stopped) < len(tallies) else hopeless


def failures_are_spent(trials: Trials, setup: Setup, budget: Budget) -> bool:
    """Whether `maxFailedTrials` trials failed, none gave a result, and every branch was tried: nothing suggests that the next would work."""
    tallies = tally_branches(trials, setup)
    if any(each.succeeded for each in tallies) or not all(each.failed for each in tallies):
        return False
    return sum(each.failed for each in tallies) >= budget.max_failed_trials


def is_exhausted(trials: Trials, setup: Setup, stopped: frozenset[int]) -> bool:
    """Whether all points of the branches that are not stopped have been tried."""
    points = space_size(tuple(branch for number, branch in enumerate(setup.space) if number not in stopped))
    tried = {record.coordinates for record in trials.records.values() if record.state != "Stopped"}
    return points is not None and sum(int(point[0]) not in stopped for point in tried) >= points

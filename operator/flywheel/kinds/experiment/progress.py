"""Where a search stands: its trials, what it starts next, and whether it is over."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from flywheel.core.resource.restrictions import find_violation
from flywheel.kinds.experiment.children import Experiment
from flywheel.kinds.experiment.failures import failures_are_spent, is_exhausted, stopped_branches
from flywheel.kinds.experiment.observe import Seen, TrialJob
from flywheel.kinds.experiment.schema.immutable import fingerprint
from flywheel.kinds.experiment.schema.status import Attempt, Data
from flywheel.kinds.experiment.search.defaults import Setup
from flywheel.kinds.experiment.search.plateau import has_plateaued
from flywheel.kinds.experiment.search.sampler import suggest
from flywheel.kinds.experiment.search.space import Point, space_size
from flywheel.kinds.experiment.search.warm_start import WarmStart, warm_start
from flywheel.kinds.experiment.trials import (
    Trials,
    adopt_jobs,
    new_attempt,
    new_record,
    recall_trials,
    stop_trials,
    take_in_outcomes,
)

Ending = Literal[
    "Refused",
    "TrialsFailed",
    "GoalReached",
    "BudgetSpent",
    "SpaceSearched",
    "Trained",
    "TimeSpent",
    "Plateau",
    "Infeasible",
    "AllPruned",
    "SearchStopped",
]


@dataclass(frozen=True)
class Progress:
    """Where a search stands: `starts` are the attempts to make Jobs for, `running` the Jobs of trials that go on.

    `stopped` are the branches of the space, estimators most often, that failed too often to be tried again.
    """

    trials: Trials
    data: Data
    setup: Setup
    starts: tuple[Attempt, ...]
    running: tuple[TrialJob, ...]
    ending: Ending | None
    start_time: datetime | None
    warm_starts: tuple[WarmStart, ...] = ()
    stopped: frozenset[int] = frozenset()


def advance(experiment: Experiment, seen: Seen, data: Data, setup: Setup) -> Progress:
    """Take in how Jobs ended, and choose what to start."""
    jobs = [job for job in seen.jobs if job.fingerprint == fingerprint(experiment.spec)]
    trials = adopt_jobs(recall_trials(experiment), jobs, setup, seen.now)
    trials = take_in_outcomes(trials, jobs, setup, seen.now)
    start_time = experiment.status.start_time
    ending = _ending(experiment, trials, setup, start_time, seen.now)
    starts: tuple[Attempt, ...] = ()
    warm_starts = tuple(warm_start(name, manifest, setup) for name, manifest in sorted(seen.earlier.items()))
    if ending is None and find_violation(experiment.spec, seen.settings) is None:
        trials, starts = _with_starts(experiment, trials, setup, seen.now, warm_starts)
    elif ending is not None:
        trials = stop_trials(trials, trials.numbers("Running"))
    current = {(*key, attempt.attempt) for key, attempt in trials.attempts.items()}
    running = tuple(job for job in jobs if (job.trial, job.repeat, job.attempt) in current)
    if start_time is None and trials.numbers("Running"):
        start_time = seen.now
    stopped = stopped_branches(trials, setup, experiment.spec.budget)
    return Progress(trials, data, setup, starts, running, ending, start_time, warm_starts, stopped)


def _ending(
    experiment: Experiment, trials: Trials, setup: Setup, start_time: datetime | None, now: datetime
) -> Ending | None:
    budget, counts = experiment.spec.budget, trials.counts
    if budget.failure_policy == "End" and counts.failed >= budget.max_failed_trials:
        return _ending_without_best(trials) if trials.best is None else "SearchStopped"
    if _goal_is_reached(experiment, trials, setup):
        return "GoalReached"
    if counts.ended >= setup.max_trials(budget.max_trials):
        return _ending_of_spent_budget(trials, setup)
    if budget.duration is not None and start_time is not None and start_time + budget.duration.timedelta <= now:
        return "TimeSpent"
    if budget.plateau is not None and has_plateaued(trials.curve(), budget.plateau, maximize=setup.maximize):
        return "Plateau"
    if not counts.running and not _may_start(experiment, trials, setup):
        return _ending_without_best(trials) if trials.best is None else "SearchStopped"
    return None


def _may_start(experiment: Experiment, trials: Trials, setup: Setup) -> bool:
    """Whether another trial makes sense. What runs may still succeed, and then the search goes on."""
    budget = experiment.spec.budget
    stopped = stopped_branches(trials, setup, budget)
    return not failures_are_spent(trials, setup, budget) and not is_exhausted(trials, setup, stopped)


def _goal_is_reached(experiment: Experiment, trials: Trials, setup: Setup) -> bool:
    objective, best = experiment.spec.objective, trials.best
    if objective is None or objective.goal is None or best is None or best.value is None:
        return False
    value, goal = float(best.value), objective.goal.value
    return value >= goal if setup.maximize else value <= goal


def _ending_of_spent_budget(trials: Trials, setup: Setup) -> Ending:
    counts, points = trials.counts, space_size(setup.space)
    if trials.best is None:
        return _ending_without_best(trials)
    if points is None or counts.ended < points:
        return "BudgetSpent"
    return "Trained" if points == 1 else "SpaceSearched"


def _ending_without_best(trials: Trials) -> Ending:
    counts = trials.counts
    if counts.succeeded:
        return "Infeasible"
    if counts.pruned:
        return "AllPruned"
    return "Refused" if trials.numbers("Invalid") else "TrialsFailed"


def _with_starts(
    experiment: Experiment, trials: Trials, setup: Setup, now: datetime, warm_starts: Sequence[WarmStart]
) -> tuple[Trials, tuple[Attempt, ...]]:
    """The trials with the attempts that are due, then with new trials; and these attempts."""
    spec, budget, starts = experiment.spec, experiment.spec.budget.max_trials, list[Attempt]()
    if spec.suspend:
        return trials, ()
    for _, attempt in sorted(trials.attempts.items()):
        if attempt.not_before is not None and attempt.not_before <= now:
            starts.append(attempt.model_copy(update={"not_before": None, "message": None}))
    trials = replace(trials, attempts={**trials.attempts, **{each.key: each for each in starts}})
    if not _may_start(experiment, trials, setup):
        return trials, tuple(starts)
    while trials.counts.running < spec.parallelism and trials.counts.running + trials.counts.ended < budget:
        number = trials.next_number
        point = _next_point(experiment, trials, setup, warm_starts)
        if point is None:
            break  # what is left of the space is running
        attempts = [new_attempt(number, repeat, 1) for repeat in range(1, setup.repeats + 1)]
        starts += attempts
        trials = replace(
            trials,
            records={**trials.records, number: new_record(number, point)},
            attempts={**trials.attempts, **{each.key: each for each in attempts}},
        )
    return trials, tuple(starts)


def _next_point(experiment: Experiment, trials: Trials, setup: Setup, warm_starts: Sequence[WarmStart]) -> Point | None:
    spec = experiment.spec
    return suggest(
        setup.space,
        trials.past(),
        trial=trials.next_number,
        algorithm=spec.search.algorithm,
        seed=spec.search.seed,
        maximize=setup.maximize,
        budget=spec.budget.max_trials,
        earlier=[past for each in warm_starts for past in each.trials],
        stopped=stopped_branches(trials, setup, spec.budget),
    )

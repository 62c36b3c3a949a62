"""Where a search stands: what it remembers, what it starts next, and whether it is over."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from flywheel.kinds.experiment.children import Experiment
from flywheel.kinds.experiment.observe import Seen, TrialJob
from flywheel.kinds.experiment.schema.immutable import fingerprint
from flywheel.kinds.experiment.schema.status import Data
from flywheel.kinds.experiment.search.defaults import Setup
from flywheel.kinds.experiment.search.plateau import is_flat
from flywheel.kinds.experiment.search.sampler import suggest
from flywheel.kinds.experiment.search.space import Point, size
from flywheel.kinds.experiment.search.warm_start import Lesson, lesson
from flywheel.kinds.experiment.trials import Memory, adopt, attempt_of, judge, point, recall, started, stopped

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
]


@dataclass(frozen=True)
class Start:
    """A Job to make now."""

    trial: int
    repeat: int
    attempt: int
    point: Point


@dataclass(frozen=True)
class Progress:
    """`running` are Jobs of trials that go on."""

    memory: Memory
    data: Data
    setup: Setup
    starts: tuple[Start, ...]
    running: tuple[TrialJob, ...]
    ending: Ending | None
    start_time: datetime | None
    lessons: tuple[Lesson, ...] = ()


def advance(experiment: Experiment, seen: Seen, data: Data, setup: Setup) -> Progress:
    """Take in what the Jobs say, and choose what to start."""
    jobs = [job for job in seen.jobs if job.fingerprint == fingerprint(experiment.spec)]
    memory = judge(adopt(recall(experiment), jobs, setup, seen.now), jobs, setup, seen.now)
    start_time = experiment.status.start_time
    ending = _ending(experiment, memory, setup, start_time, seen.now)
    starts: tuple[Start, ...] = ()
    lessons = tuple(lesson(name, manifest, setup) for name, manifest in sorted(seen.earlier.items()))
    if ending is None:
        memory, starts = _with_starts(experiment, memory, setup, seen.now, lessons)
    else:
        memory = stopped(memory, memory.numbers("Running"))
    current = {(*key, attempt.attempt) for key, attempt in memory.attempts.items()}
    running = tuple(job for job in jobs if (job.trial, job.repeat, job.attempt) in current)
    if start_time is None and memory.numbers("Running"):
        start_time = seen.now.replace(microsecond=0)
    return Progress(memory, data, setup, starts, running, ending, start_time, lessons)


def _ending(
    experiment: Experiment, memory: Memory, setup: Setup, start_time: datetime | None, now: datetime
) -> Ending | None:
    budget, counts, objective = experiment.spec.budget, memory.counts, experiment.spec.objective
    if memory.numbers("Invalid"):
        return "Refused"
    if counts.failed >= budget.max_failed_trials:
        return "TrialsFailed"
    if memory.best is not None and memory.best.value is not None and objective is not None and objective.goal:
        value, goal = float(memory.best.value), objective.goal.value
        if value >= goal if setup.maximize else value <= goal:
            return "GoalReached"
    ended, points = counts.ended, size(setup.space)
    if ended >= setup.total(budget.max_trials):
        if memory.best is None:
            return "Infeasible" if counts.succeeded else "AllPruned" if counts.pruned else "TrialsFailed"
        if points is None or ended < points:
            return "BudgetSpent"
        return "Trained" if points == 1 else "SpaceSearched"
    if budget.duration is not None and start_time is not None and start_time + budget.duration.timedelta <= now:
        return "TimeSpent"
    if budget.plateau is not None and is_flat(memory, budget.plateau, maximize=setup.maximize):
        return "Plateau"
    return None


def _with_starts(
    experiment: Experiment, memory: Memory, setup: Setup, now: datetime, lessons: Sequence[Lesson]
) -> tuple[Memory, tuple[Start, ...]]:
    """Attempts that are due, then new trials."""
    spec, starts = experiment.spec, list[Start]()
    if spec.suspend:
        return memory, ()
    for (number, repeat), attempt in sorted(memory.attempts.items()):
        if attempt.not_before is not None and attempt.not_before <= now:
            starts.append(Start(number, repeat, attempt.attempt, point(memory.records[number])))
            again = attempt_of(number, repeat, attempt.attempt)
            memory = replace(memory, attempts={**memory.attempts, again.key: again})
    while memory.counts.running < spec.parallelism and _unspent(memory, spec.budget.max_trials):
        number = memory.next_trial
        place = suggest(
            setup.space,
            memory.past(),
            trial=number,
            algorithm=spec.search.algorithm,
            seed=spec.search.seed,
            maximize=setup.maximize,
            budget=spec.budget.max_trials,
            earlier=[past for each in lessons for past in each.trials],
        )
        if place is None:
            break  # what is left of the space is running
        begun = [attempt_of(number, repeat, 1) for repeat in range(1, setup.repeats + 1)]
        starts += [Start(number, each.key[1], 1, place) for each in begun]
        memory = replace(
            memory,
            records={**memory.records, number: started(number, place)},
            attempts={**memory.attempts, **{each.key: each for each in begun}},
        )
    return memory, tuple(starts)


def _unspent(memory: Memory, budget: int) -> bool:
    counts = memory.counts
    return counts.running + counts.ended < budget

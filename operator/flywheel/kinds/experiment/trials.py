"""All trials of a search, and how the Jobs of its trials change them: pure, and the same however often it is computed.

Whatever is interrupted, the search goes on as if it were not, because
1. a trial's point is chosen once: its Job carries it in an annotation from the first moment, status repeats it, and neither is chosen anew
   while one of the two is there;
2. status is written after the Jobs are made and before they are deleted, so a Job that status does not know is adopted, and a Job is
   left out of the children only after status knows how it ended;
3. of a trial with repeats all Jobs stay until the last of them has ended, so there are no half results to store; and
4. the next point is a function of the seed, the trial's number and these records, so it is the same however often it is computed.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from flywheel.core.diagnosis.internal_error import bound_internal_error
from flywheel.core.diagnosis.outcome import KILLED, STORE_REASONS, Outcome
from flywheel.core.requeue import backoff
from flywheel.core.resource.values import Digest
from flywheel.kinds.experiment.children import Experiment
from flywheel.kinds.experiment.observe import TrialJob
from flywheel.kinds.experiment.schema.immutable import fingerprint
from flywheel.kinds.experiment.schema.status import (
    MAX_HISTORY,
    MAX_LISTED,
    Attempt,
    Counts,
    ResourceUsage,
    Trial,
    TrialRecord,
)
from flywheel.kinds.experiment.search.defaults import Setup
from flywheel.kinds.experiment.search.space import PastTrial, Point, parameters_of
from flywheel.kinds.experiment.trial_result import TrialResult, listed_metrics, mean_result, result_of

MAX_KILLED_ATTEMPTS = 3


@dataclass(frozen=True)
class Trials:
    """The trials of a search.

    `records` has all of them by number, `attempts` those that run by trial and repeat. `just_ended` names the Jobs whose outcome status
    does not have yet.
    """

    records: Mapping[int, TrialRecord]
    attempts: Mapping[tuple[int, int], Attempt]
    best: Trial | None
    last: tuple[Trial, ...]
    just_ended: tuple[str, ...] = ()
    constrained: bool = False

    def numbers(self, *states: str) -> list[int]:
        """The numbers of the trials in any of these states."""
        return [number for number, record in self.records.items() if record.state in states]

    @property
    def counts(self) -> Counts:
        return Counts(
            running=len(self.numbers("Running")),
            succeeded=len(self.numbers("Succeeded")),
            failed=len(self.numbers("Failed", "Invalid")),
            stopped=len(self.numbers("Stopped")),
            pruned=len(self.numbers("Pruned")) or None,
            feasible=len(self.feasible) if self.constrained else None,
        )

    @property
    def feasible(self) -> list[int]:
        """The numbers of the trials that could be the best."""
        return [number for number in self.numbers("Succeeded") if self.records[number].over is None]

    @property
    def next_number(self) -> int:
        return max(self.records, default=0) + 1

    def past(self) -> list[PastTrial]:
        """The trials as the sampler takes them. What was stopped may be tried again."""
        return [
            PastTrial(
                record.coordinates,
                float(record.value) if record.value is not None else None,
                record.state == "Running",
                record.step,
                float(record.over or 0),
            )
            for record in self.records.values()
            if record.state != "Stopped"
        ]

    def curve(self) -> list[float | None]:
        """The objective of each trial that succeeded or was pruned, by number; None where the trial cannot be the best."""
        feasible = set(self.feasible)
        numbers = sorted(self.numbers("Succeeded", "Pruned"))
        return [float(self.records[number].value or 0) if number in feasible else None for number in numbers]

    def upload_threshold(self, keep: int | None, setup: Setup) -> dict[str, Any] | None:
        """What a trial's metric must reach for its model to be uploaded, as collect reads it (images/README.md); None: all are uploaded.

        Nothing is deleted, since artifacts share their files with others. Of n trials about k·(1 + ln(n / k)) leave a model.
        """
        best = sorted((float(self.records[each].value or 0) for each in self.feasible), reverse=setup.maximize)[:keep]
        if keep is None or len(best) < keep:
            return None
        return {"metric": setup.metric, "maximize": setup.maximize, "reach": best[-1]}

    def history(self) -> tuple[TrialRecord, ...]:
        """The records as status has them."""
        return tuple(self.records.values())[-MAX_HISTORY:]


def recall_trials(experiment: Experiment) -> Trials:
    """The trials that status has. For a spec that asks for another search, or that was corrected, those that still count.

    The schema lets the search change only before anything has come of it; its trials' numbers go on, since results are stored by them.
    """
    status = experiment.status
    records = {record.trial: record for record in sorted(status.history, key=lambda record: record.trial)}
    first = {(number, 1): new_attempt(number, 1, 1) for number in records if records[number].state == "Running"}
    trials = Trials(
        records=records,
        attempts=first | {attempt.key: attempt for attempt in status.running},
        best=status.best,
        last=status.last_trials,
        constrained=bool(experiment.spec.constraints),
    )
    if status.fingerprint not in (None, fingerprint(experiment.spec)):
        all_states = ("Running", "Succeeded", "Failed", "Pruned", "Invalid")
        return replace(stop_trials(trials, trials.numbers(*all_states)), best=None)
    if status.refused_at not in (None, experiment.generation):
        return stop_trials(trials, trials.numbers("Invalid"))
    return trials


def stop_trials(trials: Trials, numbers: Sequence[int]) -> Trials:
    """The trials after these are stopped, since their results no longer matter."""
    forgotten = {"state": "Stopped", "value": None, "step": None, "over": None}
    changed = {number: trials.records[number].model_copy(update=forgotten) for number in numbers}
    attempts = {key: attempt for key, attempt in trials.attempts.items() if attempt.trial not in changed}
    return replace(trials, records={**trials.records, **changed}, attempts=attempts)


def adopt_jobs(trials: Trials, jobs: Sequence[TrialJob], setup: Setup, now: datetime) -> Trials:
    """The trials with the Jobs that status does not know yet. Repeats that have no Job yet are due."""
    records, attempts = dict(trials.records), dict(trials.attempts)
    for job in jobs:
        known = records.get(job.trial)
        if known is None:
            records[job.trial] = new_record(job.trial, job.point)
        elif known.state != "Running":
            continue
        adopted = new_attempt(job.trial, job.repeat, job.attempt)
        attempt = attempts.get(adopted.key)
        if attempt is None or job.attempt >= attempt.attempt:
            counted = attempt.internal_errors if attempt is not None else None
            attempts[adopted.key] = adopted.model_copy(update={"internal_errors": counted})
    for number in {trial for trial, _ in attempts}:
        for repeat in range(1, setup.repeats + 1):
            due = new_attempt(number, repeat, 1).model_copy(update={"not_before": now})
            attempts.setdefault(due.key, due)
    return replace(trials, records=dict(sorted(records.items())), attempts=attempts)


def new_attempt(trial: int, repeat: int, attempt: int) -> Attempt:
    """An attempt that runs, or starts now."""
    return Attempt(trial=trial, attempt=attempt, repeat=repeat if repeat > 1 else None)


def new_record(trial: int, point: Point) -> TrialRecord:
    """The record of a trial that starts."""
    return TrialRecord(trial=trial, state="Running", point=json.dumps(point, separators=(",", ":")))


def take_in_outcomes(trials: Trials, jobs: Sequence[TrialJob], setup: Setup, now: datetime) -> Trials:
    """The trials after the Jobs that have ended."""
    by_attempt = {(job.trial, job.repeat, job.attempt): job for job in jobs}
    for key, attempt in list(trials.attempts.items()):
        job = by_attempt.get((*key, attempt.attempt))
        if job is None and attempt.not_before is None:
            deleted = f"The Job of attempt {attempt.attempt} was deleted before it ended."
            trials = _with_retry(trials, attempt, deleted, now)
        if job is None or job.outcome is None:
            continue
        outcome, internal_errors = bound_internal_error(job.outcome, attempt.internal_errors)
        by_attempt[*key, attempt.attempt] = replace(job, outcome=outcome)
        if _is_retried(outcome, attempt):
            counted = attempt.model_copy(update={"internal_errors": internal_errors})
            trials = _with_retry(trials, counted, outcome.message, now)
            trials = replace(trials, just_ended=(*trials.just_ended, job.name))
    for number in sorted({trial for trial, _ in trials.attempts}):
        repeats = [by_attempt.get((*key, each.attempt)) for key, each in trials.attempts.items() if key[0] == number]
        trials = _with_result(trials, number, repeats, setup, now)
    return trials


def _is_retried(outcome: Outcome, attempt: Attempt) -> bool:
    """A signal that nothing outside explains may be main's own: after some attempts it counts as the trial's failure."""
    if outcome.reason == KILLED and attempt.attempt >= MAX_KILLED_ATTEMPTS:
        return False
    return outcome.result == "Infrastructure" or outcome.reason in STORE_REASONS


def _with_retry(trials: Trials, attempt: Attempt, reason: str, now: datetime) -> Trials:
    retry = Attempt(
        trial=attempt.trial,
        repeat=attempt.repeat,
        attempt=attempt.attempt + 1,
        not_before=now + backoff(attempt.attempt - 1),
        message=reason[:512],
        internal_errors=attempt.internal_errors,
    )
    return replace(trials, attempts={**trials.attempts, attempt.key: retry})


def _with_result(
    trials: Trials, number: int, repeats: Sequence[TrialJob | None], setup: Setup, now: datetime
) -> Trials:
    """A trial is over when one of its repeats has failed, or all have succeeded. Until then their Jobs stay, and hold their results."""
    ended = [(job, job.outcome) for job in repeats if job is not None and job.outcome is not None]
    results = [result_of(outcome, setup) for _, outcome in ended]
    failed = next((position for position, result in enumerate(results) if result.state != "Succeeded"), None)
    if failed is not None:
        result, position = results[failed], failed
    elif ended and len(ended) == len(repeats):
        result, position = mean_result([outcome for _, outcome in ended], setup)
    else:
        return trials
    trial = trial_summary(trials.records[number], *ended[position], result, setup, now)
    over = f"{result.violation:.4g}" if result.violation else None
    changes = {"state": trial.state, "value": trial.value, "step": result.step, "over": over}
    may_be_best = trial.state == "Succeeded" and not over
    better = may_be_best and is_better(trial, trials.best, maximize=setup.maximize)
    listed = listed_metrics(trial.metrics, setup.metric)
    return replace(
        trials,
        records={**trials.records, number: trials.records[number].model_copy(update=changes)},
        attempts={key: each for key, each in trials.attempts.items() if each.trial != number},
        best=trial if better else trials.best,
        last=(trial.model_copy(update={"metrics": listed}), *trials.last)[:MAX_LISTED],
        just_ended=(*trials.just_ended, *(job.name for job, _ in ended)),
    )


def trial_summary(
    record: TrialRecord, job: TrialJob, outcome: Outcome, result: TrialResult, setup: Setup, now: datetime
) -> Trial:
    """A trial that has ended, as status lists it."""
    estimator, searched = parameters_of(setup.space, record.coordinates)
    model = outcome.outputs.get("model") if result.state == "Succeeded" else None
    return Trial.model_validate(
        {
            "trial": record.trial,
            "state": result.state,
            "estimator": estimator or None,
            "parameters": {name: str(each) for name, each in searched.items()},
            "metrics": {name[:63]: f"{each:.6g}" for name, each in sorted(outcome.metrics.items())[:64]},
            "value": None if result.value is None else f"{result.value:.10g}",
            "std": None if result.std is None else f"{result.std:.6g}",
            "seed": None if result.std is None else setup.seed + job.repeat - 1,
            "model": Digest.parse(model) if model else None,
            "reason": result.reason,
            "message": result.message[:512] if result.message is not None else None,
            "job": job.name,
            "node": outcome.node,
            "image": outcome.image,
            "usage": _usage(outcome),
            "finished_at": now,
        }
    )


def _usage(outcome: Outcome) -> ResourceUsage | None:
    cpu, memory = outcome.usage.get("cpuSeconds"), outcome.usage.get("memoryPeakBytes")
    if cpu is None and memory is None:
        return None
    return ResourceUsage(cpu_seconds=None if cpu is None else math.ceil(cpu), memory_peak_bytes=memory)


def is_better(trial: Trial, best: Trial | None, *, maximize: bool) -> bool:
    """Whether a trial is the best so far; of equals the one with the smaller number, in whatever order they ended."""
    if best is None or best.value is None or trial.value is None:
        return best is None and trial.value is not None
    value, best_value = float(trial.value), float(best.value)
    if value == best_value:
        return trial.trial < best.trial
    return value > best_value if maximize else value < best_value

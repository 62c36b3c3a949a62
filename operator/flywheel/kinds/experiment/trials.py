"""What a search remembers, and how the Jobs of its trials change it: pure, and the same however often it is asked.

Whatever is interrupted, the search goes on as if it were not, because
1. a trial's point is chosen once: its Job carries it in an annotation from the first moment, status repeats it, and neither is chosen anew
   while one of the two is there;
2. status is written after the Jobs are made and before they are deleted, so a Job that status does not know is taken in, and a Job is
   left out of the children only after status knows how it ended;
3. of a trial with repeats all Jobs stay until the last of them has ended, so there are no half results to remember; and
4. the next point is a function of the seed, the trial's number and these records, so whoever asks with them gets the same answer.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from flywheel.core.diagnosis.outcome import Outcome
from flywheel.core.requeue import backoff
from flywheel.core.resource.values import Digest
from flywheel.kinds.experiment.children import Experiment
from flywheel.kinds.experiment.observe import TrialJob
from flywheel.kinds.experiment.schema.immutable import fingerprint
from flywheel.kinds.experiment.schema.status import MOST_REMEMBERED, MOST_SHOWN, Attempt, Counts, Record, Trial, Usage
from flywheel.kinds.experiment.search.defaults import Setup
from flywheel.kinds.experiment.search.space import Past, Point, values
from flywheel.kinds.experiment.trial_result import Verdict, judged, together

# The store's diagnosis, not the trial's: it heals without a change of the spec.
HEALS_ELSEWHERE = frozenset(("ArtifactMissing", "BucketMissing", "CredentialsRefused"))


@dataclass(frozen=True)
class Memory:
    """Records of all trials, by number; attempts of those that run, by trial and repeat; `ended` are the names of Jobs that ended just now."""

    records: Mapping[int, Record]
    attempts: Mapping[tuple[int, int], Attempt]
    best: Trial | None
    last: tuple[Trial, ...]
    ended: tuple[str, ...] = ()
    constrained: bool = False

    def numbers(self, *states: str) -> list[int]:
        """The trials in any of these states."""
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
        """The trials that could be the best."""
        return [number for number in self.numbers("Succeeded") if self.records[number].over is None]

    @property
    def next_trial(self) -> int:
        return max(self.records, default=0) + 1

    def past(self) -> list[Past]:
        """As the search wants it. What was stopped may be tried again."""
        return [
            Past(
                point(record),
                float(record.value) if record.value is not None else None,
                record.state == "Running",
                record.step,
                float(record.over or 0),
            )
            for record in self.records.values()
            if record.state != "Stopped"
        ]

    def history(self) -> tuple[Record, ...]:
        """As status keeps it."""
        return tuple(self.records.values())[-MOST_REMEMBERED:]


def point(record: Record) -> Point:
    """A record's place in the space."""
    return tuple(json.loads(record.point))


def recall(experiment: Experiment) -> Memory:
    """What status remembers. A spec that asks for another search, or that was mended, begins with what still counts.

    The schema lets the search change only before anything has come of it; its trials' numbers go on, since results are kept by them.
    """
    status = experiment.status
    records = {record.trial: record for record in sorted(status.history, key=lambda record: record.trial)}
    first = {(number, 1): Attempt(trial=number, attempt=1) for number in records if records[number].state == "Running"}
    memory = Memory(
        records=records,
        attempts=first | {attempt.key: attempt for attempt in status.running},
        best=status.best,
        last=status.last_trials,
        constrained=bool(experiment.spec.constraints),
    )
    if status.fingerprint not in (None, fingerprint(experiment.spec)):
        return replace(
            stopped(memory, memory.numbers("Running", "Succeeded", "Failed", "Pruned", "Invalid")), best=None
        )
    if status.refused_at not in (None, experiment.generation):
        return stopped(memory, memory.numbers("Invalid"))
    return memory


def stopped(memory: Memory, trials: Sequence[int]) -> Memory:
    """These trials do not matter any more."""
    changed = {
        number: memory.records[number].model_copy(
            update={"state": "Stopped", "value": None, "step": None, "over": None}
        )
        for number in trials
    }
    attempts = {key: attempt for key, attempt in memory.attempts.items() if attempt.trial not in changed}
    return replace(memory, records={**memory.records, **changed}, attempts=attempts)


def adopt(memory: Memory, jobs: Sequence[TrialJob], setup: Setup, now: datetime) -> Memory:
    """Take in the Jobs that status does not know yet. Repeats that have no Job yet are due."""
    records, attempts = dict(memory.records), dict(memory.attempts)
    for job in jobs:
        known = records.get(job.trial)
        if known is None:
            records[job.trial] = started(job.trial, job.point)
        elif known.state != "Running":
            continue
        found = attempt_of(job.trial, job.repeat, job.attempt)
        attempt = attempts.get(found.key)
        if attempt is None or job.attempt >= attempt.attempt:
            attempts[found.key] = found
    for number in {trial for trial, _ in attempts}:
        for repeat in range(1, setup.repeats + 1):
            due = attempt_of(number, repeat, 1).model_copy(update={"not_before": now})
            attempts.setdefault(due.key, due)
    return replace(memory, records=dict(sorted(records.items())), attempts=attempts)


def attempt_of(trial: int, repeat: int, attempt: int) -> Attempt:
    """An attempt that runs, or begins."""
    return Attempt(trial=trial, attempt=attempt, repeat=repeat if repeat > 1 else None)


def started(trial: int, place: Point) -> Record:
    """The record of a trial that begins."""
    return Record(trial=trial, state="Running", point=json.dumps(place, separators=(",", ":")))


def judge(memory: Memory, jobs: Sequence[TrialJob], setup: Setup, now: datetime) -> Memory:
    """Take in how Jobs ended."""
    there = {(job.trial, job.repeat, job.attempt): job for job in jobs}
    for key, attempt in list(memory.attempts.items()):
        job = there.get((*key, attempt.attempt))
        if job is None and attempt.not_before is None:
            lost = f"The Job of attempt {attempt.attempt} was deleted before it ended."
            memory = _tried_again(memory, attempt, lost, now)
        elif job is not None and job.outcome is not None and _is_lost(job.outcome):
            memory = _tried_again(memory, attempt, job.outcome.message, now)
            memory = replace(memory, ended=(*memory.ended, job.name))
    for number in sorted({trial for trial, _ in memory.attempts}):
        tried = [there.get((*key, each.attempt)) for key, each in memory.attempts.items() if key[0] == number]
        memory = _ended(memory, number, tried, setup, now)
    return memory


def _is_lost(outcome: Outcome) -> bool:
    return outcome.result == "Infrastructure" or outcome.reason in HEALS_ELSEWHERE


def _ended(memory: Memory, number: int, tried: Sequence[TrialJob | None], setup: Setup, now: datetime) -> Memory:
    """A trial is over when one of its repeats has failed, or all have succeeded. Till then their Jobs stay, and remember for us."""
    done = [(job, job.outcome) for job in tried if job is not None and job.outcome is not None]
    verdicts = [judged(outcome, setup) for _, outcome in done]
    spoilt = next((place for place, verdict in enumerate(verdicts) if verdict.state != "Succeeded"), None)
    if spoilt is not None:
        verdict, place = verdicts[spoilt], spoilt
    elif done and len(done) == len(tried):
        verdict, place = together([outcome for _, outcome in done], setup)
    else:
        return memory
    job, outcome = done[place]
    trial = shown(memory.records[number], job, outcome, verdict, setup, now)
    over = f"{verdict.over:.4g}" if verdict.over else None
    told = {"state": trial.state, "value": trial.value, "step": verdict.step, "over": over}
    may_be_best = trial.state == "Succeeded" and not over
    better = may_be_best and is_better(trial, memory.best, maximize=setup.maximize)
    return replace(
        memory,
        records={**memory.records, number: memory.records[number].model_copy(update=told)},
        attempts={key: each for key, each in memory.attempts.items() if each.trial != number},
        best=trial if better else memory.best,
        last=(trial.model_copy(update={"metrics": {}}), *memory.last)[:MOST_SHOWN],
        ended=(*memory.ended, *(job.name for job, _ in done)),
    )


def _tried_again(memory: Memory, attempt: Attempt, why: str, now: datetime) -> Memory:
    again = Attempt(
        trial=attempt.trial,
        repeat=attempt.repeat,
        attempt=attempt.attempt + 1,
        not_before=now.replace(microsecond=0) + backoff(attempt.attempt - 1),
        message=why[:512],
    )
    return replace(memory, attempts={**memory.attempts, attempt.key: again})


def shown(record: Record, job: TrialJob, outcome: Outcome, verdict: Verdict, setup: Setup, now: datetime) -> Trial:
    """A trial as people read it."""
    estimator, searched = values(setup.space, point(record))
    model = outcome.outputs.get("model") if verdict.state == "Succeeded" else None
    return Trial.model_validate(
        {
            "trial": record.trial,
            "state": verdict.state,
            "estimator": estimator or None,
            "parameters": {name: str(each) for name, each in searched.items()},
            "metrics": {name[:63]: f"{each:.6g}" for name, each in sorted(outcome.metrics.items())[:64]},
            "value": None if verdict.value is None else f"{verdict.value:.10g}",
            "std": None if verdict.std is None else f"{verdict.std:.6g}",
            "seed": None if verdict.std is None else setup.seed + job.repeat - 1,
            "model": Digest.parse(model) if model else None,
            "reason": verdict.reason,
            "message": verdict.message[:512] if verdict.message is not None else None,
            "job": job.name,
            "node": outcome.node,
            "image": outcome.image,
            "usage": _usage(outcome),
            "finished_at": now.replace(microsecond=0),
        }
    )


def _usage(outcome: Outcome) -> Usage | None:
    cpu, memory = outcome.usage.get("cpuSeconds"), outcome.usage.get("memoryPeakBytes")
    if cpu is None and memory is None:
        return None
    return Usage(cpu_seconds=None if cpu is None else math.ceil(cpu), memory_peak_bytes=memory)


def is_better(trial: Trial, best: Trial | None, *, maximize: bool) -> bool:
    """Whether a trial is the best so far; of equals the one with the smaller number, whoever ended first."""
    if best is None or best.value is None or trial.value is None:
        return best is None and trial.value is not None
    mine, theirs = float(trial.value), float(best.value)
    if mine == theirs:
        return trial.trial < best.trial
    return mine > theirs if maximize else mine < theirs

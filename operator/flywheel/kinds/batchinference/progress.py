"""From what status remembers and what the Jobs say to where the run stands: pure, and the same however often it is asked.

Status is written after a Job is made, so it may be one step behind: a Job with a higher number than status knows is taken in from its
annotation. A Job is deleted only in the look that knows how it ended and makes what follows, whose annotation carries that on.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flywheel.core.backoff import backoff
from flywheel.core.diagnosis.outcome import Outcome
from flywheel.core.pods.schedule import Tick
from flywheel.core.resource import names
from flywheel.core.resource.model_reference import Target
from flywheel.core.resource.values import Digest
from flywheel.kinds.batchinference.children import REQUEST_ANNOTATION, BatchInference, filled, input_of
from flywheel.kinds.batchinference.observe import BatchJob, Seen
from flywheel.kinds.batchinference.schema.spec import depends_on
from flywheel.kinds.batchinference.schema.status import ENDED, MOST_REMEMBERED, Ended, Run

# A run of a schedule must not keep the next one waiting for ever: about an hour of pauses.
MOST_RETRIES_OF_TICK = 10
# A main of ours says by its exit code whether trying again can help; what the kernel or the kubelet did to it, it cannot say.
HOPELESS = frozenset(("OOMKilled", "TimedOut"))
# The input is another, or the plan cannot be read (any more); of a model that is not in the store the next plan will say so.
PLANNED_ANEW = frozenset(("InputChanged", "PlanOutdated", "ArtifactMissing"))
NEXT_PHASE = {"Planning": "Scoring", "Scoring": "Finishing", "Finishing": "Succeeded"}


@dataclass(frozen=True)
class Progress:
    """`job` is the run's newest Job if it is there; `due`: its next one should start now; `news`: it ended just now."""

    run: Run | None
    job: BatchJob | None = None
    due: bool = False
    news: bool = False


def advance(batch: BatchInference, seen: Seen) -> Progress:
    """Take in what the Jobs say."""
    run = _with_what_status_missed(batch.status.run, seen)
    if run is None:
        return Progress(None)
    job = next((each for each in seen.jobs if each.run.number == run.number), None)
    if run.phase in ENDED:
        return Progress(run, job)
    if run.not_before is not None:
        return Progress(run, job, due=run.not_before <= seen.now)
    ended = job.outcome if job is not None else _vanished(run)
    run = _counted(run, job) if job is not None else run
    if ended is None:
        return Progress(run, job)
    after = judged(run, ended, seen.now, scheduled=run.tick is not None)
    return Progress(after, job, due=after.phase not in ENDED and after.not_before is None, news=True)


def _with_what_status_missed(known: Run | None, seen: Seen) -> Run | None:
    newest = seen.jobs[-1].run if seen.jobs else None
    return newest if newest is not None and (known is None or newest.number > known.number) else known


def _vanished(run: Run) -> Outcome:
    return Outcome("Infrastructure", "JobVanished", f"Job {run.number} of the run was deleted before it ended.")


def _counted(run: Run, job: BatchJob) -> Run:
    if run.phase != "Scoring":
        return run
    shards = job.shards
    speed = int(shards.rows / shards.seconds) if shards.seconds >= 1 else None
    told = {"shards_done": shards.done, "rows_done": shards.rows, "row_errors": shards.errors, "rows_per_second": speed}
    return run.model_copy(update=told)


def judged(run: Run, ended: Outcome, now: datetime, *, scheduled: bool) -> Run:
    """The run after its newest Job has ended."""
    now = now.replace(microsecond=0)
    if ended.result == "Succeeded":
        return _further(run, ended, now)
    told: dict[str, Any] = {"reason": ended.reason, "message": ended.message[:1024]}
    again = ended.reason in PLANNED_ANEW or not (ended.result == "Invalid" or ended.reason in HOPELESS)
    if again and not (scheduled and run.retries >= MOST_RETRIES_OF_TICK):
        later = {"retries": run.retries + 1, "not_before": now + backoff(run.retries)}
        anew = _anew(ended.reason)
        return run.model_copy(update=told | later | anew)
    return run.model_copy(update=told | {"phase": "Failed", "finished_at": now})


def _anew(reason: str) -> dict[str, Any]:
    """What must be done again before the next try of this phase."""
    if reason in PLANNED_ANEW:
        return {"phase": "Planning", "plan": None}
    return {"phase": "Scoring"} if reason == "ShardMissing" else {}


def _further(run: Run, ended: Outcome, now: datetime) -> Run:
    calm: dict[str, Any] = {"retries": 0, "reason": None, "message": None}
    counted = {"rows_done": int(ended.metrics.get("rows", 0)), "row_errors": int(ended.metrics.get("errors", 0))}
    if run.phase == "Planning":
        found = {"plan": ended.facts.get("plan"), "shards": ended.facts.get("shards"), "rows": ended.facts.get("rows")}
        if ended.facts.get("manifest"):  # the same work had been done before
            return run.model_copy(update=calm | found | counted | {"phase": "Succeeded", "finished_at": now})
        return run.model_copy(update=calm | found | {"phase": "Scoring"})
    done = {**counted, "finished_at": now} if run.phase == "Finishing" else {}
    return run.model_copy(update=calm | done | {"phase": NEXT_PHASE[run.phase]})


@dataclass(frozen=True)
class Cause:
    """Why a run should start: the tick it answers, or None, and the time that it speaks of."""

    time: datetime
    tick: str | None = None


def cause(batch: BatchInference, progress: Progress, seen: Seen) -> Cause | None:
    """Why a run should start now, or None. One that is under way is overtaken by another spec, and by a tick under policy Replace."""
    run, now = progress.run, seen.now.replace(microsecond=0)
    if batch.spec.suspend:
        return None
    if run is not None and run.phase not in ENDED:
        newer = _replacing(batch, run, seen)
        if newer is not None:
            return _of_tick(newer)
        return Cause(run.time, run.tick) if run.spec != spec_of(batch) else None
    waiting = next((tick for tick in seen.ticks if run is None or tick.name != run.tick), None)
    if waiting is not None:
        return _of_tick(waiting)
    asked = request_of(batch) is not None and (run is None or run.request != request_of(batch))
    if batch.spec.schedule is not None:
        return Cause(now) if asked else None
    return Cause(now) if run is None or run.spec != spec_of(batch) or asked else None


def _of_tick(tick: Tick) -> Cause:
    return Cause(tick.scheduled or tick.created, tick.name)


def _replacing(batch: BatchInference, run: Run, seen: Seen) -> Tick | None:
    """Under policy Replace, Kubernetes has removed the tick of the run for a newer one."""
    schedule = batch.spec.schedule
    if schedule is None or schedule.concurrency_policy != "Replace" or run.tick is None or not seen.ticks:
        return None
    return seen.ticks[-1] if all(tick.name != run.tick for tick in seen.ticks) else None


def begun(batch: BatchInference, why: Cause, model: Target, before: Run | None, now: datetime) -> Run:
    """A new run, whose first Job plans."""
    return Run(
        number=(before.number if before is not None else 0) + 1,
        phase="Planning",
        spec=spec_of(batch),
        request=request_of(batch),
        tick=why.tick,
        time=why.time,
        version=model.version,
        digest=Digest(model.digest),
        input=input_of(batch.spec, why.time),
        output=filled(batch.spec.output.s3.uri, why.time),
        retries=0,
        started_at=now.replace(microsecond=0),
    )


def spec_of(batch: BatchInference) -> str:
    """Digest of what a run depends on."""
    return names.digest(depends_on(batch.spec))[:16]


def request_of(batch: BatchInference) -> str | None:
    """What stands in the annotation flywheel.ml/run-requested."""
    text = batch.annotations.get(REQUEST_ANNOTATION)
    return text[:256] if text else None


def remembered(batch: BatchInference, progress: Progress) -> tuple[Ended, ...]:
    """The history, with the run that ended just now first."""
    run, history = progress.run, batch.status.history
    if run is None or run.finished_at is None or not progress.news:
        return history
    ended = Ended(
        time=run.time,
        result="Succeeded" if run.phase == "Succeeded" else "Failed",
        reason=run.reason,
        version=run.version,
        output=run.output,
        rows=run.rows_done,
        row_errors=run.row_errors,
        finished_at=run.finished_at,
    )
    return (ended, *history)[:MOST_REMEMBERED]

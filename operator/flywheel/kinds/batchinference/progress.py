"""Where a run stands, from what status remembers and what its Jobs say: pure, and the same however often it is computed.

Status is written after a Job is made, so it may be one step behind: a Job with a higher number than status knows is taken in from its
annotation. A Job is deleted only by the plan that knows how it ended and makes what follows, whose annotation carries that on.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flywheel.core.diagnosis.internal_error import bound_internal_error
from flywheel.core.diagnosis.outcome import Outcome
from flywheel.core.pods import store_access
from flywheel.core.pods.cron_job import Tick
from flywheel.core.requeue import backoff
from flywheel.core.resource import names
from flywheel.core.resource.model_reference import ResolvedVersion, UnresolvedReference
from flywheel.core.resource.restrictions import Violation, find_violation
from flywheel.core.resource.values import Digest
from flywheel.kinds.batchinference.children import REQUEST_ANNOTATION, BatchInference, fill_in, input_location
from flywheel.kinds.batchinference.observe import BatchJob, Seen
from flywheel.kinds.batchinference.schema.spec import depends_on
from flywheel.kinds.batchinference.schema.status import MAX_HISTORY, EndedRun, Run

# A run of a schedule must not delay the next one for ever: about an hour of pauses.
MAX_RETRIES_OF_TICK = 10
# A main of ours says by its exit code whether trying again can help; what the kernel or the kubelet did to it, it cannot say.
NOT_RETRIED = frozenset(("OOMKilled", "TimedOut"))
# The input is another, or the plan cannot be read (any more); of a model that is not in the store the next plan will say so.
PLANNED_AGAIN = frozenset(("InputChanged", "PlanOutdated", "ArtifactMissing"))
NEXT_PHASE = {"Planning": "Scoring", "Scoring": "Finishing", "Finishing": "Succeeded"}


@dataclass(frozen=True)
class Progress:
    """Where the BatchInference stands.

    `run` starts now, is under way, or ended last; `job` is its newest Job, None if that is not made yet or is gone. `missing`: another run
    should start, and the model, or a Dataset in which it looks up, is not there; `refusal`: it should, or the next Job should, and may not. `completed_tick`: the tick of the schedule whose run has ended.
    """

    run: Run | None
    job: BatchJob | None
    history: tuple[EndedRun, ...]
    completed_tick: str | None
    just_ended: bool = False  # status does not say yet how the newest Job ended
    missing: UnresolvedReference | None = None
    refusal: Violation | None = None


@dataclass(frozen=True)
class Start:
    """Why a run should start: the tick that it answers, or None, and the time that it speaks of."""

    time: datetime
    tick: str | None = None


def advance(batch: BatchInference, seen: Seen) -> Progress:
    """Take in how Jobs ended, and start the next Job or the next run if one is due."""
    run, history = _with_newest_job(batch.status.run, seen), batch.status.history
    job = next((each for each in seen.jobs if run is not None and each.run.number == run.number), None)
    just_ended = False
    if run is not None and not run.is_over and run.not_before is None:
        run = _with_counts(run, job)
        vanished = f"Job {run.number} of the run was deleted before it ended."
        outcome = job.outcome if job is not None else Outcome("Infrastructure", "JobVanished", vanished)
        if outcome is not None:
            run, just_ended = after_job(run, outcome, seen.now), True
            history = _with_ended(history, run)
    completed = run.tick if run is not None and run.is_over else None
    start = next_start(batch, run, seen)
    refusal = run_refusal(batch, start, seen) if start is not None else None
    if refusal is not None:
        return Progress(run, job, history, completed, just_ended, refusal=refusal)
    missing = next((each for each in (seen.model, seen.feature_sets) if isinstance(each, UnresolvedReference)), None)
    if start is not None and missing is not None:
        return Progress(run, job, history, completed, just_ended, missing)
    if start is not None and isinstance(seen.model, ResolvedVersion):
        begun = new_run(batch, start, seen.model, run, seen.now)
        return Progress(_with_present_sets(begun, seen), None, history, completed)
    if run is not None and not run.is_over:
        if batch.spec.suspend:
            run = run if run.not_before is not None else run.model_copy(update={"not_before": seen.now})
        elif just_ended if run.not_before is None else run.not_before <= seen.now:
            # One phase is done and another begins, or a pause is over.
            refusal = find_violation(batch.spec, seen.settings)
            if refusal is not None:
                run = run.model_copy(update={"not_before": run.not_before or seen.now})
                return Progress(run, job, history, completed, just_ended, refusal=refusal)
            run, job = run.model_copy(update={"number": run.number + 1, "not_before": None}), None
            run = _with_present_sets(run, seen) if run.phase == "Planning" else run
    return Progress(run, job, history, completed, just_ended)


def run_refusal(batch: BatchInference, start: Start, seen: Seen) -> Violation | None:
    """Why a run may not start: its spec is forbidden, its version pins no such FeatureSet, or it may not read its input or write its output with the installation's credentials."""
    source, output, settings = batch.spec.input.s3, batch.spec.output.s3, seen.settings
    refusal = find_violation(batch.spec, settings)
    if refusal is None and isinstance(seen.feature_sets, Violation):
        refusal = seen.feature_sets
    if refusal is None and source is not None:
        uri = input_location(batch.spec, start.time)
        refusal = store_access.source_refusal(uri, source.secret_name, batch.namespace, settings, "spec.input.s3")
    if refusal is None:
        uri = fill_in(output.uri, start.time, batch.spec.schedule)
        refusal = store_access.output_refusal(uri, output.secret_name, batch.namespace, settings, "spec.output.s3")
    return refusal


def _with_present_sets(run: Run, seen: Seen) -> Run:
    """A run that plans, with the Datasets as they are: what the plan before looked up in may be gone. Later steps take what was planned."""
    is_of_run = isinstance(seen.model, ResolvedVersion) and seen.model.version == run.version
    if is_of_run and isinstance(seen.feature_sets, tuple):
        return run.model_copy(update={"feature_sets": seen.feature_sets})
    return run


def _with_newest_job(run: Run | None, seen: Seen) -> Run | None:
    newest = seen.jobs[-1].run if seen.jobs else None
    return newest if newest is not None and (run is None or newest.number > run.number) else run


def _with_counts(run: Run, job: BatchJob | None) -> Run:
    if job is None or run.phase != "Scoring":
        return run
    shards = job.shards
    speed = int(shards.rows / shards.seconds) if shards.seconds >= 1 else None
    return run.model_copy(
        update={
            "shards_done": shards.done,
            "rows_done": shards.rows,
            "row_errors": shards.errors,
            "rows_per_second": speed,
        }
    )


def after_job(run: Run, outcome: Outcome, now: datetime) -> Run:
    """The run after its newest Job has ended."""
    outcome, internal_errors = bound_internal_error(outcome, run.internal_errors)
    if outcome.result == "Succeeded":
        return _next_phase(run, outcome, now)
    finding: dict[str, Any] = {"reason": outcome.reason, "message": outcome.message[:1024]}
    finding["internal_errors"] = internal_errors
    may_help = outcome.reason in PLANNED_AGAIN or not (outcome.result == "Invalid" or outcome.reason in NOT_RETRIED)
    if may_help and not (run.tick is not None and run.retries >= MAX_RETRIES_OF_TICK):
        retry = {"retries": run.retries + 1, "not_before": now + backoff(run.retries)}
        return run.model_copy(update=finding | retry | _phase_of_retry(outcome.reason))
    return run.model_copy(update=finding | {"phase": "Failed", "finished_at": now})


def _phase_of_retry(reason: str) -> dict[str, Any]:
    if reason in PLANNED_AGAIN:
        return {"phase": "Planning", "plan": None}
    return {"phase": "Scoring"} if reason == "ShardMissing" else {}


def _next_phase(run: Run, outcome: Outcome, now: datetime) -> Run:
    facts = outcome.facts
    changes: dict[str, Any] = {"retries": 0, "internal_errors": None, "reason": None, "message": None}
    changes["phase"] = NEXT_PHASE[run.phase]
    if run.phase == "Planning":
        changes |= {key: facts.get(key) for key in ("plan", "shards", "rows", "warning")}
    # The input is small, or the same work was done by an earlier run.
    is_whole = run.phase == "Planning" and facts.get("manifest")
    if run.phase == "Finishing" or is_whole:
        rows, errors = int(outcome.metrics.get("rows", 0)), int(outcome.metrics.get("errors", 0))
        changes |= {"phase": "Succeeded", "rows_done": rows, "row_errors": errors, "finished_at": now}
    if is_whole:
        seconds = outcome.metrics.get("seconds", 0.0)
        changes |= {
            "shards_done": facts.get("shards"),
            "rows_per_second": int(rows / seconds) if seconds >= 1 else None,
        }
    return run.model_copy(update=changes)


def _with_ended(history: tuple[EndedRun, ...], run: Run) -> tuple[EndedRun, ...]:
    """The history with the run first, if it is over."""
    if run.finished_at is None:
        return history
    ended = EndedRun.model_validate({**run.model_dump(), "result": run.phase, "rows": run.rows_done})
    return (ended, *history)[:MAX_HISTORY]


def next_start(batch: BatchInference, run: Run | None, seen: Seen) -> Start | None:
    """Why a run should start now, or None. One that is under way is overtaken by another spec, and by a tick under policy Replace."""
    if batch.spec.suspend:
        return None
    if run is not None and not run.is_over:
        newer = _replacing_tick(batch, run, seen)
        if newer is not None:
            return _of_tick(newer)
        return Start(run.time, run.tick) if run.spec != spec_digest(batch) else None
    waiting = next((tick for tick in seen.ticks if run is None or tick.name != run.tick), None)
    if waiting is not None:
        return _of_tick(waiting)
    request = batch.read_request(REQUEST_ANNOTATION)
    is_requested = request is not None and (run is None or run.request != request)
    is_new = batch.spec.schedule is None and (run is None or run.spec != spec_digest(batch))
    return Start(seen.now) if is_requested or is_new else None


def _of_tick(tick: Tick) -> Start:
    return Start(tick.scheduled or tick.created, tick.name)


def _replacing_tick(batch: BatchInference, run: Run, seen: Seen) -> Tick | None:
    """Under policy Replace, Kubernetes has removed the tick of the run for a newer one."""
    schedule = batch.spec.schedule
    if schedule is None or schedule.concurrency_policy != "Replace" or run.tick is None or not seen.ticks:
        return None
    return seen.ticks[-1] if all(tick.name != run.tick for tick in seen.ticks) else None


def new_run(batch: BatchInference, start: Start, model: ResolvedVersion, before: Run | None, now: datetime) -> Run:
    """A new run, whose first Job plans."""
    return Run(
        number=(before.number if before is not None else 0) + 1,
        phase="Planning",
        spec=spec_digest(batch),
        request=batch.read_request(REQUEST_ANNOTATION),
        tick=start.tick,
        time=start.time,
        version=model.version,
        digest=Digest(model.digest),
        input=input_location(batch.spec, start.time),
        output=fill_in(batch.spec.output.s3.uri, start.time, batch.spec.schedule),
        retries=0,
        started_at=now,
    )


def spec_digest(batch: BatchInference) -> str:
    """Digest of what a run depends on."""
    return names.digest(depends_on(batch.spec))[:16]

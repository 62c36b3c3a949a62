"""What a BatchInference needs next.

Ready says: the output of the last run is there, whole. With a schedule it also says so while the next run is awaited or under way.
- What may heal elsewhere (an input that is not there yet, a bucket, a password, a node) is tried again with growing pauses; a run of a
  schedule gives up after an hour of that, so that the next one comes.
- What cannot heal (no such column, too many bad rows, an output of other inputs) stalls until the spec changes or somebody asks again.
"""

from dataclasses import replace
from datetime import timedelta

from flywheel.core.pods.schedule import ticker
from flywheel.core.resource import names
from flywheel.core.resource.api import BATCH_INFERENCE, JOB, Reference
from flywheel.core.resource.model_reference import Missing
from flywheel.core.resource.plan import Child, Kept, Plan, Removal
from flywheel.kinds.batchinference import children, messages
from flywheel.kinds.batchinference.children import BatchInference
from flywheel.kinds.batchinference.observe import Seen
from flywheel.kinds.batchinference.progress import Progress, advance, begun, cause, remembered
from flywheel.kinds.batchinference.schema.status import ENDED, BatchInferenceStatus, Run

SOON = timedelta(seconds=15)  # events of a pod that cannot start do not wake us
AT_ONCE = timedelta(seconds=1)


def decide(batch: BatchInference, seen: Seen) -> Plan:
    """The plan for what is seen."""
    progress = advance(batch, seen)
    return (
        time_is_over(batch, seen, progress)
        or run_is_suspended(batch, seen, progress)
        or model_is_missing(batch, seen, progress)
        or run_starts(batch, seen, progress)
        or next_job_starts(batch, seen, progress)
        or job_runs(batch, seen, progress)
        or run_is_tried_again(batch, seen, progress)
        or run_failed(batch, seen, progress)
        or run_succeeded(batch, seen, progress)
        or tick_is_awaited(batch, seen, progress)
    )


def time_is_over(batch: BatchInference, seen: Seen, progress: Progress) -> Plan | None:
    """It ended longer ago than spec.ttl. The output belongs to nobody and stays."""
    ttl, run = batch.spec.ttl, progress.run
    if ttl is None or run is None or run.finished_at is None or progress.news or cause(batch, progress, seen):
        return None
    if run.finished_at + ttl.timedelta > seen.now:
        return None
    good = run.phase == "Succeeded"
    message = f"It ended at {run.finished_at:%Y-%m-%d %H:%M} UTC and is deleted after {ttl}; its output stays."
    plan = _plan(batch, seen, progress, run, None, ready=good, succeeded=good, reason="TimeIsOver", message=message)
    return replace(plan, removals=(Removal(BATCH_INFERENCE, batch.name, batch.uid),))


def run_is_suspended(batch: BatchInference, seen: Seen, progress: Progress) -> Plan | None:
    """Its Job goes, and with it the pods; shards that are done stay done. Before the first run, nothing starts."""
    if not batch.spec.suspend:
        return None
    run = progress.run
    if run is not None and run.phase in ENDED:
        return None
    if run is not None and run.not_before is None:
        run = run.model_copy(update={"not_before": seen.now.replace(microsecond=0)})
    done = f" {messages.shards(run)}" if run is not None else ""
    message = f"BatchInference '{batch.name}' is suspended.{done} Set spec.suspend to false to go on."
    return _plan(batch, seen, progress, run, None, ready=False, reason="Suspended", message=message, progressing=False)


def model_is_missing(batch: BatchInference, seen: Seen, progress: Progress) -> Plan | None:
    """A run should start and there is nothing to score with: seconds away, perhaps."""
    if not isinstance(seen.model, Missing) or cause(batch, progress, seen) is None:
        return None
    job = _kept(progress)
    return _plan(
        batch,
        seen,
        progress,
        progress.run,
        job,
        ready=False,
        reason=seen.model.reason,
        message=seen.model.message,
        look_again=SOON,
    )


def run_starts(batch: BatchInference, seen: Seen, progress: Progress) -> Plan | None:
    """First, and whenever the spec changes, the clock ticks, or somebody asks."""
    why = cause(batch, progress, seen)
    if why is None or isinstance(seen.model, Missing):
        return None
    run = begun(batch, why, seen.model, progress.run, seen.now)
    return _under_way(batch, seen, progress, run, children.job(batch, run, seen.settings))


def next_job_starts(batch: BatchInference, seen: Seen, progress: Progress) -> Plan | None:
    """The phase is done and another begins, or a pause is over."""
    if not progress.due or progress.run is None:
        return None
    run = progress.run.model_copy(update={"number": progress.run.number + 1, "not_before": None})
    return _under_way(batch, seen, progress, run, children.job(batch, run, seen.settings))


def job_runs(batch: BatchInference, seen: Seen, progress: Progress) -> Plan | None:
    """It has not ended; what stands in its way is told."""
    run, job = progress.run, progress.job
    if run is None or job is None or run.phase in ENDED or run.not_before is not None:
        return None
    return _under_way(batch, seen, progress, run, Kept(JOB, job.name))


def run_is_tried_again(batch: BatchInference, seen: Seen, progress: Progress) -> Plan | None:
    """Nobody's spec was to blame, or what is missing may arrive."""
    run = progress.run
    if run is None or run.phase in ENDED or run.not_before is None:
        return None
    message = f"{run.message} Trying again at {run.not_before:%H:%M:%S} UTC."
    return _plan(
        batch,
        seen,
        progress,
        run,
        _kept(progress),
        ready=_is_good(batch),
        progressing=True,
        reason=run.reason or "Retrying",
        message=message,
        look_again=max(run.not_before - seen.now, AT_ONCE),
    )


def run_failed(batch: BatchInference, seen: Seen, progress: Progress) -> Plan | None:
    """Its Job stays, so that its logs can be read, until the next run starts."""
    run = progress.run
    if run is None or run.phase != "Failed":
        return None
    return _plan(
        batch,
        seen,
        progress,
        run,
        _kept(progress),
        ready=False,
        succeeded=False,
        reason=run.reason or "Failed",
        message=f"{run.message} {messages.next_step(batch)}",
        stalled=batch.spec.schedule is None,
        look_again=_until_ttl(batch, seen, run),
    )


def run_succeeded(batch: BatchInference, seen: Seen, progress: Progress) -> Plan | None:
    """The output is there. The last Job may go once status knows."""
    run = progress.run
    if run is None or run.phase != "Succeeded":
        return None
    return _plan(
        batch,
        seen,
        progress,
        run,
        _kept(progress) if progress.news else None,
        ready=True,
        succeeded=True,
        reason="Scored",
        message=messages.scored(run),
        look_again=AT_ONCE if progress.news else _until_ttl(batch, seen, run),
    )


def tick_is_awaited(batch: BatchInference, seen: Seen, progress: Progress) -> Plan:
    """A schedule that has not ticked yet."""
    schedule = batch.spec.schedule
    when = f"'{schedule.cron}' ({schedule.time_zone})" if schedule is not None else "its schedule"
    message = f"The first run comes at the next tick of {when}."
    return _plan(batch, seen, progress, None, None, ready=True, reason="Scheduled", message=message)


def _under_way(batch: BatchInference, seen: Seen, progress: Progress, run: Run, job: Child | Kept) -> Plan:
    diagnosis = progress.job.diagnosis if progress.job is not None and isinstance(job, Kept) else None
    return _plan(
        batch,
        seen,
        progress,
        run,
        job,
        ready=_is_good(batch),
        progressing=True,
        reason=diagnosis.reason if diagnosis else run.phase,
        message=diagnosis.message if diagnosis else messages.under_way(run, job.name),
        look_again=SOON,
    )


def _is_good(batch: BatchInference) -> bool:
    """With a schedule, the last output stands while the next one is made."""
    history = batch.status.history
    return batch.spec.schedule is not None and bool(history) and history[0].result == "Succeeded"


def _kept(progress: Progress) -> Kept | None:
    return Kept(JOB, progress.job.name) if progress.job is not None else None


def _until_ttl(batch: BatchInference, seen: Seen, run: Run) -> timedelta | None:
    if batch.spec.ttl is None or run.finished_at is None:
        return None
    return max(run.finished_at + batch.spec.ttl.timedelta - seen.now, AT_ONCE)


def _plan(
    batch: BatchInference,
    seen: Seen,
    progress: Progress,
    run: Run | None,
    job: Child | Kept | None,
    *,
    ready: bool,
    reason: str,
    message: str,
    succeeded: bool | None = None,
    stalled: bool = False,
    progressing: bool | None = None,
    look_again: timedelta | None = None,
) -> Plan:
    """What all plans share: status, the ticker, and the tick that is answered."""
    clock = ticker(batch, batch.spec.schedule, suspend=batch.spec.suspend)
    waiting = {tick.name for tick in seen.ticks}
    answered = run is not None and run.phase in ENDED and run.tick in waiting
    return Plan(
        ready=ready,
        succeeded=succeeded,
        reason=reason,
        message=message,
        status=BatchInferenceStatus(run=run, history=remembered(batch, progress)),
        summary=names.within(messages.summary(run, reason), 256),
        children=tuple(child for child in (job, clock) if child is not None),
        finish=(Reference(JOB, batch.namespace, str(run.tick)),) if answered and run is not None else (),
        stalled=stalled,
        progressing=progressing,
        look_again=look_again,
    )

"""What a BatchInference needs next.

Ready says: the output of the last run is there, whole. With a schedule it also says so while the next run is awaited or under way.
- What may heal elsewhere (an input that is not there yet, a bucket, a password, a node) is retried with growing pauses; a run of a
  schedule gives up after an hour of that, so that the next one comes.
- What cannot heal (no such column, too many bad rows, an output of other inputs) stalls until the spec changes or a run is requested.
"""

from datetime import timedelta

from flywheel.core.pods.cron_job import cron_jobs
from flywheel.core.requeue import PENDING_CHECK_INTERVAL, REQUEUE_NOW
from flywheel.core.resource.api import BATCH_INFERENCE, JOB
from flywheel.core.resource.plan import Decision, ExistingChild, Plan, Removal, existing_job
from flywheel.kinds.batchinference import children, messages
from flywheel.kinds.batchinference.children import BatchInference
from flywheel.kinds.batchinference.observe import Seen
from flywheel.kinds.batchinference.progress import Progress, advance
from flywheel.kinds.batchinference.schema.status import BatchInferenceStatus, Run


def decide(batch: BatchInference, seen: Seen) -> Plan:
    """The plan for what is seen."""
    progress = advance(batch, seen)
    decision = (
        ttl_is_over(batch, seen, progress)
        or run_is_suspended(batch, progress)
        or run_is_refused(batch, progress)
        or model_is_missing(progress)
        or job_runs(batch, seen, progress)
        or run_is_retried(batch, seen, progress)
        or run_failed(batch, seen, progress)
        or run_succeeded(batch, seen, progress)
        or tick_is_awaited(batch)
    )
    return decision.plan(
        status=BatchInferenceStatus(run=progress.run, history=progress.history),
        summary=messages.summary(progress.run, decision.reason),
        children=cron_jobs(batch, batch.spec.schedule, suspend=batch.spec.suspend),
        completed_ticks=tuple(tick.name for tick in seen.ticks if tick.name == progress.completed_tick),
    )


def ttl_is_over(batch: BatchInference, seen: Seen, progress: Progress) -> Decision | None:
    """It ended longer ago than spec.ttl. The output has no owner and stays."""
    ttl, run = batch.spec.ttl, progress.run
    if ttl is None or run is None or run.finished_at is None or progress.just_ended or progress.missing is not None:
        return None
    if run.finished_at + ttl.timedelta > seen.now:
        return None
    return Decision(
        ready=run.phase == "Succeeded",
        succeeded=run.phase == "Succeeded",
        reason="TimeIsOver",
        message=f"It ended at {run.finished_at:%Y-%m-%d %H:%M} UTC and is deleted after {ttl}; its output stays.",
        removals=(Removal(BATCH_INFERENCE, batch.name, batch.uid),),
    )


def run_is_suspended(batch: BatchInference, progress: Progress) -> Decision | None:
    """Its Job goes, and with it the pods; shards that are done stay done. Before the first run, nothing starts."""
    run = progress.run
    if not batch.spec.suspend or (run is not None and run.is_over):
        return None
    done = f" {messages.shards(run)}" if run is not None else ""
    message = f"BatchInference '{batch.name}' is suspended.{done} Set spec.suspend to false to go on."
    return Decision(ready=False, reason="Suspended", message=message, progressing=False)


def model_is_missing(progress: Progress) -> Decision | None:
    """A run should start and there is nothing to score with, or to look up in: seconds away, perhaps."""
    if progress.missing is None:
        return None
    return Decision(
        ready=False,
        reason=progress.missing.reason,
        message=progress.missing.message,
        children=existing_job(progress.job),
        requeue_after=PENDING_CHECK_INTERVAL,
    )


def run_is_refused(batch: BatchInference, progress: Progress) -> Decision | None:
    """A run is due, and its version pins no such FeatureSet, or the installation's credentials may not read its input or write its output."""
    if progress.refusal is None:
        return None
    return Decision(
        ready=_output_stands(batch, progress),
        reason=progress.refusal.reason,
        message=progress.refusal.message,
        children=existing_job(progress.job),
        stalled=batch.spec.schedule is None,
    )


def job_runs(batch: BatchInference, seen: Seen, progress: Progress) -> Decision | None:
    """A Job starts now, or has not ended."""
    run = progress.run
    if run is None or run.is_over or run.not_before is not None:
        return None
    job = ExistingChild(JOB, progress.job.name) if progress.job else children.run_job(batch, run, seen.settings)
    diagnosis = progress.job.diagnosis if progress.job else None
    return Decision(
        ready=_output_stands(batch, progress),
        progressing=True,
        reason=diagnosis.reason if diagnosis else run.phase,
        message=diagnosis.message if diagnosis else messages.job_runs(run, job.name),
        children=(job,),
        requeue_after=PENDING_CHECK_INTERVAL,
    )


def run_is_retried(batch: BatchInference, seen: Seen, progress: Progress) -> Decision | None:
    """Infrastructure broke, or what is missing may arrive."""
    run = progress.run
    if run is None or run.is_over or run.not_before is None:
        return None
    return Decision(
        ready=_output_stands(batch, progress),
        progressing=True,
        reason=run.reason or "Retrying",
        message=f"{run.message} Trying again at {run.not_before:%H:%M:%S} UTC.",
        children=existing_job(progress.job),
        requeue_after=max(run.not_before - seen.now, REQUEUE_NOW),
    )


def run_failed(batch: BatchInference, seen: Seen, progress: Progress) -> Decision | None:
    """Its Job stays, so that its logs can be read, until the next run starts."""
    run = progress.run
    if run is None or run.phase != "Failed":
        return None
    return Decision(
        ready=False,
        succeeded=False,
        reason=run.reason or "Failed",
        message=f"{run.message} {messages.next_step(batch)}",
        children=existing_job(progress.job),
        stalled=batch.spec.schedule is None,
        requeue_after=_until_ttl(batch, seen, run),
    )


def run_succeeded(batch: BatchInference, seen: Seen, progress: Progress) -> Decision | None:
    """The output is there. The last Job may go once status says so."""
    run, just_ended = progress.run, progress.just_ended
    if run is None or run.phase != "Succeeded":
        return None
    return Decision(
        ready=True,
        succeeded=True,
        reason="Scored",
        message=messages.run_succeeded(run),
        children=existing_job(progress.job) if just_ended else (),
        requeue_after=REQUEUE_NOW if just_ended else _until_ttl(batch, seen, run),
    )


def tick_is_awaited(batch: BatchInference) -> Decision:
    """A schedule that has not ticked yet."""
    schedule = batch.spec.schedule
    when = f"'{schedule.cron}' ({schedule.time_zone})" if schedule is not None else "its schedule"
    return Decision(ready=True, reason="Scheduled", message=f"The first run comes at the next tick of {when}.")


def _output_stands(batch: BatchInference, progress: Progress) -> bool:
    """With a schedule, the last output stands while the next one is made."""
    history = progress.history
    return batch.spec.schedule is not None and bool(history) and history[0].result == "Succeeded"


def _until_ttl(batch: BatchInference, seen: Seen, run: Run) -> timedelta | None:
    if batch.spec.ttl is None or run.finished_at is None:
        return None
    return max(run.finished_at + batch.spec.ttl.timedelta - seen.now, REQUEUE_NOW)

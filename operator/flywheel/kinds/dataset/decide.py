"""What a Dataset needs next.

Ready says: there is a version that the present spec was checked to be true of. So
- a new spec is not Ready before its own check has passed, however good older versions are;
- a later check of the same spec (a tick, a request) that fails leaves Ready=True with the last good version and says CheckFailed,
  since training and serving may go on with it;
- data that fails the first check stalls, unless a schedule checks it again; what may heal elsewhere (a file, a bucket, a password)
  is retried with growing pauses, and so is whatever infrastructure broke.
"""

from flywheel.core.diagnosis.internal_error import last_failure
from flywheel.core.pods import cron_job
from flywheel.core.requeue import PENDING_CHECK_INTERVAL, REQUEUE_NOW
from flywheel.core.resource.api import JOB
from flywheel.core.resource.plan import Decision, Event, ExistingChild, Plan, existing_job
from flywheel.kinds.dataset import children, messages
from flywheel.kinds.dataset.children import Dataset
from flywheel.kinds.dataset.observe import Seen
from flywheel.kinds.dataset.progress import Progress, advance
from flywheel.kinds.dataset.schema.status import DatasetStatus


def decide(dataset: Dataset, seen: Seen) -> Plan:
    """The plan for what is seen."""
    progress = advance(dataset, seen)
    decision = (
        source_is_refused(progress)
        or check_runs(dataset, seen, progress)
        or check_is_retried(dataset, seen, progress)
        or check_failed(dataset, progress)
        or dataset_is_suspended(dataset, progress)
        or data_is_ready(dataset, progress)
    )
    current = progress.versions[0] if progress.versions else None
    return decision.plan(
        status=DatasetStatus(
            version=current.name if current else None,
            digest=current.digest if current else None,
            rows=current.rows if current else None,
            snapshot=progress.snapshot,
            generation=progress.generation,
            check=progress.check,
            versions=progress.versions,
        ),
        summary=messages.summary(current, decision.reason),
        children=cron_job.cron_jobs(dataset, dataset.spec.schedule, suspend=dataset.spec.suspend),
        completed_ticks=_completed_ticks(seen, progress),
    )


def source_is_refused(progress: Progress) -> Decision | None:
    """A check is due, and may not start: the spec is forbidden, or the installation's credentials may not read the source."""
    refusal, version = progress.refusal, progress.ready_version
    if refusal is None:
        return None
    stands = f"Version {version.name} stands, but the next check cannot run. " if version else ""
    return Decision(
        ready=version is not None,
        reason=refusal.reason,
        message=f"{stands}{refusal.message}",
        children=existing_job(progress.job),
        stalled=True,
    )


def check_runs(dataset: Dataset, seen: Seen, progress: Progress) -> Decision | None:
    """A check starts now, or its Job has not ended. A version that fits the spec stays Ready meanwhile."""
    check, version = progress.check, progress.ready_version
    if check is None or check.result != "Running":
        return None
    job = ExistingChild(JOB, progress.job.name) if progress.job else children.check_job(dataset, check, seen.settings)
    diagnosis = progress.job.diagnosis if progress.job else None
    if diagnosis is not None:
        stands = f"Version {version.name} stands, but the next check cannot run. " if version else ""
        reason, message = diagnosis.reason, f"{stands}{diagnosis.message}"
    elif version is not None:
        reason, message = "Checked", messages.check_passed(version)
    else:
        failure = last_failure(check.retries, check.reason, check.message)
        reason, message = "Checking", f"{messages.check_runs(dataset, job.name)}{failure}"
    return Decision(
        ready=version is not None, reason=reason, message=message, children=(job,), requeue_after=PENDING_CHECK_INTERVAL
    )


def check_is_retried(dataset: Dataset, seen: Seen, progress: Progress) -> Decision | None:
    """Infrastructure broke, or what is missing may arrive."""
    check, version = progress.check, progress.ready_version
    if check is None or check.result != "Retrying" or dataset.spec.suspend:
        return None
    again = check.not_before or seen.now
    message = f"{check.message} Trying again at {again:%H:%M:%S} UTC (check {check.number + 1})."
    return Decision(
        ready=version is not None,
        reason=check.reason or "Retrying",
        message=f"Version {version.name} stands. {message}" if version else message,
        children=existing_job(progress.job),
        requeue_after=max(again - seen.now, REQUEUE_NOW),
    )


def check_failed(dataset: Dataset, progress: Progress) -> Decision | None:
    """The data is not what the spec says. Its Job stays, so that its logs can be read, until the next check starts.

    Under spec.suspend no next check starts, and what failed was an earlier spec: suspending changes the spec too.
    """
    check, version = progress.check, progress.ready_version
    if check is None or check.result != "Failed" or (dataset.spec.suspend and version is None):
        return None
    finding = f"{check.message or ''} {messages.next_step(dataset, check.reason or '')}"
    if version is None:
        return Decision(
            ready=False,
            reason=check.reason or "CheckFailed",
            message=finding,
            children=existing_job(progress.job),
            stalled=dataset.spec.schedule is None,
        )
    message = f"Version {version.name} stands, but a later check failed. {check.reason}: {finding}"
    return Decision(
        ready=True,
        reason="CheckFailed",
        message=message,
        children=existing_job(progress.job),
        events=(Event("CheckFailed", message, "Warning", "Check"),) if progress.just_ended else (),
    )


def dataset_is_suspended(dataset: Dataset, progress: Progress) -> Decision | None:
    """No check may start, and the present spec was never checked."""
    if progress.ready_version is not None:
        return None
    return Decision(
        ready=False,
        reason="Suspended",
        message=f"Dataset '{dataset.name}' is suspended and its spec is not checked yet; set spec.suspend to false.",
        children=existing_job(progress.job),
        progressing=False,
    )


def data_is_ready(dataset: Dataset, progress: Progress) -> Decision:
    """There is a version that fits the spec. The Job that found it may go once status names it."""
    version = progress.versions[0]
    message, ended = messages.check_passed(version), progress.just_ended
    is_new = ended and version.name != dataset.status.version
    return Decision(
        ready=True,
        reason="Checked",
        message=message,
        children=existing_job(progress.job) if ended else (),
        events=(Event("NewVersion", message, action="Check"),) if is_new else (),
        requeue_after=REQUEUE_NOW if ended else None,
    )


def _completed_ticks(seen: Seen, progress: Progress) -> tuple[str, ...]:
    check = progress.check
    has_ended = check is not None and check.result in ("Passed", "Failed")
    return cron_job.ticks_until(seen.ticks, check.tick if check is not None and has_ended else None)

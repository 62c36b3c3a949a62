"""What a FeatureSet needs next.

Ready says: the features of the present spec were bound to the columns of their Datasets, and the definition is in the store.
- A new version of a Dataset is checked anew, and the definition stays Ready until that check has failed.
- A check that fails stalls until the spec or a Dataset changes; what broke elsewhere is tried again with growing pauses.
"""

from flywheel.core.diagnosis.internal_error import last_failure
from flywheel.core.requeue import PENDING_CHECK_INTERVAL, REQUEUE_NOW
from flywheel.core.resource.api import JOB
from flywheel.core.resource.plan import Decision, Event, ExistingChild, Plan, existing_job
from flywheel.kinds.featureset import children, messages
from flywheel.kinds.featureset.children import FeatureSet
from flywheel.kinds.featureset.observe import Seen
from flywheel.kinds.featureset.progress import Progress, advance
from flywheel.kinds.featureset.schema.status import MAX_MODELS, FeatureSetStatus


def decide(featureset: FeatureSet, seen: Seen) -> Plan:
    """The plan for what is seen."""
    progress = advance(featureset, seen)
    status = progress.definition.model_copy(
        update={
            "check": progress.check,
            "models": seen.models[:MAX_MODELS],
            "needed_by": seen.needed_by[:MAX_MODELS],
        }
    )
    decision = (
        spec_is_refused(progress)
        or dataset_is_missing(featureset, seen, progress)
        or check_runs(featureset, seen, progress)
        or check_is_retried(featureset, seen, progress)
        or check_failed(featureset, progress)
        or featureset_is_suspended(featureset, progress)
        or features_are_defined(featureset, progress, status)
    )
    return decision.plan(status, summary=messages.summary(status, decision.reason))


def spec_is_refused(progress: Progress) -> Decision | None:
    """A check is due, and may not start: the installation forbids the spec."""
    if progress.refusal is None:
        return None
    return Decision(
        ready=False,
        stalled=True,
        reason=progress.refusal.reason,
        message=progress.refusal.message,
        children=existing_job(progress.job),
    )


def dataset_is_missing(featureset: FeatureSet, seen: Seen, progress: Progress) -> Decision | None:
    """A Dataset does not exist, or has no version that may be used now."""
    for name in featureset.spec.datasets:
        state = seen.datasets.get(name)
        if state is None:
            reason, message = "DatasetNotFound", messages.dataset_not_found(featureset, name)
        elif state.version is None:
            reason, message = "DatasetNotReady", messages.dataset_not_ready(name, state)
        else:
            continue
        return Decision(ready=False, reason=reason, message=message, children=existing_job(progress.job))
    return None


def check_runs(featureset: FeatureSet, seen: Seen, progress: Progress) -> Decision | None:
    """A check starts now, or its Job has not ended. A definition of the present spec stays Ready meanwhile."""
    check = progress.check
    if check is None or check.result != "Running":
        return None
    job = (
        ExistingChild(JOB, progress.job.name) if progress.job else children.check_job(featureset, check, seen.settings)
    )
    diagnosis = progress.job.diagnosis if progress.job else None
    failure = last_failure(check.retries, check.reason, check.message)
    return Decision(
        ready=_is_defined(featureset, progress),
        reason=diagnosis.reason if diagnosis else "Checking",
        message=diagnosis.message if diagnosis else f"{messages.check_runs(featureset, job.name)}{failure}",
        children=(job,),
        requeue_after=PENDING_CHECK_INTERVAL,
    )


def check_is_retried(featureset: FeatureSet, seen: Seen, progress: Progress) -> Decision | None:
    """Infrastructure broke."""
    check = progress.check
    if check is None or check.result != "Retrying" or featureset.spec.suspend:
        return None
    again = check.not_before or seen.now
    return Decision(
        ready=_is_defined(featureset, progress),
        reason=check.reason or "Retrying",
        message=f"{check.message} Trying again at {again:%H:%M:%S} UTC (check {check.number + 1}).",
        children=existing_job(progress.job),
        requeue_after=max(again - seen.now, REQUEUE_NOW),
    )


def check_failed(featureset: FeatureSet, progress: Progress) -> Decision | None:
    """A feature does not fit the columns of its Dataset. The Job stays, so that its logs can be read, until the next check starts."""
    check = progress.check
    if check is None or check.result != "Failed" or check.generation != featureset.generation:
        return None
    message = f"{check.message or ''} {messages.next_step(featureset, check.reason or '')}"
    return Decision(
        ready=False,
        stalled=True,
        reason=check.reason or "CheckFailed",
        message=message,
        children=existing_job(progress.job),
    )


def featureset_is_suspended(featureset: FeatureSet, progress: Progress) -> Decision | None:
    """No check may start, and the present spec was never checked."""
    if _is_defined(featureset, progress):
        return None
    return Decision(
        ready=False,
        reason="Suspended",
        message=f"FeatureSet '{featureset.name}' is suspended and its spec is not checked yet; set spec.suspend to false.",
        children=existing_job(progress.job),
        progressing=False,
    )


def features_are_defined(featureset: FeatureSet, progress: Progress, status: FeatureSetStatus) -> Decision:
    """There is a definition of the present spec. The Job that found it may go once status names it."""
    message, ended = messages.check_passed(status), progress.just_ended
    is_new = ended and status.version != featureset.status.version
    return Decision(
        ready=True,
        reason="Checked",
        message=message,
        children=existing_job(progress.job) if ended else (),
        events=(Event("NewVersion", message, action="Check"),) if is_new else (),
        requeue_after=REQUEUE_NOW if ended else None,
    )


def _is_defined(featureset: FeatureSet, progress: Progress) -> bool:
    definition = progress.definition
    return definition.digest is not None and definition.generation == featureset.generation

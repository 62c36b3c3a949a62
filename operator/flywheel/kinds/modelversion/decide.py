"""What a ModelVersion needs next.

Ready says: these bytes were loaded in the serving image, predicted, and gave what they gave when they were made.
- A verified version is never verified again by itself, only when annotation flywheel.ml/verify-requested changes; meanwhile it stays Ready.
- What may heal elsewhere (a bucket, a password, a node) is retried with growing pauses.
- What cannot heal stalls. The digest of an earlier good verification stays in the status: what is served goes on.
"""

from flywheel.core.diagnosis.internal_error import last_failure
from flywheel.core.pods import store_access
from flywheel.core.requeue import PENDING_CHECK_INTERVAL, REQUEUE_NOW
from flywheel.core.resource import names
from flywheel.core.resource.api import JOB
from flywheel.core.resource.plan import Decision, ExistingChild, Plan
from flywheel.kinds.modelversion import children, messages
from flywheel.kinds.modelversion.approval import with_approval
from flywheel.kinds.modelversion.children import VERIFY, ModelVersion
from flywheel.kinds.modelversion.gates.measurement import with_measurement
from flywheel.kinds.modelversion.observe import Seen
from flywheel.kinds.modelversion.rejection import with_rejection
from flywheel.kinds.modelversion.schema.spec import S3Source
from flywheel.kinds.modelversion.schema.status import ModelVersionStatus
from flywheel.kinds.modelversion.verification import is_finished, is_requested_again, status_after


def decide(version: ModelVersion, seen: Seen) -> Plan:
    """The plan for what is seen: the verification, then what gates, approval and rollouts add to it."""
    status = status_after(version, seen)
    decision = (
        verification_failed(version, seen, status)
        or verification_is_retried(version, seen, status)
        or model_is_verified(version, seen, status)
        or source_is_refused(version, seen, status)
        or verification_runs(version, seen, status)
    )
    if decision.ready and not decision.progressing and seen.measurement is not None:
        decision, status = with_measurement(version, seen.measurement, decision, status, seen.now, seen.settings)
    decision, status = with_approval(version, seen, decision, status)
    decision, status = with_rejection(version, seen, decision, status)
    status = status.model_copy(update={"served_by": seen.served_by, "scored_by": seen.scored_by})
    return decision.plan(status, summary=messages.summary(status, seen, decision))


def verification_failed(version: ModelVersion, seen: Seen, status: ModelVersionStatus) -> Decision | None:
    """Only another spec or a request can change that. The Job stays, so that its logs can be read."""
    failure = status.failure
    if failure is None or failure.retry_at is not None or not is_finished(version, seen, status):
        return None
    served = f" Artifact {status.digest}, which was verified before, is served on." if status.digest else ""
    return Decision(
        ready=False,
        stalled=True,
        reason=failure.reason,
        message=f"{failure.message}{served} {messages.next_step(failure.reason)}",
        summary="not verified",
        children=_last_job(version, status),
    )


def verification_is_retried(version: ModelVersion, seen: Seen, status: ModelVersionStatus) -> Decision | None:
    """Infrastructure broke, or what is missing may arrive."""
    failure = status.failure
    if failure is None or failure.retry_at is None or failure.retry_at <= seen.now:
        return None
    if is_requested_again(version, seen, status):
        return None
    again = f"Trying again at {failure.retry_at:%H:%M:%S} UTC (attempt {(status.attempts or 0) + 1})."
    return Decision(
        ready=status.is_verified,
        progressing=True,
        reason=failure.reason,
        message=f"{failure.message} {again}",
        summary="" if status.is_verified else "waiting to be verified again",
        children=_last_job(version, status),
        requeue_after=max(failure.retry_at - seen.now, REQUEUE_NOW),
    )


def model_is_verified(version: ModelVersion, seen: Seen, status: ModelVersionStatus) -> Decision | None:
    """The artifact was loaded and predicted, and nothing is left to do."""
    if status.failure is not None or not is_finished(version, seen, status):
        return None
    return Decision(
        ready=True,
        reason="Verified",
        message=messages.verification_passed(status),
        # The Job whose outcome is written only now is deleted by the next plan: the status comes first.
        children=() if seen.outcome is None else _last_job(version, status),
    )


def source_is_refused(version: ModelVersion, seen: Seen, status: ModelVersionStatus) -> Decision | None:
    """The installation's credentials may not read the model. A Job that runs already is left to its end."""
    source = version.spec.source.location
    if seen.has_job or not isinstance(source, S3Source):
        return None
    where = source.uri, source.secret_name, version.namespace
    refusal = store_access.source_refusal(*where, seen.settings, "spec.source.s3")
    if refusal is None:
        return None
    return Decision(
        ready=status.is_verified, stalled=True, reason=refusal.reason, message=refusal.message, summary="not verified"
    )


def verification_runs(version: ModelVersion, seen: Seen, status: ModelVersionStatus) -> Decision:
    """The Job is made, or runs. One that vanished is made again."""
    job = children.verify_job(version, seen.attempt, seen.settings)
    failure = status.failure if status.failure and status.failure.retry_at else None
    before = last_failure(failure.in_a_row, failure.reason, failure.message) if failure else ""
    loads = f"Job '{job.name}' loads the model in the serving image and requests a prediction.{before}"
    return Decision(
        ready=status.is_verified,
        progressing=True,
        reason=seen.diagnosis.reason if seen.diagnosis else "Verifying",
        message=seen.diagnosis.message if seen.diagnosis else loads,
        summary="" if status.is_verified else "being verified",
        children=(job,),
        requeue_after=PENDING_CHECK_INTERVAL,
    )


def _last_job(version: ModelVersion, status: ModelVersionStatus) -> tuple[ExistingChild, ...]:
    return (ExistingChild(JOB, names.job(version, VERIFY, status.attempts or 1)),)

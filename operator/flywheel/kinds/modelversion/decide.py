"""What a ModelVersion needs next.

Ready says: these bytes were loaded in the serving image, answered, and gave what they gave when they were made.
- A verified version is never verified again by itself, only when annotation flywheel.ml/verify-requested changes; meanwhile it stays Ready.
- What may heal elsewhere (a bucket, a password, a node) is tried again with growing pauses.
- What cannot stalls. The digest of an earlier good verification stays in the status: what is served goes on.
"""

from flywheel.core.requeue import PENDING_CHECK_INTERVAL, REQUEUE_NOW
from flywheel.core.resource import names
from flywheel.core.resource.api import JOB
from flywheel.core.resource.plan import Child, ExistingChild, Plan
from flywheel.kinds.modelversion import children
from flywheel.kinds.modelversion.children import VERIFY, ModelVersion
from flywheel.kinds.modelversion.gates.measurement import gated, kept_facts
from flywheel.kinds.modelversion.observe import REQUEST_ANNOTATION, Seen
from flywheel.kinds.modelversion.rejection import marked
from flywheel.kinds.modelversion.schema import quantization
from flywheel.kinds.modelversion.schema.status import ModelVersionStatus
from flywheel.kinds.modelversion.verification import after_failure, after_success, summary


def decide(version: ModelVersion, seen: Seen) -> Plan:
    """The plan for what is seen."""
    status = after(version, seen)
    plan = (
        verification_failed(version, seen, status)
        or verification_is_tried_again(version, seen, status)
        or model_is_verified(version, seen, status)
        or verification_runs(version, seen, status)
    )
    return marked(version, seen, kept_facts(version, seen, gated(version, seen, plan)))


def after(version: ModelVersion, seen: Seen) -> ModelVersionStatus:
    """The status with the outcome, if there is a new one, written into it."""
    if seen.outcome is None or _is_answered(version, seen, version.status):
        return version.status
    if seen.outcome.result == "Succeeded":
        return after_success(version, seen, seen.outcome)
    return after_failure(version, seen, seen.outcome)


def verification_failed(version: ModelVersion, seen: Seen, status: ModelVersionStatus) -> Plan | None:
    """Only another spec, or somebody who asks, can change that. The Job stays, so that its logs can be read."""
    failure = status.failure
    if failure is None or failure.retry_at is not None or not _is_answered(version, seen, status):
        return None
    served = f" Artifact {status.digest}, which was verified before, is served on." if status.digest else ""
    return Plan(
        ready=False,
        stalled=True,
        reason=failure.reason,
        message=f"{failure.message}{served} {_next_step(failure.reason)}",
        status=status,
        summary="not verified",
        children=_last_job(version, status),
    )


def verification_is_tried_again(version: ModelVersion, seen: Seen, status: ModelVersionStatus) -> Plan | None:
    """Nobody's model was to blame, or what is missing may arrive."""
    failure = status.failure
    if (
        failure is None
        or failure.retry_at is None
        or failure.retry_at <= seen.now
        or _is_asked_anew(version, seen, status)
    ):
        return None
    again = f"Trying again at {failure.retry_at:%H:%M:%S} UTC (attempt {(status.attempts or 0) + 1})."
    return Plan(
        ready=is_good(status),
        progressing=True,
        reason=failure.reason,
        message=f"{failure.message} {again}",
        status=status,
        summary=summary(status, seen) if is_good(status) else "waiting to be verified again",
        children=_last_job(version, status),
        requeue_after=max(failure.retry_at - seen.now, REQUEUE_NOW),
    )


def model_is_verified(version: ModelVersion, seen: Seen, status: ModelVersionStatus) -> Plan | None:
    """Nothing to do."""
    if status.failure is not None or not _is_answered(version, seen, status):
        return None
    golden = status.golden
    replayed = (
        f", and {golden.rows} golden rows came out as before (largest difference {golden.max_difference})"
        if golden and golden.rows
        else ""
    )
    return Plan(
        ready=True,
        reason="Verified",
        message=f"Artifact {status.digest} was loaded in the serving image and answered{replayed}.{quantization.sentence(status.quantization)}",
        status=status,
        summary=summary(status, seen),
        # The Job whose outcome is written only now goes at the next look: first the record, then the deletion.
        children=() if seen.outcome is None else _last_job(version, status),
    )


def verification_runs(version: ModelVersion, seen: Seen, status: ModelVersionStatus) -> Plan:
    """The Job is made, or runs; what stands in its way is told. One that vanished is made again."""
    job: Child = children.verify_job(version, seen.attempt, seen.settings)
    loads = f"Job '{job.name}' loads the model in the serving image and asks it."
    again = is_good(status)
    return Plan(
        ready=again,
        progressing=True,
        reason=seen.diagnosis.reason if seen.diagnosis else "Verifying",
        message=seen.diagnosis.message if seen.diagnosis else loads,
        status=status,
        summary=summary(status, seen) if again else "being verified",
        children=(job,),
        requeue_after=PENDING_CHECK_INTERVAL,
    )


def is_good(status: ModelVersionStatus) -> bool:
    """Whether the last verification that came to a verdict was a good one."""
    return status.verified_at is not None


def _is_asked_anew(version: ModelVersion, seen: Seen, status: ModelVersionStatus) -> bool:
    """Somebody asks by annotation, or changed the spec since it failed."""
    if (status.verify_requested or "") != seen.requested:
        return True
    return status.failure is not None and status.failure.generation != version.generation


def _is_answered(version: ModelVersion, seen: Seen, status: ModelVersionStatus) -> bool:
    """Whether the present question has had its verdict."""
    has_verdict = status.verified_at is not None or status.failure is not None
    waits = status.failure is not None and status.failure.retry_at is not None
    return has_verdict and not waits and not _is_asked_anew(version, seen, status)


def _last_job(version: ModelVersion, status: ModelVersionStatus) -> tuple[ExistingChild, ...]:
    return (ExistingChild(JOB, names.job(version, VERIFY, status.attempts or 1)),)


def _next_step(reason: str) -> str:
    if reason == "OOMKilled":
        return "A change of spec.resources verifies it again."
    return (
        f"Create another version; or, if what it was read from has been mended, "
        f"set annotation {REQUEST_ANNOTATION} to any new value to verify this one again."
    )

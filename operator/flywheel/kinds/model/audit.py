"""The audit records of promotions: they are written one after the other, nothing waits for them, and failures are retried."""

from flywheel.core.diagnosis.outcome import Outcome
from flywheel.core.requeue import MAX_RETRY_PAUSE, REQUEUE_NOW, backoff
from flywheel.core.resource import names
from flywheel.core.resource.api import JOB
from flywheel.core.resource.plan import Decision, ExistingChild
from flywheel.kinds.model.children import Model, audit_attempt, next_unrecorded, promote_job, promote_step
from flywheel.kinds.model.observe import Seen
from flywheel.kinds.model.schema.status import Audit, Promotion


def with_audit(model: Model, seen: Seen, decision: Decision) -> tuple[Decision, Audit | None]:
    """The decision with the Job that is due, and the audit with the outcome of the last one.

    A promotion of this plan is recorded by the next one: the status, with the time of the change, is written first.
    """
    promotion, audit = next_unrecorded(model.status), model.status.audit
    if promotion is None:
        return decision, audit
    attempt = audit_attempt(model.status)
    if seen.promote_outcome is not None:
        # The Job stays until its outcome is written.
        job = ExistingChild(JOB, names.job(model, promote_step(promotion), attempt))
        audit = _audit_after(model, seen, promotion, seen.promote_outcome)
        return decision.extend(children=(job,), requeue_after=REQUEUE_NOW), audit
    if audit is not None and audit.message:
        decision = decision.extend(message=f"Its promotion is not recorded in the store yet: {audit.message}")
    if audit is not None and audit.retry_at is not None and audit.retry_at > seen.now:
        return decision.extend(requeue_after=max(audit.retry_at - seen.now, REQUEUE_NOW)), audit
    return decision.extend(children=(promote_job(model, promotion, attempt, seen.settings),)), audit


def _audit_after(model: Model, seen: Seen, promotion: Promotion, outcome: Outcome) -> Audit:
    if outcome.result == "Succeeded":
        record = outcome.audit
        return Audit(recorded=promotion.number, number=record.get("number"), sha256=record.get("sha256"))
    attempts = audit_attempt(model.status)
    retry_at = seen.now + backoff(attempts - 1, limit=MAX_RETRY_PAUSE)
    failure = {"attempts": attempts, "message": outcome.message[:512], "retry_at": retry_at}
    return (model.status.audit or Audit()).model_copy(update=failure)

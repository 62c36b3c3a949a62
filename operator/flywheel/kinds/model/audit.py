"""Changes of champion are recorded one after the other; nobody waits for it, and what fails is tried again."""

from dataclasses import replace
from datetime import timedelta

from flywheel.core.requeue import REQUEUE_NOW, backoff
from flywheel.core.resource import names
from flywheel.core.resource.api import JOB
from flywheel.core.resource.plan import Child, ExistingChild, Plan
from flywheel.kinds.model.children import Model, audit_attempt, next_unaudited, promote_job, promote_step
from flywheel.kinds.model.observe import Seen
from flywheel.kinds.model.schema.status import Audit, ModelStatus, Reign

MAX_PAUSE = timedelta(minutes=5)


def recorded(model: Model, seen: Seen, plan: Plan) -> Plan:
    """The plan with the Job that is due, and what became of the last one."""
    assert isinstance(plan.status, ModelStatus), "that is this kind's status"
    before = next_unaudited(model.status)
    if before is not None and seen.recording is not None:
        return _ended(model, seen, plan, plan.status, before)
    audit = model.status.audit
    status = plan.status.model_copy(update={"audit": audit})
    # What this plan promotes is recorded from the next look on: its status, with the time of the change, is written first.
    if before is None:
        return replace(plan, status=status, children=())
    words = f" Its promotion is not recorded in the store yet: {audit.message}" if audit and audit.message else ""
    if audit is not None and audit.retry_at is not None and audit.retry_at > seen.now:
        wait = max(audit.retry_at - seen.now, REQUEUE_NOW)
        return replace(plan, status=status, children=(), requeue_after=wait, message=plan.message + words)
    job: Child = promote_job(model, before, audit_attempt(model.status), seen.settings)
    return replace(plan, status=status, children=(job,), message=plan.message + words)


def _ended(model: Model, seen: Seen, plan: Plan, status: ModelStatus, reign: Reign) -> Plan:
    """The Job stays until its outcome is written."""
    found = seen.recording
    assert found is not None, "that was asked before"
    old = model.status.audit or Audit()
    if found.result == "Succeeded":
        number, sha256 = found.audit.get("number"), found.audit.get("sha256")
        audit = Audit(recorded=reign.number, number=number, sha256=sha256)
    else:
        failed = audit_attempt(model.status)
        pause = backoff(failed - 1, limit=MAX_PAUSE)
        again = (seen.now + pause).replace(microsecond=0)
        audit = old.model_copy(update={"attempts": failed, "message": found.message[:512], "retry_at": again})
    job = ExistingChild(JOB, names.job(model, promote_step(reign), audit_attempt(model.status)))
    return replace(plan, status=status.model_copy(update={"audit": audit}), children=(job,), requeue_after=REQUEUE_NOW)

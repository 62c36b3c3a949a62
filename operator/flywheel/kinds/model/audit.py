"""The audit records of promotions, and of problems for which a champion was not taken back: they are written one after the other, nothing waits for them, and failures are retried.

Faults of Flywheel are retried a few times; the Model is Stalled then, and its champion stays."""

from dataclasses import replace

from flywheel.core.diagnosis.internal_error import INTERNAL_ERROR, bound_internal_error, is_given_up, retry_scope
from flywheel.core.diagnosis.outcome import Outcome
from flywheel.core.requeue import MAX_RETRY_PAUSE, REQUEUE_NOW, backoff
from flywheel.core.resource import names
from flywheel.core.resource.api import JOB
from flywheel.core.resource.plan import Decision, Event, ExistingChild
from flywheel.kinds.model.children import Model, audit_attempt, next_unrecorded, promote_job, promote_step
from flywheel.kinds.model.observe import Seen
from flywheel.kinds.model.schema.status import Audit, Promotion, ToleratedProblem

GIVEN_UP_STEP = "It is tried again with another release of Flywheel, or after a change of spec."


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
        events = (Event(INTERNAL_ERROR, str(audit.message), "Warning", action="Record"),) if audit.given_up else ()
        return decision.extend(children=(job,), events=events, requeue_after=REQUEUE_NOW), audit
    what = "promotion" if isinstance(promotion, Promotion) else "problem"
    if audit is not None and audit.message:
        decision = decision.extend(message=f"Its {what} is not recorded in the store yet: {audit.message}")
    if audit is not None and audit.given_up == _retry_scope(model, seen):
        return replace(decision.extend(message=GIVEN_UP_STEP), stalled=True), audit
    if audit is not None and audit.retry_at is not None and audit.retry_at > seen.now:
        return decision.extend(requeue_after=max(audit.retry_at - seen.now, REQUEUE_NOW)), audit
    return decision.extend(children=(promote_job(model, promotion, attempt, seen.settings),)), audit


def _audit_after(model: Model, seen: Seen, decided: Promotion | ToleratedProblem, outcome: Outcome) -> Audit:
    if outcome.result == "Succeeded":
        before, field = (
            model.status.audit or Audit(),
            "recorded" if isinstance(decided, Promotion) else "recorded_problems",
        )
        known = {"recorded": before.recorded, "recorded_problems": before.recorded_problems, field: decided.number}
        return Audit(**known, number=outcome.audit.get("number"), sha256=outcome.audit.get("sha256"))
    audit, attempts = model.status.audit or Audit(), audit_attempt(model.status)
    # What was given up is counted anew, since it is tried with another spec or release.
    outcome, internal_errors = bound_internal_error(outcome, None if audit.given_up else audit.internal_errors)
    given_up = is_given_up(internal_errors)
    pause = backoff(attempts - 1, limit=MAX_RETRY_PAUSE)
    failure = {
        "attempts": attempts,
        "message": outcome.message[:512],
        "retry_at": None if given_up else seen.now + pause,
        "internal_errors": internal_errors,
        "given_up": _retry_scope(model, seen) if given_up else None,
    }
    return audit.model_copy(update=failure)


def _retry_scope(model: Model, seen: Seen) -> str:
    return retry_scope(model.generation, seen.settings.runtime_image)

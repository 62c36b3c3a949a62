"""A verified version that its Model nominates is measured beside the champion; the result stands in the status, where the Model reads it."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from flywheel.core.diagnosis.outcome import Outcome
from flywheel.core.requeue import PENDING_CHECK_INTERVAL, REQUEUE_NOW, backoff
from flywheel.core.resource import names
from flywheel.core.resource.api import JOB
from flywheel.core.resource.plan import Child, Event, ExistingChild, Plan
from flywheel.core.resource.values import Digest
from flywheel.kinds.modelversion.children import ModelVersion
from flywheel.kinds.modelversion.gates.gates_job import Measurement, MeasurementRequest, gates_job, gates_step
from flywheel.kinds.modelversion.observe import REQUEST_ANNOTATION, Seen
from flywheel.kinds.modelversion.schema.gate_results import Approved, GateEntry, GatesResult, GatesRetry
from flywheel.kinds.modelversion.schema.status import ModelVersionStatus
from flywheel.kinds.modelversion.verification import number_text

MAX_PAUSE = timedelta(minutes=5)
UNMEASURED_ENTRY = "measurement"  # the entry of a Job that can never measure


def kept_facts(version: ModelVersion, seen: Seen, plan: Plan) -> Plan:
    """The plan with who serves it, and with an approval if it is of these bytes."""
    assert isinstance(plan.status, ModelVersionStatus), "that is this kind's status"
    approved = _approved(version, seen, plan.status)
    status = plan.status.model_copy(
        update={"served_by": seen.served_by, "scored_by": seen.scored_by, "approval": approved}
    )
    is_new = approved is not None and approved != version.status.approval
    news = (
        (Event("Approved", f"'{approved.by}' approves {approved.digest}: {approved.reason}", action="Approve"),)
        if approved and is_new
        else ()
    )
    void = version.spec.approval
    words = (
        f" The approval of '{void.by}' is void: it is of {void.digest}, and the artifact is {status.digest}."
        if void is not None and approved is None and status.digest is not None
        else ""
    )
    return replace(plan, status=status, message=plan.message + words, events=(*plan.events, *news))


def gated(version: ModelVersion, seen: Seen, plan: Plan) -> Plan:
    """The plan with the gates' Job, if one is due, and with what the last one found."""
    asked = seen.gates
    if not plan.ready or plan.progressing or asked is None:
        return plan
    assert isinstance(plan.status, ModelVersionStatus), "that is this kind's status"
    if asked.outcome is not None:
        return _ended(version, seen, plan, plan.status, asked, asked.outcome)
    if _is_answered(plan.status.gates, asked.question):
        return plan
    retry = plan.status.gates_retry
    if retry is not None and retry.question == asked.question.short and retry.retry_at > seen.now:
        words = f" Its gates could not be measured: {retry.message} Trying again at {retry.retry_at:%H:%M:%S} UTC."
        return replace(plan, message=plan.message + words, requeue_after=max(retry.retry_at - seen.now, REQUEUE_NOW))
    job: Child = gates_job(version, asked.question, asked.attempt, seen.settings)
    beside = f" beside champion '{asked.question.champion}'" if asked.question.champion else ""
    stuck = asked.diagnosis.message if asked.diagnosis else f"Job '{job.name}' measures its gates{beside}."
    return replace(
        plan,
        message=f"{plan.message} {stuck}",
        children=(*(plan.children or ()), job),
        requeue_after=PENDING_CHECK_INTERVAL,
    )


def _ended(
    version: ModelVersion, seen: Seen, plan: Plan, status: ModelVersionStatus, asked: Measurement, outcome: Outcome
) -> Plan:
    """First the record, then the deletion: the Job stays until its outcome is written."""
    kept = ExistingChild(JOB, names.job(version, gates_step(asked.question), asked.attempt))
    result = result_of(asked.question, outcome, seen.now)
    if result is None:
        pause = backoff(asked.attempt - 1, limit=MAX_PAUSE)
        retry = GatesRetry(
            question=asked.question.short,
            attempts=asked.attempt,
            message=outcome.message[:512] or "the Job ended without a result.",
            retry_at=(seen.now + pause).replace(microsecond=0),
        )
        changed = status.model_copy(update={"gates_retry": retry})
        return replace(plan, status=changed, children=(*(plan.children or ()), kept), requeue_after=REQUEUE_NOW)
    if _is_answered(status.gates, asked.question):
        return plan  # the Job goes
    changed = status.model_copy(update={"gates": result, "gates_retry": None})
    news = Event("GatesMeasured", _sentence(result), action="Measure")
    return replace(plan, status=changed, children=(*(plan.children or ()), kept), events=(*plan.events, news))


def result_of(question: MeasurementRequest, outcome: Outcome, now: datetime) -> GatesResult | None:
    """What the outcome says; None: ask again. A Job that can never measure is a refusal, so that others have their turn."""
    entries: tuple[GateEntry, ...] | None
    if outcome.result == "Succeeded":
        entries = _entries(outcome.facts.get("gates"))
    elif outcome.result == "Infrastructure" and outcome.reason != "ArtifactMissing":
        entries = None
    else:
        again = f"When that is mended, set annotation {REQUEST_ANNOTATION} to any new value."
        entries = (GateEntry(name=UNMEASURED_ENTRY, passed=False, message=f"{outcome.message[:380]} {again}"),)
    if entries is None:
        return None
    metric = question.objective or ""
    mine, theirs = outcome.metrics.get(metric), outcome.metrics.get(f"champion_{metric}")
    artifact = outcome.outputs.get("gates")
    return GatesResult(
        digest=Digest(question.digest),
        champion=question.champion,
        champion_digest=Digest(question.champion_digest) if question.champion_digest else None,
        gates=question.gates_hash,
        entries=entries,
        value=number_text(mine) if mine is not None else None,
        champion_value=number_text(theirs) if theirs is not None else None,
        artifact=Digest(artifact) if artifact else None,
        at=now.replace(microsecond=0),
    )


def _entries(facts: Any) -> tuple[GateEntry, ...] | None:
    """A message that lost its facts says nothing, and never that all is well."""
    try:
        found = tuple(GateEntry.model_validate(each) for each in facts)
    except (TypeError, ValidationError):
        return None
    return found or None


def _is_answered(result: GatesResult | None, question: MeasurementRequest) -> bool:
    if result is None:
        return False
    told = (result.digest, result.champion_digest, result.gates)
    return told == (question.digest, question.champion_digest, question.gates_hash)


def _approved(version: ModelVersion, seen: Seen, status: ModelVersionStatus) -> Approved | None:
    approval, before = version.spec.approval, version.status.approval
    if approval is None or approval.digest != status.digest:
        return None
    same = before is not None and (before.by, before.digest, before.reason) == (
        approval.by,
        approval.digest,
        approval.reason,
    )
    at = before.at if same and before is not None else seen.now.replace(microsecond=0)
    return Approved(by=approval.by, digest=approval.digest, reason=approval.reason, at=at)


def _sentence(result: GatesResult) -> str:
    failed = [entry for entry in result.entries if not entry.passed]
    beside = f" beside champion '{result.champion}'" if result.champion else ""
    if not failed:
        return f"All {len(result.entries)} measured gates passed{beside}."
    return (
        f"{len(failed)} of {len(result.entries)} measured gates failed{beside}; '{failed[0].name}': {failed[0].message}"
    )

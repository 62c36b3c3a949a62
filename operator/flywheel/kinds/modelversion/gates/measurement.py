"""The measurement of a verified version beside the champion, for the Model that nominates it. The Model reads the result from the status."""

from datetime import datetime
from typing import Any

from pydantic import ValidationError

from flywheel.core.diagnosis.internal_error import bound_internal_error
from flywheel.core.diagnosis.outcome import Outcome
from flywheel.core.requeue import MAX_RETRY_PAUSE, PENDING_CHECK_INTERVAL, REQUEUE_NOW, backoff
from flywheel.core.resource import names
from flywheel.core.resource.api import JOB
from flywheel.core.resource.plan import Decision, Event, ExistingChild
from flywheel.core.resource.values import Digest, number_text
from flywheel.core.settings import Settings
from flywheel.kinds.modelversion.children import VERIFY_ANNOTATION, ModelVersion
from flywheel.kinds.modelversion.gates.gates_job import Measurement, MeasurementRequest, gates_job, gates_step
from flywheel.kinds.modelversion.schema.gate_results import GateEntry, GatesResult, GatesRetry
from flywheel.kinds.modelversion.schema.status import ModelVersionStatus

UNMEASURED_ENTRY = "measurement"  # the entry of a Job that can never measure


def with_measurement(
    version: ModelVersion,
    measurement: Measurement,
    decision: Decision,
    status: ModelVersionStatus,
    now: datetime,
    settings: Settings,
) -> tuple[Decision, ModelVersionStatus]:
    """The decision with the gates' Job, if one is due, and the status with what the last one measured."""
    request, retry = measurement.request, status.gates_retry
    if measurement.outcome is not None:
        return _with_outcome(version, measurement, measurement.outcome, decision, status, now)
    if is_measured(status.gates, request):
        return decision, status
    if retry is not None and retry.question == request.short and retry.retry_at > now:
        pause = f"Its gates could not be measured: {retry.message} Trying again at {retry.retry_at:%H:%M:%S} UTC."
        return decision.extend(message=pause, requeue_after=max(retry.retry_at - now, REQUEUE_NOW)), status
    job = gates_job(version, request, measurement.attempt, settings)
    beside = f" beside champion '{request.champion}'" if request.champion else ""
    measures = f"Job '{job.name}' measures its gates{beside}."
    message = measurement.diagnosis.message if measurement.diagnosis else measures
    return decision.extend(message=message, children=(job,), requeue_after=PENDING_CHECK_INTERVAL), status


def _with_outcome(
    version: ModelVersion,
    measurement: Measurement,
    outcome: Outcome,
    decision: Decision,
    status: ModelVersionStatus,
    now: datetime,
) -> tuple[Decision, ModelVersionStatus]:
    """The status is written first: the Job stays until its outcome is there."""
    request, attempt = measurement.request, measurement.attempt
    job = ExistingChild(JOB, names.job(version, gates_step(request), attempt))
    with_job = decision.extend(children=(job,))
    before = status.gates_retry if status.gates_retry and status.gates_retry.question == request.short else None
    outcome, internal_errors = bound_internal_error(outcome, before.internal_errors if before else None)
    result = result_of(request, outcome, now)
    if result is None:
        retry = GatesRetry(
            question=request.short,
            attempts=attempt,
            message=outcome.message[:512] or "the Job ended without a result.",
            internal_errors=internal_errors,
            retry_at=now + backoff(attempt - 1, limit=MAX_RETRY_PAUSE),
        )
        return with_job.extend(requeue_after=REQUEUE_NOW), status.model_copy(update={"gates_retry": retry})
    if is_measured(status.gates, request):
        return decision, status  # without the Job, which is deleted
    passed = all(entry.passed for entry in result.entries)
    event = Event("GatesMeasured", _message(result), "Normal" if passed else "Warning", action="Measure")
    measured = status.model_copy(update={"gates": result, "gates_retry": None})
    return with_job.extend(events=(event,)), measured


def result_of(request: MeasurementRequest, outcome: Outcome, now: datetime) -> GatesResult | None:
    """The result of a measurement; None: it is repeated.

    A Job that can never measure is a failed gate, so that others have their turn; the operator's own gate alone is no reason to refuse.
    """
    entries: tuple[GateEntry, ...] | None
    if outcome.result == "Succeeded":
        entries = _entries(outcome.facts.get("gates"))
    elif outcome.result == "Infrastructure" and outcome.reason != "ArtifactMissing":
        entries = None
    else:
        again = f"When that is corrected, set annotation {VERIFY_ANNOTATION} to any new value."
        message = f"{outcome.message[:380]} {again}"
        is_optional = all(gate.get("optional") for gate in request.gates)
        entries = (GateEntry(name=UNMEASURED_ENTRY, passed=is_optional, measured=False, message=message),)
    if entries is None:
        return None
    metric = request.objective or ""
    value, champion_value = outcome.metrics.get(metric), outcome.metrics.get(f"champion_{metric}")
    artifact = outcome.outputs.get("gates")
    return GatesResult(
        digest=Digest(request.digest),
        champion=request.champion,
        champion_digest=Digest(request.champion_digest) if request.champion_digest else None,
        gates=request.gates_hash,
        entries=entries,
        value=number_text(value) if value is not None else None,
        champion_value=number_text(champion_value) if champion_value is not None else None,
        artifact=Digest(artifact) if artifact else None,
        at=now,
    )


def _entries(facts: Any) -> tuple[GateEntry, ...] | None:
    """The entries, or None for a message that lost its facts: it never means that all gates passed."""
    try:
        found = tuple(GateEntry.model_validate(each) for each in facts)
    except (TypeError, ValidationError):
        return None
    return found or None


def is_measured(result: GatesResult | None, request: MeasurementRequest) -> bool:
    if result is None:
        return False
    measured = (result.digest, result.champion_digest, result.gates)
    return measured == (request.digest, request.champion_digest, request.gates_hash)


def _message(result: GatesResult) -> str:
    failed = [entry for entry in result.entries if not entry.passed]
    beside = f" beside champion '{result.champion}'" if result.champion else ""
    if not failed:
        unmeasured = [entry for entry in result.entries if entry.measured is False]
        reasons = "".join(f" '{entry.name}' was not measured: {entry.message}" for entry in unmeasured)
        return f"All {len(result.entries) - len(unmeasured)} measured gates passed{beside}.{reasons}"
    return (
        f"{len(failed)} of {len(result.entries)} measured gates failed{beside}; '{failed[0].name}': {failed[0].message}"
    )

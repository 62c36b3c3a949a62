"""What the outcome of a verify Job adds to the status, and whether another one is due."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from flywheel.core.diagnosis.internal_error import bound_internal_error
from flywheel.core.diagnosis.outcome import STORE_REASONS, Outcome
from flywheel.core.requeue import MAX_RETRY_PAUSE, backoff
from flywheel.core.resource.values import number_text
from flywheel.kinds.modelversion.children import ModelVersion, is_packed
from flywheel.kinds.modelversion.observe import Seen
from flywheel.kinds.modelversion.schema.feature_importance import parse_feature_importance
from flywheel.kinds.modelversion.schema.quantization import parse_quantization
from flywheel.kinds.modelversion.schema.rowwise_features import parse_rowwise_features
from flywheel.kinds.modelversion.schema.status import GoldenReplay, ModelVersionStatus, Signature, VerificationFailure

MAX_METRICS = 64
MAX_FINDING_CHARACTERS = 700
MAX_ROW_MIXING_CHARACTERS = 256
MAX_NOTE_CHARACTERS = 400
MAX_OPERATOR_CHARACTERS = MAX_METHOD_CHARACTERS = 64
SERVING_METRICS = ("p50_ms", "p95_ms", "size_bytes", "quantization_gap", "fp32_size_bytes")

# What may appear later, although `fetch` does not wait for it.
RETRIED_REASONS = STORE_REASONS | {"SourceMissing", "HostNotAllowed"}


def status_after(version: ModelVersion, seen: Seen) -> ModelVersionStatus:
    """The status with the outcome of the verify Job, if there is a new one."""
    if seen.outcome is None or is_finished(version, seen, version.status):
        return version.status
    if seen.outcome.result == "Succeeded":
        return after_success(version, seen, seen.outcome)
    return after_failure(version, seen, seen.outcome)


def is_finished(version: ModelVersion, seen: Seen, status: ModelVersionStatus) -> bool:
    """Whether the present spec and request have been verified, well or badly."""
    waits = status.failure is not None and status.failure.retry_at is not None
    has_result = status.is_verified or status.failure is not None
    return has_result and not waits and not is_requested_again(version, seen, status)


def is_requested_again(version: ModelVersion, seen: Seen, status: ModelVersionStatus) -> bool:
    """Whether another verification is requested by annotation, or the spec has changed since the last one failed."""
    if (status.verify_requested or "") != seen.verify_request:
        return True
    return status.failure is not None and status.failure.generation != version.generation


def after_success(version: ModelVersion, seen: Seen, outcome: Outcome) -> ModelVersionStatus:
    """The status after a successful verification."""
    artifact = version.spec.source.artifact
    digest = outcome.outputs.get("model") if is_packed(version.spec) else str(artifact and artifact.digest)
    if digest is None:
        missing = Outcome("Infrastructure", "OutputMissing", "The verify Job uploaded no model.")
        return after_failure(version, seen, missing)
    declared = {name: str(value) for name, value in (version.spec.metrics or {}).items()}
    measured = {name: number_text(value) for name, value in outcome.metrics.items()}
    metrics = {**declared, **measured}
    listed = sorted(metrics, key=lambda name: (name not in SERVING_METRICS, name))[:MAX_METRICS]
    isolated, explanation = outcome.facts.get("isolated"), outcome.facts.get("explanation")
    return ModelVersionStatus(
        digest=digest,
        metrics={name: metrics[name] for name in sorted(listed)},
        # An artifact of a container in any language may not say on what it was tested.
        test_digest=outcome.facts.get("testDigest") or version.spec.dataset_digest,
        signature=_signature(outcome.facts.get("signature")),
        golden=_golden(outcome.facts.get("golden")),
        row_mixing=str(outcome.facts.get("rowMixing") or "")[:MAX_ROW_MIXING_CHARACTERS] or None,
        note=str(outcome.facts.get("note") or "")[:MAX_NOTE_CHARACTERS] or None,
        isolated=None if isolated is None else str(isolated)[:MAX_OPERATOR_CHARACTERS],
        explanation=None if explanation is None else str(explanation)[:MAX_METHOD_CHARACTERS],
        quantization=parse_quantization(outcome.facts.get("quantization")),
        feature_importance=parse_feature_importance(outcome.facts.get("importance")),
        rowwise=parse_rowwise_features(outcome.facts.get("rowwise")),
        verified_at=seen.now,
        attempts=seen.attempt,
        verify_requested=seen.verify_request or None,
    )


def after_failure(version: ModelVersion, seen: Seen, outcome: Outcome) -> ModelVersionStatus:
    """The status after a failed verification. The digest and metrics of an earlier success stay, since they may be served."""
    before = version.status.failure
    in_a_row = before.in_a_row + 1 if before and before.retry_at else 1
    is_same_work = before is not None and before.retry_at is not None and before.generation == version.generation
    counted = before.internal_errors if before is not None and is_same_work else None
    outcome, internal_errors = bound_internal_error(outcome, counted)
    again = outcome.result == "Infrastructure" or outcome.reason in RETRIED_REASONS
    finding = outcome.message.strip()[:MAX_FINDING_CHARACTERS].rstrip(".")
    pause = backoff(in_a_row - 1, limit=MAX_RETRY_PAUSE)
    failure = VerificationFailure(
        reason=outcome.reason,
        message=f"ModelVersion '{version.name}' is not verified: {finding}.",
        generation=version.generation,
        in_a_row=in_a_row,
        internal_errors=internal_errors,
        retry_at=seen.now + pause if again else None,
    )
    changes = {"failure": failure, "attempts": seen.attempt, "verify_requested": seen.verify_request or None}
    return version.status.model_copy(update=changes if again else {**changes, "verified_at": None})


def _signature(fact: Any) -> Signature | None:
    """A long signature is left out by verify; one that does not fit here is left out as well."""
    try:
        return Signature.model_validate(fact) if fact else None
    except ValidationError:
        return None


def _golden(fact: Mapping[str, Any] | None) -> GoldenReplay | None:
    if not fact:
        return None
    return GoldenReplay(rows=int(fact.get("rows", 0)), max_difference=number_text(float(fact.get("maxDifference", 0))))

"""What a verification leaves in the status, and how it is summed up in one line."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pydantic import ValidationError

from flywheel.core.diagnosis.outcome import Outcome
from flywheel.core.requeue import backoff
from flywheel.kinds.modelversion.children import ModelVersion, is_packed
from flywheel.kinds.modelversion.observe import Seen
from flywheel.kinds.modelversion.schema import quantization
from flywheel.kinds.modelversion.schema.status import Failure, Golden, ModelVersionStatus, Signature

MAX_PAUSE = timedelta(minutes=5)
MAX_METRICS = 64
MAX_FINDING_CHARACTERS = 700
SERVING_METRICS = ("p50_ms", "p95_ms", "size_bytes", "quantization_gap", "fp32_size_bytes")

# What a later minute may bring although `fetch` would not wait for it.
RETRIED_REASONS = frozenset(
    ("SourceMissing", "ArtifactMissing", "BucketMissing", "CredentialsRefused", "HostNotAllowed")
)


def after_success(version: ModelVersion, seen: Seen, outcome: Outcome) -> ModelVersionStatus:
    """The status after a good verification."""
    artifact = version.spec.source.artifact
    digest = outcome.outputs.get("model") if is_packed(version.spec) else str(artifact and artifact.digest)
    if digest is None:
        unkept = Outcome("Infrastructure", "OutputMissing", "The verify Job kept no model.")
        return after_failure(version, seen, unkept)
    declared = {name: str(value) for name, value in (version.spec.metrics or {}).items()}
    measured = {name: number_text(value) for name, value in outcome.metrics.items()}
    whole = {**declared, **measured}
    kept = sorted(whole, key=lambda name: (name not in SERVING_METRICS, name))[:MAX_METRICS]
    return ModelVersionStatus(
        digest=digest,
        metrics={name: whole[name] for name in sorted(kept)},
        test_digest=outcome.facts.get("testDigest") or _data(version),
        signature=_signature(outcome.facts.get("signature")),
        golden=_golden(outcome.facts.get("golden")),
        quantization=quantization.read(outcome.facts.get("quantization")),
        verified_at=seen.now.replace(microsecond=0),
        attempts=seen.attempt,
        verify_requested=seen.requested or None,
    )


def after_failure(version: ModelVersion, seen: Seen, outcome: Outcome) -> ModelVersionStatus:
    """The status after a bad one. The digest and metrics that an earlier one found stay, since they may be served."""
    before = version.status.failure
    in_a_row = before.in_a_row + 1 if before and before.retry_at else 1
    again = outcome.result == "Infrastructure" or outcome.reason in RETRIED_REASONS
    pause = backoff(in_a_row - 1, limit=MAX_PAUSE)
    failure = Failure(
        reason=outcome.reason,
        message=_sentence(version, outcome),
        generation=version.generation,
        in_a_row=in_a_row,
        retry_at=(seen.now + pause).replace(microsecond=0) if again else None,
    )
    told = {"failure": failure, "attempts": seen.attempt, "verify_requested": seen.requested or None}
    return version.status.model_copy(update=told if again else {**told, "verified_at": None})


def summary(status: ModelVersionStatus, seen: Seen) -> str:
    """`champion, roc_auc 0.742, 47 kB, p95 0.4 ms`."""
    metric = seen.objective if seen.objective in status.metrics else None
    metric = metric or next(
        (name for name in sorted(status.metrics) if name not in SERVING_METRICS and not name.startswith("fp32_")), None
    )
    size, p95 = status.metrics.get("size_bytes"), status.metrics.get("p95_ms")
    parts = (
        "champion" if seen.champion else "",
        f"{metric} {float(status.metrics[metric]):.3g}" if metric else "",
        _size(float(size)) if size else "",
        f"p95 {float(p95):.1g} ms" if p95 and float(p95) < 1 else f"p95 {float(p95):.0f} ms" if p95 else "",
    )
    return ", ".join(part for part in parts if part)


def number_text(value: float) -> str:
    """A number as text that reads back as the same number; whole numbers without a point."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))


def _size(size: float) -> str:
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size:.0f} B"


def _sentence(version: ModelVersion, outcome: Outcome) -> str:
    words = outcome.message.strip()[:MAX_FINDING_CHARACTERS].rstrip(".")
    return f"ModelVersion '{version.name}' is not verified: {words}."


def _data(version: ModelVersion) -> str | None:
    """Where the artifact does not say on what it was tested (a container in any language), the data that it was made from says it."""
    lineage = version.spec.lineage
    return str(lineage.dataset_digest) if lineage is not None and lineage.dataset_digest is not None else None


def _signature(fact: Any) -> Signature | None:
    """A long signature is left out by verify; one that does not fit here is left out as well."""
    try:
        return Signature.model_validate(fact) if fact else None
    except ValidationError:
        return None


def _golden(fact: Mapping[str, Any] | None) -> Golden | None:
    if not fact:
        return None
    return Golden(rows=int(fact.get("rows", 0)), max_difference=number_text(float(fact.get("maxDifference", 0))))

"""The messages of a ModelVersion's conditions, and its summary."""

from flywheel.core.diagnosis.internal_error import INTERNAL_ERROR
from flywheel.core.resource.plan import Decision
from flywheel.kinds.modelversion.children import VERIFY_ANNOTATION
from flywheel.kinds.modelversion.observe import Seen
from flywheel.kinds.modelversion.schema.quantization import Quantization
from flywheel.kinds.modelversion.schema.status import ModelVersionStatus
from flywheel.kinds.modelversion.verification import SERVING_METRICS


def verification_passed(status: ModelVersionStatus) -> str:
    """The artifact is verified, with its golden rows and what quantization did."""
    golden = status.golden
    replayed = (
        f", and {golden.rows} golden rows came out as before (largest difference {golden.max_difference})"
        if golden and golden.rows
        else ""
    )
    batching = f" Requests do not share calls of the model: {status.row_mixing}." if status.row_mixing else ""
    predicted = " and predicted" if "p50_ms" in status.metrics or not status.note else ""
    found = f"Artifact {status.digest} was loaded in the serving image{predicted}{replayed}."
    note = f" Note: {status.note}." if status.note else ""
    return f"{found}{note}{_quantized(status.quantization)}{batching}"


def next_step(reason: str) -> str:
    """What to do about a verification that failed."""
    if reason == "OOMKilled":
        return "A change of spec.resources verifies it again."
    if reason == INTERNAL_ERROR:
        return (
            f"With another release of Flywheel, set annotation {VERIFY_ANNOTATION} to any new value to verify it again."
        )
    return (
        f"Create another version; or, if its source has been corrected, "
        f"set annotation {VERIFY_ANNOTATION} to any new value to verify this one again."
    )


def summary(status: ModelVersionStatus, seen: Seen, decision: Decision) -> str:
    """`champion, roc_auc 0.742, 47 kB, p95 0.4 ms`; with `rolled back` before it where a rollout rejected the version."""
    parts = ["rolled back"] if status.rejection is not None else []
    return ", ".join(part for part in (*parts, decision.summary or _numbers(status, seen)) if part)


def _numbers(status: ModelVersionStatus, seen: Seen) -> str:
    metric = seen.objective if seen.objective in status.metrics else None
    metric = metric or next(
        (name for name in sorted(status.metrics) if name not in SERVING_METRICS and not name.startswith("fp32_")), None
    )
    size, p95 = status.metrics.get("size_bytes"), status.metrics.get("p95_ms")
    parts = (
        "champion" if seen.champion is not None else "",
        f"{metric} {float(status.metrics[metric]):.3g}" if metric else "",
        _size(float(size)) if size else "",
        f"p95 {float(p95):.1g} ms" if p95 and float(p95) < 1 else f"p95 {float(p95):.0f} ms" if p95 else "",
    )
    return ", ".join(part for part in parts if part)


def _quantized(found: Quantization | None) -> str:
    """The effect of quantization; empty without it."""
    if found is None:
        return ""
    if not found.weights:
        return (
            " Quantization changed nothing: the model has no product of matrices with fixed weights,"
            " as trees and scikit-learn's linear models have none; it is served as it was."
        )
    return (
        f" Quantization made {found.weights} weights int8: {found.size_before} bytes became {found.size},"
        f" and no number of {found.rows} rows' predictions moved by more than {float(found.gap):.2g} (relative)."
    )


def _size(size: float) -> str:
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size:.0f} B"

"""What the server's own version responded in a window, from the totals of its metrics: no request pays for it."""

from typing import Any

from flywheel_serving.errors import ERROR_CLASSES
from flywheel_serving.metrics.server_metrics import LATENCY_BUCKETS_SECONDS, ServerMetrics


class ServiceCounts:
    """Inferences by latency and errors by class since the last `pop_document`, as differences of the metrics' totals."""

    def __init__(self, metrics: ServerMetrics) -> None:
        self._metrics = metrics
        self._latencies, self._errors = self._read_totals()

    def _read_totals(self) -> tuple[list[int], list[int]]:
        errors = self._metrics.errors
        return self._metrics.infer_seconds.bucket_counts(), [errors[name] for name in ERROR_CLASSES]

    def pop_document(self) -> dict[str, Any] | None:
        """The counts of the window; None if it had no inference. `bounds` are the buckets' upper ends."""
        latencies, errors = self._read_totals()
        counts = [now - before for now, before in zip(latencies, self._latencies, strict=True)]
        failures = [now - before for now, before in zip(errors, self._errors, strict=True)]
        self._latencies, self._errors = latencies, errors
        if not any(counts) and not any(failures):
            return None
        return {
            "latencySeconds": {"bounds": [*LATENCY_BUCKETS_SECONDS], "counts": counts},
            "errors": dict(zip(ERROR_CLASSES, failures, strict=True)),
        }

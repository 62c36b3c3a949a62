"""Where the model's time went, in the form of Triton's statistics extension (Triton's `extension_statistics.md`).

Belongs to the event loop's thread, as `server_metrics` does. Durations are held in seconds and reported in nanoseconds.
"""

import time
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class ModelStatistics:
    """Totals that the batcher updates."""

    successes: int = 0
    failures: int = 0
    rows: int = 0
    calls: int = 0
    _queue_seconds: float = 0.0
    _compute_seconds: float = 0.0
    _failure_seconds: float = 0.0
    _last_inference_ns: int = 0

    def add_success(self, requests: int, rows: int, queue_seconds: float, compute_seconds: float) -> None:
        """Adds one call of the model; the seconds are sums over its requests."""
        self.successes += requests
        self.rows += rows
        self._queue_seconds += queue_seconds
        self._compute_seconds += compute_seconds
        self.calls += 1
        self._last_inference_ns = time.time_ns()

    def add_failure(self, seconds: float) -> None:
        self.failures += 1
        self._failure_seconds += seconds

    def document(self, model: str, version: str) -> dict[str, Any]:
        """The response object. Decoding and encoding are not timed apart, so `compute_input` and `_output` stay 0."""
        successes = self.successes
        return {
            "model_stats": [
                {
                    "name": model,
                    "version": version,
                    "last_inference": self._last_inference_ns // 1_000_000,  # milliseconds since 1970
                    "inference_count": self.rows,
                    "execution_count": self.calls,
                    "inference_stats": {
                        "success": _duration(successes, self._queue_seconds + self._compute_seconds),
                        "fail": _duration(self.failures, self._failure_seconds),
                        "queue": _duration(successes, self._queue_seconds),
                        "compute_input": _duration(successes, 0.0),
                        "compute_infer": _duration(successes, self._compute_seconds),
                        "compute_output": _duration(successes, 0.0),
                        "cache_hit": _duration(0, 0.0),
                        "cache_miss": _duration(0, 0.0),
                    },
                    "batch_stats": [],
                }
            ]
        }


def _duration(count: int, seconds: float) -> dict[str, int]:
    return {"count": count, "ns": round(seconds * 1e9)}

"""Where the model's time went, as Triton's statistics extension tells it. Source: Triton's `extension_statistics.md`.

Belongs to the event loop's thread, as `metrics` does. Durations are kept in seconds and told in nanoseconds.
"""

import time
from typing import Any


class Statistics:
    """Filled by the batcher."""

    __slots__ = ("_computed", "_failed", "_last", "_waited", "calls", "failures", "rows", "successes")

    def __init__(self) -> None:
        self.successes = 0
        self.failures = 0
        self.rows = 0
        self.calls = 0
        self._waited = 0.0
        self._computed = 0.0
        self._failed = 0.0
        self._last = 0

    def succeeded(self, requests: int, rows: int, waited: float, computed: float) -> None:
        """One call of the model, for so many requests that waited and were computed for so many seconds in all."""
        self.successes += requests
        self.rows += rows
        self._waited += waited
        self._computed += computed
        self.calls += 1
        self._last = time.time_ns()

    def failed(self, seconds: float) -> None:
        self.failures += 1
        self._failed += seconds

    def document(self, model: str, version: str) -> dict[str, Any]:
        """The response object. Decoding and encoding are not timed apart, so `compute_input` and `_output` stay 0."""
        successes = self.successes
        return {
            "model_stats": [
                {
                    "name": model,
                    "version": version,
                    "last_inference": self._last // 1_000_000,  # milliseconds since 1970
                    "inference_count": self.rows,
                    "execution_count": self.calls,
                    "inference_stats": {
                        "success": _spent(successes, self._waited + self._computed),
                        "fail": _spent(self.failures, self._failed),
                        "queue": _spent(successes, self._waited),
                        "compute_input": _spent(successes, 0.0),
                        "compute_infer": _spent(successes, self._computed),
                        "compute_output": _spent(successes, 0.0),
                        "cache_hit": _spent(0, 0.0),
                        "cache_miss": _spent(0, 0.0),
                    },
                    "batch_stats": [],
                }
            ]
        }


def _spent(count: int, seconds: float) -> dict[str, int]:
    return {"count": count, "ns": round(seconds * 1e9)}

"""Recent verdicts by a hash of the token; no token can be recovered from it."""

import time
from collections.abc import Callable

from flywheel_serving.auth.verdict import Verdict


class VerdictCache:
    """At most `max_verdicts`, each for at most `ttl_seconds` of a monotonic clock: setting the wall clock extends none."""

    def __init__(self, ttl_seconds: float, max_verdicts: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._ttl_seconds = ttl_seconds
        self._max_verdicts = max_verdicts
        self._clock = clock
        self._entries: dict[bytes, tuple[Verdict, float]] = {}  # oldest first

    def get(self, key: bytes) -> Verdict | None:
        entry = self._entries.get(key)
        return entry[0] if entry is not None and self._clock() < entry[1] else None

    def put(self, key: bytes, verdict: Verdict) -> None:
        """Evicts the oldest entry if the cache is full: that costs one more review, and admits no caller."""
        entries = self._entries
        entries.pop(key, None)
        while len(entries) >= self._max_verdicts:
            del entries[next(iter(entries))]
        entries[key] = (verdict, self._clock() + min(self._ttl_seconds, verdict.valid_seconds))

    def __len__(self) -> int:
        return len(self._entries)

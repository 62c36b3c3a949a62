"""Verdicts for a while, by a hash of the token: nothing here gives a token back."""

import time
from collections.abc import Callable

from flywheel_serving.auth.verdict import Verdict


class Kept:
    """At most `size` verdicts for at most `seconds`, by the monotonic clock, so that no change of the wall clock lets one live on."""

    def __init__(self, seconds: float, size: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._size = size
        self._clock = clock
        self._entries: dict[bytes, tuple[Verdict, float]] = {}  # oldest first

    def get(self, key: bytes) -> Verdict | None:
        entry = self._entries.get(key)
        return entry[0] if entry is not None and self._clock() < entry[1] else None

    def put(self, key: bytes, verdict: Verdict) -> None:
        """The oldest goes when there is no room, which costs one question more and lets nobody in."""
        entries = self._entries
        entries.pop(key, None)
        while len(entries) >= self._size:
            del entries[next(iter(entries))]
        entries[key] = (verdict, self._clock() + min(self._seconds, verdict.seconds))

    def forget(self, key: bytes) -> None:
        self._entries.pop(key, None)

    def __len__(self) -> int:
        return len(self._entries)

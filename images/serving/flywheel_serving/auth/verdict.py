"""The decision on a token, and a cache of decisions."""

import enum
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

FOREVER = float("inf")


class AuthResult(enum.Enum):
    """Whether a caller is admitted, or why not."""

    ALLOWED = "allowed"
    UNAUTHENTICATED = "unauthenticated"  # the token identifies no caller (401, UNAUTHENTICATED)
    FORBIDDEN = "forbidden"  # the caller is known and may not call this service (403, PERMISSION_DENIED)
    UNAVAILABLE = "unavailable"  # it cannot be decided now, so the request is refused (503, UNAVAILABLE)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`message` is the finding and the next step. `valid_seconds` bounds how long it holds, such as until the token expires.

    `caller` is who was admitted: the user name of Kubernetes, or the claim `sub`; empty for a token that names nobody.
    """

    result: AuthResult
    message: str = ""
    valid_seconds: float = FOREVER
    caller: str = ""


ALLOWED = Verdict(AuthResult.ALLOWED)
unauthenticated_verdict = partial(Verdict, AuthResult.UNAUTHENTICATED)
forbidden_verdict = partial(Verdict, AuthResult.FORBIDDEN)
unavailable_verdict = partial(Verdict, AuthResult.UNAVAILABLE)


class CannotStart(Exception):
    """The server could admit no caller. `reason` is CamelCase for conditions, the message is for the user."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class VerdictCache:
    """Recent verdicts by a hash of the token, from which no token can be recovered.

    At most `max_verdicts`, each for at most `ttl_seconds` of a monotonic clock: setting the wall clock extends none.
    """

    def __init__(self, ttl_seconds: float, max_verdicts: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._ttl_seconds = ttl_seconds
        self._max_verdicts = max_verdicts
        self._clock = clock
        self._entries: dict[bytes, tuple[Verdict, float]] = {}  # oldest first

    def get(self, key: bytes) -> Verdict | None:
        entry = self._entries.get(key)
        return entry[0] if entry is not None and self._clock() < entry[1] else None

    def get_with_seconds_left(self, key: bytes) -> tuple[Verdict | None, float]:
        """The verdict, and the seconds for which it still holds."""
        entry = self._entries.get(key)
        seconds_left = entry[1] - self._clock() if entry is not None else 0.0
        return (entry[0], seconds_left) if entry is not None and seconds_left > 0 else (None, 0.0)

    def remove(self, key: bytes) -> None:
        self._entries.pop(key, None)

    def __contains__(self, key: bytes) -> bool:
        """Whether the key is known, although its verdict may not hold any more."""
        return key in self._entries

    def put(self, key: bytes, verdict: Verdict) -> None:
        """Evicts the oldest entry if the cache is full: that costs one more review, and admits no caller."""
        entries = self._entries
        entries.pop(key, None)
        while len(entries) >= self._max_verdicts:
            del entries[next(iter(entries))]
        entries[key] = (verdict, self._clock() + min(self._ttl_seconds, verdict.valid_seconds))

    def __len__(self) -> int:
        return len(self._entries)

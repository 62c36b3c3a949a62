"""Circuit breaker: stops requests to a challenger that keeps failing, and tries one request after each pause.

closed --5 consecutive failures, or half of the last 20--> open --after the pause, one trial--> closed, or open for twice the pause
"""

from collections import deque

MAX_CONSECUTIVE_FAILURES = 5
WINDOW_REQUESTS = 20
FIRST_PAUSE_SECONDS = 1.0
MAX_PAUSE_SECONDS = 30.0


class Breaker:
    """`now` is in seconds of any monotonic clock. After each `allow` that was true, call `record` or `cancel`."""

    def __init__(self) -> None:
        self._recent: deque[bool] = deque(maxlen=WINDOW_REQUESTS)
        self._consecutive_failures = 0
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self._open_until: float | None = None  # None: closed
        self._is_trying = False

    @property
    def is_open(self) -> bool:
        return self._open_until is not None

    def allow(self, now: float) -> bool:
        """Whether a request may be sent."""
        if self._open_until is None:
            return True
        if self._is_trying or now < self._open_until:
            return False
        self._is_trying = True
        return True

    def cancel(self) -> None:
        """Ends an allowed request that showed nothing about the challenger; another one may be the trial."""
        self._is_trying = False

    def record(self, success: bool, now: float) -> None:
        """Notes how an allowed request ended."""
        if self._open_until is None:
            self._recent.append(success)
            self._consecutive_failures = 0 if success else self._consecutive_failures + 1
            if (
                self._consecutive_failures >= MAX_CONSECUTIVE_FAILURES
                or self._recent.count(False) * 2 >= WINDOW_REQUESTS
            ):
                self._open(now)
        elif self._is_trying:  # else it was sent before the breaker opened
            self._is_trying = False
            if success:
                self._open_until, self._pause_seconds = None, FIRST_PAUSE_SECONDS
            else:
                self._pause_seconds = min(2 * self._pause_seconds, MAX_PAUSE_SECONDS)
                self._open(now)

    def _open(self, now: float) -> None:
        self._recent.clear()
        self._consecutive_failures = 0
        self._open_until = now + self._pause_seconds

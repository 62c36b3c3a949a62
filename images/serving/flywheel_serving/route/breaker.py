"""Stops asking a challenger that keeps failing; one request after each pause finds out whether it is well again.

closed --5 failures in a row, or half of the last 20--> open --after the pause, one trial--> closed, or open for twice the pause
"""

from collections import deque

IN_A_ROW = 5
WINDOW = 20
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0


class Breaker:
    """`now` is in seconds on any clock that does not jump. Each `allows` that said True is followed by one `record` or `untold`."""

    def __init__(self) -> None:
        self._recent: deque[bool] = deque(maxlen=WINDOW)
        self._in_a_row = 0
        self._pause = FIRST_PAUSE_SECONDS
        self._until: float | None = None  # None: closed
        self._trying = False

    @property
    def is_open(self) -> bool:
        return self._until is not None

    def allows(self, now: float) -> bool:
        if self._until is None:
            return True
        if self._trying or now < self._until:
            return False
        self._trying = True
        return True

    def untold(self) -> None:
        """A request that was allowed told nothing about the challenger: another one may try."""
        self._trying = False

    def record(self, good: bool, now: float) -> None:
        """How a request that was allowed ended."""
        if self._until is None:
            self._recent.append(good)
            self._in_a_row = 0 if good else self._in_a_row + 1
            if self._in_a_row >= IN_A_ROW or self._recent.count(False) * 2 >= WINDOW:
                self._open(now)
        elif self._trying:  # else it was sent before the breaker opened
            self._trying = False
            if good:
                self._until, self._pause = None, FIRST_PAUSE_SECONDS
            else:
                self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
                self._open(now)

    def _open(self, now: float) -> None:
        self._recent.clear()
        self._in_a_row = 0
        self._until = now + self._pause

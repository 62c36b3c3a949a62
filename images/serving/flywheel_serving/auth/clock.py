"""The time of day, immune to whoever sets the clock: with a jump, a token that has ended would live again, or a good one be refused.

It is the wall clock as it stood when the server started, moved on by a clock that only counts (and counts while the machine sleeps).
"""

import time
from collections.abc import Callable


def counted() -> float:
    """Seconds since some moment; never set, never standing still."""
    boot: int | None = getattr(time, "CLOCK_BOOTTIME", None)  # Linux alone
    return time.monotonic() if boot is None else time.clock_gettime(boot)


def steady(wall: Callable[[], float] = time.time, count: Callable[[], float] = counted) -> Callable[[], float]:
    """A function that gives the time in seconds since 1970."""
    ahead = wall() - count()
    return lambda: count() + ahead

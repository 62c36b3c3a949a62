"""A wall clock that cannot be set: a jump of the system's clock would revive an expired token, or expire a valid one.

It is the wall clock at the server's start, advanced by a clock that only counts, also while the machine sleeps.
"""

import time
from collections.abc import Callable


def seconds_since_boot() -> float:
    """Seconds since the machine's start, sleep included (where the platform lacks such a clock: the monotonic one)."""
    boot: int | None = getattr(time, "CLOCK_BOOTTIME", None)  # Linux alone
    return time.monotonic() if boot is None else time.clock_gettime(boot)


def steady_wall_clock(
    wall: Callable[[], float] = time.time, elapsed: Callable[[], float] = seconds_since_boot
) -> Callable[[], float]:
    """A function that returns the time in seconds since 1970."""
    offset = wall() - elapsed()
    return lambda: elapsed() + offset

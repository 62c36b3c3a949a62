"""The one wait of unit tests, cluster tests and the scripts around them; standard library alone, since e2e.setup runs before there is more."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
FIRST_PAUSE_SECONDS = 0.01


def wait_until(
    condition: Callable[[], T | None],
    seconds: float = 30,
    describe: Callable[[], str] | str = "",
    max_pause: float = 1.0,
) -> T:
    """Call `condition` until it returns something true, and return that; an empty list is "not yet", as None is. Pauses grow from 10 ms to
    `max_pause` seconds.

    Raises:
        TimeoutError: it did not within so many seconds; the message is `describe`, or what it returns then.
    """
    deadline = time.monotonic() + seconds
    pause = FIRST_PAUSE_SECONDS
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            message = describe if isinstance(describe, str) else describe()
            raise TimeoutError(f"after {seconds:.0f} s: {message or f'{condition} did not come true'}")
        time.sleep(pause)
        pause = min(1.25 * pause, max_pause)

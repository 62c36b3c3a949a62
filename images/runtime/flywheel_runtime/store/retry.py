"""Trying again with exponential backoff and full jitter, until a time without progress or a deadline is over."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from flywheel_runtime.contract.errors import Transient

T = TypeVar("T")
FIRST_PAUSE_SECONDS = 0.1  # seconds
MAX_PAUSE_SECONDS = 5.0


@dataclass(frozen=True)
class Retry:
    """How long to go on: `patience` seconds for one call, and never beyond `deadline` (time.monotonic)."""

    patience: float = 60.0
    deadline: float = float("inf")

    def call(self, attempt: Callable[[], T]) -> T:
        """The attempt's result; its last Transient error when time is over; any other error at once."""
        give_up = min(time.monotonic() + self.patience, self.deadline)
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                return attempt()
            except Transient:
                left = give_up - time.monotonic()
                if left <= FIRST_PAUSE_SECONDS:
                    raise
                time.sleep(random.uniform(0, min(pause, left)))  # a pause beyond the end would give up early
                pause = min(pause * 2, MAX_PAUSE_SECONDS)

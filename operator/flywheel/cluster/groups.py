"""Which API groups the API server offers: some, such as custom.metrics.k8s.io, are there only if somebody installed them."""

import threading
import time
from collections.abc import Callable
from typing import Any

FRESH = 60.0  # seconds: what is installed by hand may be noticed a minute later


class Groups:
    """The names of all groups, remembered for a minute. Callable from many threads."""

    def __init__(self, ask: Callable[[], dict[str, Any]], clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._clock = clock
        self._lock = threading.Lock()
        self._names: frozenset[str] = frozenset()
        self._asked: float | None = None

    def names(self) -> frozenset[str]:
        """Every group but the core one.

        Raises:
            ApiError: the request failed.
        """
        with self._lock:
            if self._asked is None or self._clock() - self._asked >= FRESH:
                found = self._ask().get("groups") or []
                self._names, self._asked = frozenset(group["name"] for group in found), self._clock()
            return self._names

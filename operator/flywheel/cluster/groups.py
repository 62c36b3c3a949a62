"""Which API groups the API server offers: some, such as custom.metrics.k8s.io, are there only if somebody installed them."""

import threading
import time
from collections.abc import Callable
from typing import Any

CACHE_SECONDS = 60.0  # seconds: what is installed by hand may be noticed a minute later


class Groups:
    """All groups with their versions, remembered for a minute. Callable from many threads."""

    def __init__(self, ask: Callable[[], dict[str, Any]], clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._clock = clock
        self._lock = threading.Lock()
        self._versions: dict[str, str] = {}
        self._asked: float | None = None

    def versions(self) -> dict[str, str]:
        """The version that the API server prefers of every group but the core one.

        Raises:
            ApiError: the request failed.
        """
        with self._lock:
            if self._asked is None or self._clock() - self._asked >= CACHE_SECONDS:
                found = self._ask().get("groups") or []
                self._versions = {group["name"]: group["preferredVersion"]["version"] for group in found}
                self._asked = self._clock()
            return self._versions

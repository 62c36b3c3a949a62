"""Which API groups the API server has: some, such as custom.metrics.k8s.io, exist only if an add-on is installed."""

import threading
import time
from collections.abc import Callable
from typing import Any

CACHE_SECONDS = 60.0  # an add-on may be noticed a minute after its installation


class Groups:
    """All groups with their versions, cached for a minute. Callable from many threads."""

    def __init__(self, fetch: Callable[[], dict[str, Any]], clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._versions: dict[str, str] = {}
        self._fetched_at: float | None = None

    def versions(self) -> dict[str, str]:
        """Returns the version that the API server prefers of every group but the core one.

        Raises:
            ApiError: the request failed.
        """
        with self._lock:
            if self._fetched_at is None or self._clock() - self._fetched_at >= CACHE_SECONDS:
                found = self._fetch().get("groups") or []
                self._versions = {group["name"]: group["preferredVersion"]["version"] for group in found}
                self._fetched_at = self._clock()
            return self._versions

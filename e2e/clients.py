"""Clients that send requests side by side until a test has seen enough."""

import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from typing import Self

JOIN_SECONDS = 15


class Clients(ABC):
    """Some threads that run `_send_requests` inside a `with` block, for at most `max_seconds`, whatever the test does."""

    def __init__(self, clients: int, max_seconds: float) -> None:
        self.answers: Counter[str] = Counter()
        self._max_seconds = max_seconds
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send_requests, daemon=True) for _ in range(clients)]

    def __enter__(self) -> Self:
        self._end = time.monotonic() + self._max_seconds
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(JOIN_SECONDS)

    def _should_go_on(self) -> bool:
        return not self._stop.is_set() and time.monotonic() < self._end

    @abstractmethod
    def _send_requests(self) -> None:
        """One client's loop, while `_should_go_on`."""

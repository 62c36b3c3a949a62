"""Ends calls of onnxruntime whose time is over: it looks at the flag `terminate` between two nodes of the graph.

One node that computes for long runs on; `workers` replaces the process of such a call.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import onnxruntime

CHECK_INTERVAL_SECONDS = 0.05


class Watchdog:
    """Sets the flag of each call whose time is over. Thread-safe; its own thread starts with the first call."""

    def __init__(self) -> None:
        self._calls: dict[int, tuple[float, onnxruntime.RunOptions]] = {}  # by id: deadline (time.monotonic's clock)
        self._changed = threading.Condition()
        self._is_waiting = False  # for a call; while calls are under way, the thread polls, which costs them nothing
        self._thread: threading.Thread | None = None

    @contextmanager
    def limit(self, seconds: float) -> Iterator[onnxruntime.RunOptions]:
        """Options for one call; `terminate` is set on them after `seconds`."""
        options = onnxruntime.RunOptions()
        with self._changed:
            self._calls[id(options)] = time.monotonic() + seconds, options
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="time-limit", daemon=True)
                self._thread.start()
            elif self._is_waiting:
                self._changed.notify()
        try:
            yield options
        finally:
            with self._changed:
                del self._calls[id(options)]

    def _watch(self) -> None:
        while True:
            with self._changed:
                while not self._calls:
                    self._is_waiting = True
                    self._changed.wait()
                self._is_waiting = False
                now = time.monotonic()
                for deadline, options in self._calls.values():
                    if deadline <= now:
                        options.terminate = True
            time.sleep(CHECK_INTERVAL_SECONDS)

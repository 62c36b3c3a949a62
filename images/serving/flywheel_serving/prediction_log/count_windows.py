"""Windows of counts, from their end until the store has them."""

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from flywheel_serving.prediction_log import batches
from flywheel_serving.prediction_log.counts import Counts
from flywheel_serving.prediction_log.metrics import LogMetrics
from flywheel_serving.prediction_log.service_counts import ServiceCounts

MAX_UNWRITTEN_BYTES = 4 * 1024 * 1024
NO_VALUES: dict[str, Any] = {"requests": 0, "rows": 0, "features": {}}  # of a model without a baseline


class CountWindows:
    """`identity` is what all documents of this server have in common; `send` returns whether a message was accepted.

    `service` counts errors and latencies, also where no values are counted. `clock` gives the seconds since 1970.
    """

    def __init__(
        self,
        identity: dict[str, Any],
        send: Callable[[bytes, int], bool],
        metrics: LogMetrics,
        clock: Callable[[], float] = time.time,
        service: ServiceCounts | None = None,
    ) -> None:
        self._identity = identity
        self._send_message = send
        self._metrics, self._service = metrics, service
        self._clock = clock
        self._unwritten: dict[
            int, tuple[bytes, bool]
        ] = {}  # by number of the window: the message, and whether it was sent
        self._window, self._since = 0, clock()
        self._total_requests = self._total_rows = 0

    def add_totals(self, requests: int, rows: int) -> None:
        """Adds to the numbers since the server's start."""
        self._total_requests += requests
        self._total_rows += rows

    def close_window(self, counts: Counts | None) -> None:
        """Sends the counts since the last window as a document that is written once, under a name of its own."""
        now = self._clock()
        responses = self._service.pop_document() if self._service is not None else None
        if not (counts is not None and counts.requests) and responses is None:
            self._since = now  # a minute without traffic belongs to no document
        else:
            document = {
                "v": 1,
                **self._identity,
                "window": self._window,
                "from": _timestamp(self._since),
                "to": _timestamp(now),
                "sinceBoot": {"requests": self._total_requests, "rows": self._total_rows},
                **(counts.pop_document() if counts is not None else NO_VALUES),
                **({"responses": responses} if responses is not None else {}),
            }
            head = {"kind": "counts", "window": self._window, "from": self._since, "document": document}
            self._unwritten[self._window] = (batches.encode_message(head), False)
            self._window, self._since = self._window + 1, now
        while sum(len(message) for message, _ in self._unwritten.values()) > MAX_UNWRITTEN_BYTES:
            self._unwritten.pop(next(iter(self._unwritten)))
            self._metrics.windows["lost"] += 1
        self._send(window for window, (_, was_sent) in self._unwritten.items() if not was_sent)

    def resend(self) -> None:
        """Sends all windows to a new writer, which has none of the old one's; the store takes each document once."""
        self._send(self._unwritten)

    def _send(self, windows: Iterable[int]) -> None:
        for window in list(windows):
            message, _ = self._unwritten[window]
            self._unwritten[window] = (message, self._send_message(message, 0))

    def on_written(self, acknowledgement: dict[str, Any]) -> None:
        if self._unwritten.pop(acknowledgement["window"], None) is not None:
            self._metrics.windows[acknowledgement["outcome"]] += 1

    def give_up(self) -> None:
        """Counts the windows that the store does not have as lost."""
        self._metrics.windows["lost"] += len(self._unwritten)


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

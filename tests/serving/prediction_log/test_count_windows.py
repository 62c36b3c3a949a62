"""Windows of counts: which time a document is of."""

from typing import Any

import numpy as np

from flywheel_serving.prediction_log.baseline import Baseline
from flywheel_serving.prediction_log.batches import LENGTH_BYTES, decode_message
from flywheel_serving.prediction_log.count_windows import CountWindows
from flywheel_serving.prediction_log.counts import Counts
from flywheel_serving.prediction_log.metrics import LogMetrics


class Clock:
    """The time of the server, which tests set."""

    def __init__(self) -> None:
        self.now = 0.0

    def time(self) -> float:
        return self.now


def test_a_document_begins_with_its_own_minute_whenever_the_last_traffic_was() -> None:
    clock, sent = Clock(), []

    def send(message: bytes, _rows: int) -> bool:
        sent.append(decode_message(message[LENGTH_BYTES:])[0])
        return True

    counts = Counts(Baseline("", {"x": [0.0, 1.0]}, {}, {}, [], None, np.dtype(np.float64)))
    windows = CountWindows({}, send, LogMetrics(), clock.time)
    for minute, rows in enumerate([1, 0, 0, 2], start=1):
        if rows:
            feeds: dict[str, Any] = {"x": np.zeros(rows)}
            counts.add([counts.observe(feeds, [], None, rows)])
        clock.now = 60.0 * minute
        windows.close_window(counts)

    found = [(each["document"]["from"], each["document"]["window"], each["from"]) for each in sent]
    assert found == [("1970-01-01T00:00:00.000Z", 0, 0.0), ("1970-01-01T00:03:00.000Z", 1, 180.0)]

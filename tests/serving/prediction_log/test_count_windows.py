"""Windows of counts: which time a document is of."""

from typing import Any

import numpy as np

from flywheel_serving.errors import (
    DeadlineExceeded,
    InvalidRequest,
    ModelFailed,
    Overloaded,
    TimeLimitExceeded,
    TooManyRequests,
)
from flywheel_serving.metrics.server_metrics import LATENCY_BUCKETS_SECONDS, ServerMetrics
from flywheel_serving.prediction_log.baseline import Baseline
from flywheel_serving.prediction_log.batches import LENGTH_BYTES, decode_message
from flywheel_serving.prediction_log.count_windows import CountWindows
from flywheel_serving.prediction_log.counts import Counts
from flywheel_serving.prediction_log.metrics import LogMetrics
from flywheel_serving.prediction_log.service_counts import ServiceCounts


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
            counts.observe(feeds, [], None, rows)
            counts.count_observed()
        clock.now = 60.0 * minute
        windows.close_window(counts)

    found = [(each["document"]["from"], each["document"]["window"], each["from"]) for each in sent]
    assert found == [("1970-01-01T00:00:00.000Z", 0, 0.0), ("1970-01-01T00:03:00.000Z", 1, 180.0)]


def test_errors_and_latencies_are_counted_also_where_no_values_are() -> None:
    clock, sent = Clock(), []

    def send(message: bytes, _rows: int) -> bool:
        sent.append(decode_message(message[LENGTH_BYTES:])[0]["document"])
        return True

    metrics = ServerMetrics("m", "v1")
    metrics.infer_seconds.observe(0.003)
    windows = CountWindows({}, send, LogMetrics(), clock.time, ServiceCounts(metrics))
    for seconds in (0.0001, 0.03, 0.05, 99.0):
        metrics.infer_seconds.observe(seconds)
    for error in (
        InvalidRequest(),
        Overloaded(),
        TooManyRequests(),
        TimeLimitExceeded(1.0),
        DeadlineExceeded("late", 0.001),
        ModelFailed(),
    ):
        metrics.count_failure(error)
    clock.now = 60.0
    windows.close_window(None)
    clock.now = 120.0
    windows.close_window(None)  # without an inference there is no document
    metrics.count_failure(ModelFailed())
    clock.now = 180.0
    windows.close_window(None)

    latencies = dict(zip(LATENCY_BUCKETS_SECONDS, sent[0]["responses"]["latencySeconds"]["counts"], strict=False))
    assert {bound: count for bound, count in latencies.items() if count} == {0.0001: 1, 0.05: 2}
    assert sent[0]["responses"]["latencySeconds"]["counts"][-1] == 1, "above all bounds"
    assert sent[0]["responses"]["errors"] == {"invalid": 2, "overloaded": 2, "timedOut": 1, "failed": 1}
    assert [(each["from"], each["rows"], each["features"]) for each in sent] == [
        ("1970-01-01T00:00:00.000Z", 0, {}),
        ("1970-01-01T00:02:00.000Z", 0, {}),
    ]
    assert sent[1]["responses"]["errors"] == {"invalid": 0, "overloaded": 0, "timedOut": 0, "failed": 1}

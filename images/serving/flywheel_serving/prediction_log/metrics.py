"""Metrics of logged rows and of counts, as series of the server."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from flywheel_serving.metrics.families import counter, gauge

# Why a row was not logged. `full`: the writer was too slow; `too_large`: one request is larger than a message may be;
# `sink_died`: sent and not in the store when the writer ended; `shutdown`: the same when the server ended;
# `misconfigured`: the configuration does not fit the model.
DROP_REASONS = ("full", "too_large", "sink_died", "shutdown", "misconfigured")
# How a window's counts ended. `repeated`: they were in the store already; `lost`: given up, since the store took none
# for too long.
WINDOW_OUTCOMES = ("written", "repeated", "lost")
# How posted labels ended. `refused`: too many waited for the store, and the client got 503; `lost`: the server ended.
LABEL_OUTCOMES = ("written", "refused", "lost")


class LogMetrics(Collector):
    """Belongs to the event loop's thread."""

    def __init__(self) -> None:
        self.rows = 0
        self.bytes = 0
        self.dropped: Counter[str] = Counter(dict.fromkeys(DROP_REASONS, 0))
        self.windows: Counter[str] = Counter(dict.fromkeys(WINDOW_OUTCOMES, 0))
        self.labels: Counter[str] = Counter(dict.fromkeys(LABEL_OUTCOMES, 0))
        self.sink_starts = 0
        self.is_sink_connected = False
        self.waiting_rows = 0  # not yet in the socket to the sink
        self.sent_rows = 0  # in the socket or the sink
        self.unexplained_rows = 0  # that wait for their explanation

    def collect(self) -> Iterator[Metric]:
        pending = self.waiting_rows + self.sent_rows + self.unexplained_rows
        dropped = [((reason,), count) for reason, count in self.dropped.items()]
        labels = [((outcome,), count) for outcome, count in self.labels.items()]
        windows = [((outcome,), count) for outcome, count in self.windows.items()]
        yield counter("flywheel_log_rows", "Rows of predictions in the store", (), [((), self.rows)])
        yield counter("flywheel_log_bytes", "Bytes of Parquet in the store", (), [((), self.bytes)])
        yield counter("flywheel_log_sink_starts", "Connections to the sink", (), [((), self.sink_starts)])
        connected = [((), float(self.is_sink_connected))]
        yield gauge("flywheel_log_sink_connected", "Whether the sink can be reached: 1 or 0", (), connected)
        yield gauge("flywheel_log_pending_rows", "Sampled rows on their way to the store", (), [((), pending)])
        yield counter("flywheel_log_dropped", "Sampled rows that were not logged", ("reason",), dropped)
        yield counter("flywheel_count_flushes", "Windows of counts", ("outcome",), windows)
        yield counter("flywheel_log_labels", "Posted labels", ("outcome",), labels)

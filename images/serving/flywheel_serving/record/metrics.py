"""What became of logged rows and of counts, as series of the server's metrics."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

# Why a row was not logged. `full`: the sink was too slow; `too_large`: one request beyond the pipe's bound; `sink_died`: handed over and not
# in the store when the sink ended; `shutdown`: the same when the server ended; `misconfigured`: the order does not fit the model.
REASONS = ("full", "too_large", "sink_died", "shutdown", "misconfigured")
# What became of a window's counts. `repeated`: it was in the store already; `lost`: given up, for the sink took none for too long.
OUTCOMES = ("written", "repeated", "lost")


class RecordMetrics(Collector):
    """Belongs to the event loop's thread."""

    def __init__(self) -> None:
        self.rows = 0
        self.bytes = 0
        self.dropped: Counter[str] = Counter(dict.fromkeys(REASONS, 0))
        self.flushes: Counter[str] = Counter(dict.fromkeys(OUTCOMES, 0))
        self.sink_starts = 0
        self.waiting = 0  # rows that the pipe has not taken
        self.handed = 0  # rows in the pipe or the sink

    def collect(self) -> Iterator[Metric]:
        yield _counter("flywheel_log_rows", "Rows of predictions in the store", self.rows)
        yield _counter("flywheel_log_bytes", "Bytes of Parquet in the store", self.bytes)
        yield _counter(
            "flywheel_log_sink_starts", "Starts of the process that writes logged predictions", self.sink_starts
        )
        pending = GaugeMetricFamily("flywheel_log_pending_rows", "Sampled rows on their way to the store")
        pending.add_metric((), self.waiting + self.handed)
        yield pending
        for name, words, label, found in (
            ("flywheel_log_dropped", "Sampled rows that were not logged", "reason", self.dropped),
            ("flywheel_count_flushes", "Windows of counts", "outcome", self.flushes),
        ):
            family = CounterMetricFamily(name, words, labels=(label,))
            for value, count in found.items():
                family.add_metric((value,), count)
            yield family


def _counter(name: str, words: str, value: float) -> Metric:
    family = CounterMetricFamily(name, words)
    family.add_metric((), value)
    return family

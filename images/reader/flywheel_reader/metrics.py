"""The reader's metrics for Prometheus. Labels are templates of paths, never names of a caller's objects."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

BUCKETS = (0.005, 0.02, 0.1, 0.3, 1, 5, 30)


class Metrics:
    """The metrics of one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        labels = ["path", "code"]
        self._requests = Counter(
            "flywheel_reader_requests", "Requests by path and code", labels, registry=self._registry
        )
        self._seconds = Histogram(
            "flywheel_reader_request_seconds",
            "Seconds until the response",
            ["path"],
            buckets=BUCKETS,
            registry=self._registry,
        )
        self.records = Gauge("flywheel_reader_index_records", "Records in memory", registry=self._registry)

    def count(self, path: str, code: int, seconds: float) -> None:
        """Counts one request."""
        self._requests.labels(path, str(code)).inc()
        self._seconds.labels(path).observe(seconds)

    def render(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self._registry)

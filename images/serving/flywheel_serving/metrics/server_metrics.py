"""The server's metrics, with MLServer's names, so that its dashboards and rules fit this server as well.

Counting is plain arithmetic on the event loop, the only thread that counts; the series are built when they are scraped.
The client library's own counters take a lock for each step, and ten of them would cost a third of a small inference.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from flywheel_serving.errors import RequestError, classify_error
from flywheel_serving.metrics.families import counter, gauge
from flywheel_serving.metrics.model_statistics import ModelStatistics

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
LATENCY_BUCKETS_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # fmt: skip
BATCH_ROWS_BUCKETS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 1024.0, 4096.0)
REST_LABELS = ("method", "path")
RPC_LABELS = ("grpc_type", "grpc_service", "grpc_method")


class Histogram:
    """Observations counted in buckets; `bounds` are the buckets' upper ends."""

    __slots__ = ("_bounds", "_counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    def bucket_counts(self) -> list[int]:
        """The number of observations in each bucket; the last one is above all bounds."""
        return [*self._counts]

    def cumulative_buckets(self) -> list[tuple[str, float]]:
        """(bound, number of observations up to it), as the exposition format has them."""
        total, buckets = 0, []
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self._counts, strict=True):
            total += count
            buckets.append((bound, float(total)))
        return buckets


class RequestMetrics:
    """Responses of one method and path, by status, and their latency."""

    __slots__ = ("by_status", "seconds")

    def __init__(self) -> None:
        self.by_status: dict[int, int] = {}
        self.seconds = Histogram(LATENCY_BUCKETS_SECONDS)

    def count(self, status: int, seconds: float) -> None:
        self.by_status[status] = self.by_status.get(status, 0) + 1
        self.seconds.observe(seconds)


class ServerMetrics(Collector):
    """All series of one server, in a registry of its own. Belongs to the event loop's thread."""

    def __init__(self, model: str, version: str) -> None:
        self._model = (model, version)
        self.infer_success = 0
        self.infer_failure = 0
        self.errors: Counter[str] = Counter()  # of these failures, by class
        self.in_flight = 0
        self.infer_seconds = Histogram(LATENCY_BUCKETS_SECONDS)
        self.batch_rows = Histogram(BATCH_ROWS_BUCKETS)
        self.statistics = ModelStatistics()
        self.rest_in_progress = 0
        self._rest: dict[tuple[str, str], RequestMetrics] = {}
        self._rpc_started: Counter[tuple[str, str, str]] = Counter()
        self._rpc_handled: Counter[tuple[str, str, str, str]] = Counter()
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def rest(self, method: str, path: str) -> RequestMetrics:
        """The metrics of a REST route; `path` is the route's pattern, so that clients cannot make up series."""
        return self._rest.setdefault((method, path), RequestMetrics())

    def rpc_started(self, kind: str, service: str, method: str) -> None:
        self._rpc_started[kind, service, method] += 1

    def rpc_handled(self, kind: str, service: str, method: str, code: str) -> None:
        self._rpc_handled[kind, service, method, code] += 1

    def count_failure(self, error: RequestError) -> None:
        """Counts an inference that failed, also in the class of its error."""
        self.infer_failure += 1
        self.errors[classify_error(error)] += 1

    def register(self, collector: Collector) -> None:
        """Adds a feature's series to the exposition."""
        self._registry.register(collector)

    def exposition(self) -> bytes:
        """All series in the exposition format, version 0.0.4."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """The server's own series; the registry calls this for each exposition."""
        yield from self._model_families()
        by_status = (
            ((*route, str(status)), count)
            for route, requests in self._rest.items()
            for status, count in requests.by_status.items()
        )
        yield counter("rest_server_requests", "REST requests", (*REST_LABELS, "status_code"), by_status)
        seconds = [(route, requests.seconds) for route, requests in self._rest.items()]
        yield _histogram("rest_server_requests_duration_seconds", "Duration of REST requests", REST_LABELS, seconds)
        yield gauge("rest_server_requests_in_progress", "REST requests in progress", (), [((), self.rest_in_progress)])
        yield counter("grpc_server_started", "RPCs started", RPC_LABELS, self._rpc_started.items())
        yield counter("grpc_server_handled", "RPCs completed", (*RPC_LABELS, "grpc_code"), self._rpc_handled.items())

    def _model_families(self) -> Iterator[Metric]:
        labels, model = ("model", "version"), self._model
        yield counter("model_infer_request_success", "Inferences that succeeded", labels, [(model, self.infer_success)])
        yield counter("model_infer_request_failure", "Inferences that failed", labels, [(model, self.infer_failure)])
        for name, documentation, histogram in (
            ("model_infer_duration_seconds", "From the checked request to its response", self.infer_seconds),
            ("model_infer_batch_rows", "Rows in one call of the model", self.batch_rows),
        ):
            yield _histogram(name, documentation, labels, [(model, histogram)])
        yield gauge("model_infer_in_flight", "Inferences in flight", labels, [(model, self.in_flight)])


def _histogram(
    name: str, documentation: str, labels: tuple[str, ...], series: list[tuple[tuple[str, str], Histogram]]
) -> Metric:
    family = HistogramMetricFamily(name, documentation, labels=labels)
    for values, histogram in series:
        family.add_metric(values, histogram.cumulative_buckets(), histogram.sum)
    return family

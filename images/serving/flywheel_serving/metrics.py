"""Prometheus metrics, named as MLServer names them so that its dashboards and rules fit this server as well.

Counting is plain arithmetic on the event loop, which nobody else does; the prometheus client turns it into series when it is asked.
Its own counters take a lock for each step, and ten of them would cost a third of a small inference.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from flywheel_serving.statistics import Statistics

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ROWS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 1024.0, 4096.0)


class Distribution:
    """Observations by bucket; `bounds` are the buckets' upper ends."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative, as the exposition format has them."""
        total, found = 0, []
        for bound, count in zip((*self._bounds, float("inf")), self._counts, strict=True):
            total += count
            found.append(("+Inf" if bound == float("inf") else str(bound), float(total)))
        return found

    @property
    def sum(self) -> float:
        return self._sum


class Answers:
    """Of one method and route: how many had which status, and how long all took."""

    __slots__ = ("by_status", "seconds")

    def __init__(self) -> None:
        self.by_status: dict[int, int] = {}
        self.seconds = Distribution(SECONDS)

    def count(self, status: int, seconds: float) -> None:
        self.by_status[status] = self.by_status.get(status, 0) + 1
        self.seconds.observe(seconds)


class Metrics(Collector):
    """All series of one server, in a registry of its own. Belongs to the event loop's thread."""

    def __init__(self, model: str, version: str) -> None:
        self._labels = (model, version)
        self.infer_success = 0
        self.infer_failure = 0
        self.in_flight = 0
        self.infer_seconds = Distribution(SECONDS)
        self.batch_rows = Distribution(ROWS)
        self.statistics = Statistics()
        self.rest_in_progress = 0
        self._rest: dict[tuple[str, str], Answers] = {}
        self._rpc_started: Counter[tuple[str, str, str]] = Counter()
        self._rpc_handled: Counter[tuple[str, str, str, str]] = Counter()
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def rest(self, method: str, path: str) -> Answers:
        """Where a REST request is counted; `path` is the route's pattern, so that clients cannot make up series."""
        return self._rest.setdefault((method, path), Answers())

    def rpc_started(self, kind: str, service: str, method: str) -> None:
        self._rpc_started[kind, service, method] += 1

    def rpc_handled(self, kind: str, service: str, method: str, code: str) -> None:
        self._rpc_handled[kind, service, method, code] += 1

    def register(self, collector: Collector) -> None:
        """Adds another part's series to the exposition."""
        self._registry.register(collector)

    def text(self) -> bytes:
        """The exposition format, version 0.0.4."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Called by the registry when it is asked."""
        yield from self._of_the_model()
        rest, rpc = ("method", "path", "status_code"), ("grpc_type", "grpc_service", "grpc_method")
        told = (
            ((*route, str(status)), count)
            for route, answers in self._rest.items()
            for status, count in answers.by_status.items()
        )
        yield _counter("rest_server_requests", "REST requests", rest, told)
        spread = HistogramMetricFamily("rest_server_requests_duration_seconds", "REST requests", labels=rest[:2])
        for route, answers in self._rest.items():
            spread.add_metric(route, answers.seconds.buckets(), answers.seconds.sum)
        yield spread
        yield GaugeMetricFamily("rest_server_requests_in_progress", "REST requests", self.rest_in_progress)
        yield _counter("grpc_server_started", "RPCs started", rpc, self._rpc_started.items())
        yield _counter("grpc_server_handled", "RPCs ended", (*rpc, "grpc_code"), self._rpc_handled.items())

    def _of_the_model(self) -> Iterator[Metric]:
        names, values = ("model", "version"), self._labels
        success = ((values, self.infer_success),)
        yield _counter("model_infer_request_success", "Inferences answered", names, success)
        failure = ((values, self.infer_failure),)
        yield _counter("model_infer_request_failure", "Inferences answered with an error", names, failure)
        for name, words, found in (
            ("model_infer_duration_seconds", "Checked request to answer", self.infer_seconds),
            ("model_infer_batch_rows", "Rows of one call of the model", self.batch_rows),
        ):
            spread = HistogramMetricFamily(name, words, labels=names)
            spread.add_metric(values, found.buckets(), found.sum)
            yield spread
        under_way = GaugeMetricFamily("model_infer_in_flight", "Inferences under way", labels=names)
        under_way.add_metric(values, self.in_flight)
        yield under_way


def _counter(
    name: str, words: str, labels: tuple[str, ...], found: Iterable[tuple[tuple[str, ...], float]]
) -> CounterMetricFamily:
    family = CounterMetricFamily(name, words, labels=labels)
    for values, count in found:
        family.add_metric(values, count)
    return family

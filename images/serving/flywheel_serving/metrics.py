"""Prometheus metrics, named as MLServer names them so that its dashboards and rules fit this server as well."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """All series of one server, in a registry of its own."""

    def __init__(self, model: str, version: str) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, which nobody asks for
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        labels = ("model", "version")
        success = Counter("model_infer_request_success", "Inferences answered", labels, registry=registry)
        failure = Counter("model_infer_request_failure", "Inferences answered with an error", labels, registry=registry)
        seconds = Histogram(
            "model_infer_duration_seconds", "Checked request to answer", labels, buckets=SECONDS, registry=registry
        )
        in_flight = Gauge("model_infer_in_flight", "Inferences under way", labels, registry=registry)
        self.infer_success = success.labels(model, version)
        self.infer_failure = failure.labels(model, version)
        self.infer_seconds = seconds.labels(model, version)
        self.in_flight = in_flight.labels(model, version)
        self._rest = Counter(
            "rest_server_requests", "REST requests", ("method", "path", "status_code"), registry=registry
        )
        self._rest_seconds = Histogram(
            "rest_server_requests_duration_seconds", "REST requests", ("path",), buckets=SECONDS, registry=registry
        )
        self.rest_in_progress = Gauge("rest_server_requests_in_progress", "REST requests", registry=registry)
        rpc = ("grpc_type", "grpc_service", "grpc_method")
        self._rpc_started = Counter("grpc_server_started", "RPCs started", rpc, registry=registry)
        self._rpc_handled = Counter("grpc_server_handled", "RPCs ended", (*rpc, "grpc_code"), registry=registry)

    def rest(self, method: str, path: str, status: int, seconds: float) -> None:
        """Counts one REST request; `path` is the route's pattern, so that clients cannot make up series."""
        self._rest.labels(method, path, str(status)).inc()
        self._rest_seconds.labels(path).observe(seconds)

    def rpc_started(self, kind: str, service: str, method: str) -> None:
        self._rpc_started.labels(kind, service, method).inc()

    def rpc_handled(self, kind: str, service: str, method: str, code: str) -> None:
        self._rpc_handled.labels(kind, service, method, code).inc()

    def text(self) -> bytes:
        """The exposition format, version 0.0.4."""
        return generate_latest(self._registry)

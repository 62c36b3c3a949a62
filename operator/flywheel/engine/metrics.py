"""Prometheus metrics under controller-runtime's and client-go's names, so that existing dashboards and alerts work unchanged."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from flywheel.core.resource.api import Api, Manifest
from flywheel.core.resource.kind import AnyKind, AnyResource
from flywheel.core.resource.parse import InvalidSpec, parse_resource

REGISTRY = CollectorRegistry()
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_counter = partial(Counter, registry=REGISTRY)
_gauge = partial(Gauge, registry=REGISTRY)
_histogram = partial(Histogram, registry=REGISTRY, buckets=_SECONDS)

reconciles = _counter(
    "controller_runtime_reconcile", "Reconciliations of a resource, by kind and result.", ("controller", "result")
)
reconcile_errors = _counter("controller_runtime_reconcile_errors", "Reconciliations that failed.", ("controller",))
reconcile_seconds = _histogram(
    "controller_runtime_reconcile_time_seconds", "Duration of a reconciliation.", ("controller",)
)
active_workers = _gauge("controller_runtime_active_workers", "Reconciliations in flight.", ("controller",))
queue_depth = _gauge("workqueue_depth", "Resources that wait to be reconciled.", ("name",))
queue_adds = _counter("workqueue_adds", "Resources put into the queue.", ("name",))
queue_retries = _counter("workqueue_retries", "Reconciliations that are retried after a failure.", ("name",))
queue_seconds = _histogram("workqueue_queue_duration_seconds", "Time that a resource waits in the queue.", ("name",))
work_seconds = _histogram("workqueue_work_duration_seconds", "Duration of a reconciliation.", ("name",))
longest_running = _gauge(
    "workqueue_longest_running_processor_seconds", "Age of the oldest reconciliation in flight.", ("name",)
)
unfinished = _gauge("workqueue_unfinished_work_seconds", "Sum of the ages of all reconciliations in flight.", ("name",))
requests = _counter("rest_client_requests", "Requests to the API server.", ("method", "code"))
leading = _gauge("leader_election_master_status", "1 while this process holds the Lease.", ("name",))
store_objects = _gauge("flywheel_store_objects", "Objects in the cache.", ("kind",))
loop_lag = _gauge("flywheel_event_loop_lag_seconds", "How late the event loop is.")
policy_in_force = _gauge(
    "flywheel_policy_in_force", "1 if a policy of the chart denies, by its name; absent if unknown.", ("policy",)
)


class ResourceGauges(Collector):
    """The gauges of resources (`Kind.gauges`), read from the cache whenever they are scraped, so that a deleted resource has none."""

    def __init__(self) -> None:
        self._kinds: tuple[AnyKind, ...] = ()
        self._list: Callable[[Api], Iterable[Manifest]] = lambda _api: ()

    def read_from(self, kinds: Sequence[AnyKind], list_resources: Callable[[Api], Iterable[Manifest]]) -> None:
        """Sets the kinds, and the function that returns all resources of one."""
        self._kinds = tuple(kind for kind in kinds if kind.gauges)
        self._list = list_resources

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Returns the gauges of all resources. A resource whose spec does not fit has none."""
        for kind in self._kinds:
            resources = self._parse(kind)
            for gauge in kind.gauges:
                labels = ("resource_namespace", "resource_name", *gauge.labels)
                family = GaugeMetricFamily(gauge.name, gauge.description, labels=labels)
                for resource in resources:
                    for values, value in gauge.read(resource):
                        family.add_metric((resource.namespace, resource.name, *values), value)
                yield family

    def _parse(self, kind: AnyKind) -> list[AnyResource]:
        found = []
        for manifest in self._list(kind.api):
            try:
                found.append(parse_resource(kind, manifest))
            except InvalidSpec:
                continue
        return found


resource_gauges = ResourceGauges()
REGISTRY.register(resource_gauges)

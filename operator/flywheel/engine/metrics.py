"""Prometheus metrics under controller-runtime's and client-go's names, so that existing dashboards and alerts work unchanged."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

reconciles = Counter(
    "controller_runtime_reconcile",
    "Looks at a resource, by kind and how they ended.",
    ("controller", "result"),
    registry=REGISTRY,
)
reconcile_errors = Counter(
    "controller_runtime_reconcile_errors", "Looks that failed.", ("controller",), registry=REGISTRY
)
reconcile_seconds = Histogram(
    "controller_runtime_reconcile_time_seconds",
    "Length of a look.",
    ("controller",),
    registry=REGISTRY,
    buckets=_SECONDS,
)
active_workers = Gauge("controller_runtime_active_workers", "Looks in flight.", ("controller",), registry=REGISTRY)
queue_depth = Gauge("workqueue_depth", "Resources that wait for a look.", ("name",), registry=REGISTRY)
queue_adds = Counter("workqueue_adds", "Resources put into the queue.", ("name",), registry=REGISTRY)
queue_retries = Counter(
    "workqueue_retries", "Looks that will be repeated after a failure.", ("name",), registry=REGISTRY
)
queue_seconds = Histogram(
    "workqueue_queue_duration_seconds", "Time from wish to look.", ("name",), registry=REGISTRY, buckets=_SECONDS
)
work_seconds = Histogram(
    "workqueue_work_duration_seconds",
    "Time from the start of a look to its end.",
    ("name",),
    registry=REGISTRY,
    buckets=_SECONDS,
)
longest_running = Gauge(
    "workqueue_longest_running_processor_seconds", "Age of the oldest look in flight.", ("name",), registry=REGISTRY
)
unfinished = Gauge(
    "workqueue_unfinished_work_seconds", "Age of all looks in flight, added up.", ("name",), registry=REGISTRY
)
requests = Counter("rest_client_requests", "Requests to the API server.", ("method", "code"), registry=REGISTRY)
leading = Gauge("leader_election_master_status", "1 while this process holds the Lease.", ("name",), registry=REGISTRY)
store_objects = Gauge("flywheel_store_objects", "Objects in the cache.", ("kind",), registry=REGISTRY)
loop_lag = Gauge("flywheel_event_loop_lag_seconds", "How late the event loop is.", registry=REGISTRY)

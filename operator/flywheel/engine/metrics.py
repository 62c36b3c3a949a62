"""Prometheus metrics under controller-runtime's and client-go's names, so that existing dashboards and alerts work unchanged."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

reconciles = Counter(
    "controller_runtime_reconcile",
    "Reconciliations of a resource, by kind and result.",
    ("controller", "result"),
    registry=REGISTRY,
)
reconcile_errors = Counter(
    "controller_runtime_reconcile_errors", "Reconciliations that failed.", ("controller",), registry=REGISTRY
)
reconcile_seconds = Histogram(
    "controller_runtime_reconcile_time_seconds",
    "Duration of a reconciliation.",
    ("controller",),
    registry=REGISTRY,
    buckets=_SECONDS,
)
active_workers = Gauge(
    "controller_runtime_active_workers", "Reconciliations in flight.", ("controller",), registry=REGISTRY
)
queue_depth = Gauge("workqueue_depth", "Resources that wait to be reconciled.", ("name",), registry=REGISTRY)
queue_adds = Counter("workqueue_adds", "Resources put into the queue.", ("name",), registry=REGISTRY)
queue_retries = Counter(
    "workqueue_retries", "Reconciliations that are retried after a failure.", ("name",), registry=REGISTRY
)
queue_seconds = Histogram(
    "workqueue_queue_duration_seconds",
    "Time that a resource waits in the queue.",
    ("name",),
    registry=REGISTRY,
    buckets=_SECONDS,
)
work_seconds = Histogram(
    "workqueue_work_duration_seconds",
    "Duration of a reconciliation.",
    ("name",),
    registry=REGISTRY,
    buckets=_SECONDS,
)
longest_running = Gauge(
    "workqueue_longest_running_processor_seconds",
    "Age of the oldest reconciliation in flight.",
    ("name",),
    registry=REGISTRY,
)
unfinished = Gauge(
    "workqueue_unfinished_work_seconds",
    "Sum of the ages of all reconciliations in flight.",
    ("name",),
    registry=REGISTRY,
)
requests = Counter("rest_client_requests", "Requests to the API server.", ("method", "code"), registry=REGISTRY)
leading = Gauge("leader_election_master_status", "1 while this process holds the Lease.", ("name",), registry=REGISTRY)
store_objects = Gauge("flywheel_store_objects", "Objects in the cache.", ("kind",), registry=REGISTRY)
loop_lag = Gauge("flywheel_event_loop_lag_seconds", "How late the event loop is.", registry=REGISTRY)

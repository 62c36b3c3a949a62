"""ModelMonitor as the engine sees it."""

from collections.abc import Iterable

from flywheel.core.resource.api import CRON_JOB, DATASET, INFERENCE_SERVICE, JOB, MODEL_MONITOR, Reference
from flywheel.core.resource.kind import HealthByReason, Kind
from flywheel.kinds.modelmonitor.children import ModelMonitor
from flywheel.kinds.modelmonitor.decide import decide
from flywheel.kinds.modelmonitor.gauges import GAUGES
from flywheel.kinds.modelmonitor.observe import Seen, observe
from flywheel.kinds.modelmonitor.preview import preview
from flywheel.kinds.modelmonitor.schema.spec import ModelMonitorSpec
from flywheel.kinds.modelmonitor.schema.status import ModelMonitorStatus


def references(monitor: ModelMonitor) -> Iterable[Reference]:
    """The service whose traffic it compares, and the Dataset with labels."""
    yield Reference(INFERENCE_SERVICE, monitor.namespace, monitor.spec.inference_service)
    truth = monitor.spec.ground_truth
    if truth is not None and truth.dataset is not None:
        yield Reference(DATASET, monitor.namespace, truth.dataset)


KIND: Kind[ModelMonitorSpec, ModelMonitorStatus, Seen] = Kind(
    api=MODEL_MONITOR,
    short_name="fwmon",
    spec=ModelMonitorSpec,
    status=ModelMonitorStatus,
    observe=observe,
    decide=decide,
    owns=(CRON_JOB, JOB),
    references=references,
    normal_reasons=frozenset(("Monitoring", "Running", "Scheduled", "WaitingForTraffic")),
    health=HealthByReason(healthy=("ServiceNotFound", "TrafficNotCounted")),
    gauges=GAUGES,
    preview=preview,
)

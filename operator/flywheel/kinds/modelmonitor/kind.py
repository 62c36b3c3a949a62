"""ModelMonitor as the engine sees it."""

from collections.abc import Iterable

from flywheel.core.resource.api import (
    BATCH_INFERENCE,
    CRON_JOB,
    DATASET,
    INFERENCE_SERVICE,
    JOB,
    MODEL_MONITOR,
    MODEL_VERSION,
    Reference,
)
from flywheel.core.resource.kind import HealthByReason, Kind
from flywheel.kinds.modelmonitor.children import ModelMonitor
from flywheel.kinds.modelmonitor.decide import decide
from flywheel.kinds.modelmonitor.gauges import GAUGES
from flywheel.kinds.modelmonitor.observe import Seen, observe
from flywheel.kinds.modelmonitor.preview import preview
from flywheel.kinds.modelmonitor.schema.spec import ModelMonitorSpec
from flywheel.kinds.modelmonitor.schema.status import ModelMonitorStatus


def references(monitor: ModelMonitor) -> Iterable[Reference]:
    """The service or the batches that it compares, the Dataset with labels, and the versions about which it may find something."""
    kind = BATCH_INFERENCE if monitor.spec.batch_inference else INFERENCE_SERVICE
    yield Reference(kind, monitor.namespace, monitor.spec.target)
    truth = monitor.spec.ground_truth
    if truth is not None and truth.dataset is not None:
        yield Reference(DATASET, monitor.namespace, truth.dataset)
    seen = {each.version for each in monitor.status.versions}
    versions = seen | {each.version for each in monitor.status.findings if each.version}
    yield from (Reference(MODEL_VERSION, monitor.namespace, version) for version in sorted(versions))


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
    health=HealthByReason(healthy=("BatchInferenceNotFound", "ServiceNotFound", "TrafficNotCounted")),
    gauges=GAUGES,
    preview=preview,
)

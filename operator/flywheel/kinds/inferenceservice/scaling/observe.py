"""The autoscaler as it is, and why it cannot work: an API that is missing, or what the HorizontalPodAutoscaler reports."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from flywheel.core.diagnosis.workload_diagnosis import Diagnosis
from flywheel.core.resource import names
from flywheel.core.resource.api import HORIZONTAL_POD_AUTOSCALER, Manifest, Reference
from flywheel.core.resource.kind import Cluster
from flywheel.kinds.inferenceservice.scaling.replicas import POD_METRICS, has_autoscaler
from flywheel.kinds.inferenceservice.schema import InferenceService
from flywheel.kinds.inferenceservice.schema.scaling import Scaling
from flywheel.kinds.inferenceservice.slots import is_owned

# metrics-server knows a pod only after its first two scrapes; until then an autoscaler reports that it cannot measure.
METRICS_GRACE_PERIOD = timedelta(minutes=2)
RESOURCE_METRICS_API, CUSTOM_METRICS_API, KEDA_API = "metrics.k8s.io", "custom.metrics.k8s.io", "keda.sh"
KEDA_STEP = "KEDA is installed: instead, remove spec.scaling and let a ScaledObject target this InferenceService, whose scale subresource it can set."


@dataclass(frozen=True)
class AutoscalerSeen:
    """The service's HorizontalPodAutoscaler.

    `exists`: there is one, and it is ours. `starting`: it cannot measure yet, which may pass within the grace period.
    `problem`: why it cannot measure.
    """

    exists: bool = False
    starting: bool = False
    problem: Diagnosis | None = None


def observe_autoscaler(service: InferenceService, cluster: Cluster) -> AutoscalerSeen:
    """Read the HorizontalPodAutoscaler, and whether the APIs that it needs are served."""
    live = cluster.get(Reference(HORIZONTAL_POD_AUTOSCALER, service.namespace, names.child(service)))
    if live is not None and not is_owned(service, live):
        live = None
    exists, scaling = live is not None, service.spec.scaling
    if scaling is None or not has_autoscaler(service):
        return AutoscalerSeen(exists)
    missing = _missing_api(scaling, cluster)
    if missing is not None:
        return AutoscalerSeen(exists, problem=missing)
    condition = _failing_condition(live) if live else None
    if condition is None:
        return AutoscalerSeen(exists)
    if cluster.now - _transition_time(condition) < METRICS_GRACE_PERIOD:
        return AutoscalerSeen(exists, starting=True)
    return AutoscalerSeen(exists, problem=_metrics_unavailable(scaling, condition))


def _missing_api(scaling: Scaling, cluster: Cluster) -> Diagnosis | None:
    api, metric, step = RESOURCE_METRICS_API, str(scaling.metric), "install metrics-server."
    if scaling.metric in POD_METRICS:
        api, metric = CUSTOM_METRICS_API, f"{metric} ('{POD_METRICS[metric]}' of each pod)"
        step = "install prometheus-adapter, or set spec.scaling.metric to CPU."
    if cluster.serves(api):
        return None
    if api == CUSTOM_METRICS_API and cluster.serves(KEDA_API):
        step = f"{step} {KEDA_STEP}"
    finding = f"The number of servers stays as it is, since the API server does not serve {api}"
    return Diagnosis("MetricsMissing", f"{finding}, from which metric {metric} comes; {step}")


def _failing_condition(live: Manifest) -> Mapping[str, Any] | None:
    """The condition that reports a failure. `ScalingDisabled` is reported at 0 servers, and ends with the first."""
    for condition in (live.get("status") or {}).get("conditions") or []:
        works = condition["status"] != "False" or condition.get("reason") == "ScalingDisabled"
        if condition["type"] in ("AbleToScale", "ScalingActive") and not works:
            return dict(condition)
    return None


def _transition_time(condition: Mapping[str, Any]) -> datetime:
    stamp = condition.get("lastTransitionTime")
    return datetime.fromisoformat(str(stamp).replace("Z", "+00:00")) if stamp else datetime.min.replace(tzinfo=UTC)


def _metrics_unavailable(scaling: Scaling, condition: Mapping[str, Any]) -> Diagnosis:
    finding = str(condition.get("message") or condition.get("reason")).rstrip(".")
    if scaling.metric in POD_METRICS:
        step = f"let Prometheus scrape the pods and the adapter offer '{POD_METRICS[scaling.metric]}' for pods"
    else:
        step = "see whether metrics-server is healthy ('kubectl top pods' shows the same figures)"
    return Diagnosis(
        "MetricsUnavailable",
        f"The number of servers stays as it is, since the autoscaler cannot measure: {finding}; {step}.",
    )

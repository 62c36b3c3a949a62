"""The autoscaler as it is, and why it cannot do its work: which API is missing, or what the HorizontalPodAutoscaler says of itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from flywheel.core.resource import names
from flywheel.core.resource.api import HORIZONTAL_POD_AUTOSCALER, Manifest, Reference
from flywheel.core.resource.kind import Cluster
from flywheel.kinds.inferenceservice.scaling.autoscaler import POD_METRICS
from flywheel.kinds.inferenceservice.scaling.replicas import is_automatic
from flywheel.kinds.inferenceservice.schema import InferenceService
from flywheel.kinds.inferenceservice.schema.scaling import Scaling

# metrics-server knows a pod only after its first two scrapes; until then an autoscaler says that it cannot measure.
PATIENCE = timedelta(minutes=2)
RESOURCE_METRICS, CUSTOM_METRICS, KEDA = "metrics.k8s.io", "custom.metrics.k8s.io", "keda.sh"


@dataclass(frozen=True)
class Blindness:
    """Why nothing can be measured, in one CamelCase word and one sentence with a next step."""

    reason: str
    message: str


@dataclass(frozen=True)
class Autoscaler:
    """`exists`: there is a HorizontalPodAutoscaler of ours. `unsure`: it cannot measure yet, which may be over in a moment."""

    exists: bool = False
    unsure: bool = False
    blind: Blindness | None = None


def observe_autoscaler(service: InferenceService, cluster: Cluster) -> Autoscaler:
    """At the HorizontalPodAutoscaler, and at the APIs that it asks."""
    live = cluster.get(Reference(HORIZONTAL_POD_AUTOSCALER, service.namespace, names.child(service)))
    if live is not None and live["metadata"].get("labels", {}).get(names.UID_LABEL) != service.uid:
        live = None  # somebody else's: the engine says NameTaken
    exists, scaling = live is not None, service.spec.scaling
    if scaling is None or not is_automatic(service):
        return Autoscaler(exists)
    missing = _api_missing(scaling, cluster)
    if missing is not None:
        return Autoscaler(exists, blind=missing)
    diagnosis = _trouble(live) if live else None
    if diagnosis is None:
        return Autoscaler(exists)
    if cluster.now - _since(diagnosis) < PATIENCE:
        return Autoscaler(exists, unsure=True)
    return Autoscaler(exists, blind=_blind(scaling, diagnosis))


def _api_missing(scaling: Scaling, cluster: Cluster) -> Blindness | None:
    if scaling.metric not in POD_METRICS:
        if cluster.serves(RESOURCE_METRICS):
            return None
        return Blindness(
            "MetricsMissing",
            f"The number of servers stays as it is, since the API server does not serve {RESOURCE_METRICS}, from which metric {scaling.metric} comes; install metrics-server.",
        )
    if cluster.serves(CUSTOM_METRICS):
        return None
    name = POD_METRICS[scaling.metric]
    keda = (
        " KEDA is installed: instead, remove spec.scaling and let a ScaledObject target this InferenceService, whose scale subresource it can set."
        if cluster.serves(KEDA)
        else ""
    )
    return Blindness(
        "MetricsMissing",
        f"The number of servers stays as it is, since the API server does not serve {CUSTOM_METRICS}, from which metric {scaling.metric} ('{name}' of each pod) comes; install prometheus-adapter, or set spec.scaling.metric to CPU.{keda}",
    )


def _trouble(live: Manifest) -> Mapping[str, Any] | None:
    """The condition that says that it does not work. `ScalingDisabled` is said of 0 servers, and is over with the first."""
    for condition in (live.get("status") or {}).get("conditions") or []:
        works = condition["status"] != "False" or condition.get("reason") == "ScalingDisabled"
        if condition["type"] in ("AbleToScale", "ScalingActive") and not works:
            return dict(condition)
    return None


def _since(condition: Mapping[str, Any]) -> datetime:
    stamp = condition.get("lastTransitionTime")
    return datetime.fromisoformat(str(stamp).replace("Z", "+00:00")) if stamp else datetime.min.replace(tzinfo=UTC)


def _blind(scaling: Scaling, diagnosis: Mapping[str, Any]) -> Blindness:
    words = str(diagnosis.get("message") or diagnosis.get("reason")).rstrip(".")
    if scaling.metric in POD_METRICS:
        step = f"let Prometheus scrape the pods and the adapter offer '{POD_METRICS[scaling.metric]}' for pods"
    else:
        step = "see whether metrics-server is healthy ('kubectl top pods' shows the same figures)"
    return Blindness(
        "MetricsUnavailable",
        f"The number of servers stays as it is, since the autoscaler cannot measure: {words}; {step}.",
    )

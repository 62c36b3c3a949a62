"""The HorizontalPodAutoscaler of a service with `spec.scaling`."""

from typing import Any

from flywheel.core.resource import names
from flywheel.core.resource.api import DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER
from flywheel.core.resource.plan import Child
from flywheel.kinds.inferenceservice.scaling.replicas import has_autoscaler
from flywheel.kinds.inferenceservice.schema import InferenceService
from flywheel.kinds.inferenceservice.schema.scaling import Scaling

# What servers export at /metrics. prometheus-adapter's own rules make `x` out of a gauge `x`, and requests/s `x` out of a counter `x_total`.
POD_METRICS = {"InFlight": "model_infer_in_flight", "RequestsPerSecond": "model_infer_request_success"}
RESOURCE_NAMES = {"CPU": "cpu", "Memory": "memory"}


def autoscalers(service: InferenceService, deployment: str) -> tuple[Child, ...]:
    """The HorizontalPodAutoscaler of that Deployment, or nothing."""
    scaling = service.spec.scaling
    if scaling is None or not has_autoscaler(service):
        return ()
    behavior = scaling.behavior.model_dump(by_alias=True, exclude_none=True, mode="json") if scaling.behavior else {}
    behavior = {direction: {k: v for k, v in rules.items() if v != []} for direction, rules in behavior.items()}
    spec = {
        "scaleTargetRef": {"apiVersion": DEPLOYMENT.api_version, "kind": DEPLOYMENT.kind, "name": deployment},
        "minReplicas": scaling.min_replicas,
        "maxReplicas": scaling.max_replicas,
        "metrics": [_metric(scaling)],
        **({"behavior": behavior} if behavior else {}),
    }
    return (Child(HORIZONTAL_POD_AUTOSCALER, HORIZONTAL_POD_AUTOSCALER.manifest(names.child(service), spec=spec)),)


def _metric(scaling: Scaling) -> dict[str, Any]:
    """A metric as in autoscaling/v2: a share of the request, or an amount for each pod."""
    target = scaling.target_or_default
    if target.endswith("%"):
        wanted: dict[str, Any] = {"type": "Utilization", "averageUtilization": int(target[:-1])}
    else:
        wanted = {"type": "AverageValue", "averageValue": target}
    if scaling.metric in RESOURCE_NAMES:
        return {"type": "Resource", "resource": {"name": RESOURCE_NAMES[scaling.metric], "target": wanted}}
    return {"type": "Pods", "pods": {"metric": {"name": POD_METRICS[scaling.metric]}, "target": wanted}}

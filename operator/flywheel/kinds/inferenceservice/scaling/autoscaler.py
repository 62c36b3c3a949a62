"""The HorizontalPodAutoscaler of a service with `spec.scaling`."""

from typing import Any

from flywheel.core.resource import names
from flywheel.core.resource.api import DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER
from flywheel.core.resource.plan import Child
from flywheel.kinds.inferenceservice.scaling.replicas import is_automatic
from flywheel.kinds.inferenceservice.schema import InferenceService
from flywheel.kinds.inferenceservice.schema.scaling import Scaling

# What the servers tell at /metrics. prometheus-adapter's own rules make `x` out of a gauge `x`, and requests/s `x` out of a counter `x_total`.
POD_METRICS = {"InFlight": "model_infer_in_flight", "RequestsPerSecond": "model_infer_request_success"}


RESOURCES = {"CPU": "cpu", "Memory": "memory"}


def autoscalers(service: InferenceService, deployment: str) -> tuple[Child, ...]:
    """The HorizontalPodAutoscaler, which counts that Deployment's servers, or nothing."""
    scaling = service.spec.scaling
    if scaling is None or not is_automatic(service):
        return ()
    target = {
        "apiVersion": DEPLOYMENT.api_version,
        "kind": DEPLOYMENT.kind,
        "name": deployment,
    }
    behavior = scaling.behavior.model_dump(by_alias=True, exclude_none=True, mode="json") if scaling.behavior else {}
    behavior = {direction: {k: v for k, v in rules.items() if v != []} for direction, rules in behavior.items()}
    manifest = {
        "apiVersion": HORIZONTAL_POD_AUTOSCALER.api_version,
        "kind": HORIZONTAL_POD_AUTOSCALER.kind,
        "metadata": {"name": names.child(service)},
        "spec": {
            "scaleTargetRef": target,
            "minReplicas": scaling.min_replicas,
            "maxReplicas": scaling.max_replicas,
            "metrics": [_metric(scaling)],
            **({"behavior": behavior} if behavior else {}),
        },
    }
    return (Child(HORIZONTAL_POD_AUTOSCALER, manifest),)


def _metric(scaling: Scaling) -> dict[str, Any]:
    """As in autoscaling/v2: a share of the request, or an amount for each pod."""
    aim = scaling.aim
    if aim.endswith("%"):
        target: dict[str, Any] = {"type": "Utilization", "averageUtilization": int(aim[:-1])}
    else:
        target = {"type": "AverageValue", "averageValue": aim}
    if scaling.metric in RESOURCES:
        return {"type": "Resource", "resource": {"name": RESOURCES[scaling.metric], "target": target}}
    return {"type": "Pods", "pods": {"metric": {"name": POD_METRICS[scaling.metric]}, "target": target}}

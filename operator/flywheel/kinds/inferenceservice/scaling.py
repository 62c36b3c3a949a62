"""How many servers run, and the HorizontalPodAutoscaler that decides it where `spec.scaling` is given.

The number of servers has one owner at a time. Without `spec.scaling` it is this operator, by `spec.replicas`; with it, the autoscaler:

    spec.scaling given    the Deployment's `replicas` is handed over as it is, then the autoscaler moves it
    spec.scaling removed  the autoscaler goes first; once it is gone, `spec.replicas` counts again
"""

from typing import Any

from flywheel.core.resource import names
from flywheel.core.resource.api import DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER
from flywheel.core.resource.kind import Resource
from flywheel.core.resource.plan import Child
from flywheel.kinds.inferenceservice.scaling_schema import Scaling
from flywheel.kinds.inferenceservice.schema import InferenceServiceSpec, InferenceServiceStatus

# What the servers tell at /metrics. prometheus-adapter's own rules make `x` out of a gauge `x`, and requests/s `x` out of a counter `x_total`.
POD_METRICS = {"InFlight": "model_infer_in_flight", "RequestsPerSecond": "model_infer_request_success"}
RESOURCES = {"CPU": "cpu", "Memory": "memory"}

_Service = Resource[InferenceServiceSpec, InferenceServiceStatus]


def wanted(service: _Service, running: int) -> int:
    """How many servers should run now; `running` is how many the Deployment is told to run, which an autoscaler may have decided."""
    scaling = service.spec.scaling
    if service.spec.suspend:
        return 0
    return service.spec.replicas if scaling is None else min(max(running, scaling.min_replicas), scaling.max_replicas)


def needed(service: _Service) -> int:
    """How many servers must answer for the service to be Ready: an autoscaler's newest wish takes its time and fails nobody."""
    scaling = service.spec.scaling
    if service.spec.suspend:
        return 0
    return service.spec.replicas if scaling is None else scaling.min_replicas


def most(service: _Service) -> int:
    """How many servers there may be."""
    scaling = service.spec.scaling
    if service.spec.suspend:
        return 0
    return service.spec.replicas if scaling is None else scaling.max_replicas


def is_automatic(service: _Service) -> bool:
    """Whether an autoscaler should be there. None for a suspended service: it would leave 0 servers alone, and be told so for ever."""
    return service.spec.scaling is not None and not service.spec.suspend


def autoscalers(service: _Service, deployment: str) -> tuple[Child, ...]:
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

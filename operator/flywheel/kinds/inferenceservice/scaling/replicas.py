"""How many servers run, and the HorizontalPodAutoscaler of a service with `spec.scaling`.

One party at a time sets the number. Without `spec.scaling` it is this operator, by `spec.replicas`; with it, the autoscaler:

    spec.scaling given    the Deployment's `replicas` is handed over as it is, then the autoscaler changes it
    spec.scaling removed  the autoscaler is deleted first; once it is gone, `spec.replicas` counts again
"""

from typing import Any

from flywheel.core.resource import names
from flywheel.core.resource.api import DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER
from flywheel.core.resource.plan import Child
from flywheel.kinds.inferenceservice.schema import InferenceService
from flywheel.kinds.inferenceservice.schema.scaling import DEFAULT_TARGET, Scaling

# What servers export at /metrics. prometheus-adapter's own rules make `x` out of a gauge `x`, and requests/s `x` out of a counter `x_total`.
POD_METRICS = {"InFlight": "model_infer_in_flight", "RequestsPerSecond": "model_infer_request_success"}
RESOURCE_NAMES = {"CPU": "cpu", "Memory": "memory"}


def replica_limits(service: InferenceService) -> tuple[int, int]:
    """The fewest servers, which must be ready for the service to be Ready, and the most that an autoscaler may add."""
    spec = service.spec
    if spec.suspend:
        return 0, 0
    return (spec.replicas,) * 2 if spec.scaling is None else (spec.scaling.min_replicas, spec.scaling.max_replicas)


def desired_replicas(service: InferenceService, running: int) -> int:
    """How many servers should run now; `running` is the Deployment's own number, which an autoscaler may have set."""
    fewest, most = replica_limits(service)
    return min(max(running, fewest), most)


def last_desired_replicas(service: InferenceService) -> int:
    """How many servers should run now, by the number that the status recorded last."""
    return desired_replicas(service, service.status.replicas or 0)


def has_autoscaler(service: InferenceService) -> bool:
    """Whether an autoscaler should exist; not for a suspended service, of which it would report ScalingDisabled for ever."""
    return service.spec.scaling is not None and not service.spec.suspend


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
    target = DEFAULT_TARGET if scaling.target is None else str(scaling.target)
    if target.endswith("%"):
        wanted: dict[str, Any] = {"type": "Utilization", "averageUtilization": int(target[:-1])}
    else:
        wanted = {"type": "AverageValue", "averageValue": target}
    if scaling.metric in RESOURCE_NAMES:
        return {"type": "Resource", "resource": {"name": RESOURCE_NAMES[scaling.metric], "target": wanted}}
    return {"type": "Pods", "pods": {"metric": {"name": POD_METRICS[scaling.metric]}, "target": wanted}}

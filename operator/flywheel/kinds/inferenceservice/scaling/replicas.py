"""How many servers run.

One party at a time sets the number. Without `spec.scaling` it is this operator, by `spec.replicas`; with it, the autoscaler:

    spec.scaling given    the Deployment's `replicas` is handed over as it is, then the autoscaler changes it
    spec.scaling removed  the autoscaler is deleted first; once it is gone, `spec.replicas` counts again
"""

from flywheel.kinds.inferenceservice.schema import InferenceService


def desired_replicas(service: InferenceService, running: int) -> int:
    """How many servers should run now; `running` is the Deployment's own number, which an autoscaler may have set."""
    scaling = service.spec.scaling
    if service.spec.suspend:
        return 0
    return service.spec.replicas if scaling is None else min(max(running, scaling.min_replicas), scaling.max_replicas)


def last_desired_replicas(service: InferenceService) -> int:
    """How many servers should run now, by the number that the status recorded last."""
    return desired_replicas(service, service.status.replicas or 0)


def required_replicas(service: InferenceService) -> int:
    """How many servers must be ready for the service to be Ready; what an autoscaler adds takes its time and fails nothing."""
    scaling = service.spec.scaling
    if service.spec.suspend:
        return 0
    return service.spec.replicas if scaling is None else scaling.min_replicas


def max_replicas(service: InferenceService) -> int:
    """How many servers there may be."""
    scaling = service.spec.scaling
    if service.spec.suspend:
        return 0
    return service.spec.replicas if scaling is None else scaling.max_replicas


def has_autoscaler(service: InferenceService) -> bool:
    """Whether an autoscaler should exist; not for a suspended service, of which it would report ScalingDisabled for ever."""
    return service.spec.scaling is not None and not service.spec.suspend

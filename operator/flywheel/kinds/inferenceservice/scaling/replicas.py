"""How many servers run, and the HorizontalPodAutoscaler that decides it where `spec.scaling` is given.

The number of servers has one owner at a time. Without `spec.scaling` it is this operator, by `spec.replicas`; with it, the autoscaler:

    spec.scaling given    the Deployment's `replicas` is handed over as it is, then the autoscaler moves it
    spec.scaling removed  the autoscaler goes first; once it is gone, `spec.replicas` counts again
"""

from flywheel.kinds.inferenceservice.schema import InferenceService


def wanted(service: InferenceService, running: int) -> int:
    """How many servers should run now; `running` is how many the Deployment is told to run, which an autoscaler may have decided."""
    scaling = service.spec.scaling
    if service.spec.suspend:
        return 0
    return service.spec.replicas if scaling is None else min(max(running, scaling.min_replicas), scaling.max_replicas)


def needed(service: InferenceService) -> int:
    """How many servers must answer for the service to be Ready: an autoscaler's newest wish takes its time and fails nobody."""
    scaling = service.spec.scaling
    if service.spec.suspend:
        return 0
    return service.spec.replicas if scaling is None else scaling.min_replicas


def most(service: InferenceService) -> int:
    """How many servers there may be."""
    scaling = service.spec.scaling
    if service.spec.suspend:
        return 0
    return service.spec.replicas if scaling is None else scaling.max_replicas


def is_automatic(service: InferenceService) -> bool:
    """Whether an autoscaler should be there. None for a suspended service: it would leave 0 servers alone, and be told so for ever."""
    return service.spec.scaling is not None and not service.spec.suspend

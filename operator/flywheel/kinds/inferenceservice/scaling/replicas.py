"""How many servers run.

One party at a time sets the number. Without `spec.scaling` it is this operator, by `spec.replicas`; with it, the autoscaler:

    spec.scaling given    the Deployment's `replicas` is handed over as it is, then the autoscaler changes it
    spec.scaling removed  the autoscaler is deleted first; once it is gone, `spec.replicas` counts again
"""

from flywheel.kinds.inferenceservice.schema import InferenceService


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

"""Servers that do not fit beside one another, because both need something that cannot be shared, such as a GPU."""

from flywheel.core.diagnosis.workload_diagnosis import Diagnosis
from flywheel.core.resource.model_reference import ResolvedVersion
from flywheel.core.settings import Settings
from flywheel.kinds.inferenceservice.scaling.replicas import desired_replicas, last_desired_replicas
from flywheel.kinds.inferenceservice.schema import InferenceService
from flywheel.kinds.inferenceservice.servers import Servers

ONE_BY_ONE_MESSAGE = " A new server does not fit beside the old ones, so they are replaced one by one: each stops before its successor starts."


def lacks_extended_resource(service: InferenceService, message: str) -> bool:
    """Whether the scheduler's message says that an extended resource is missing: its name has a domain, as in nvidia.com/gpu."""
    resources = service.spec.resources
    extended = {name for name in (*resources.requests, *resources.limits) if "/" in name}
    return any(f"Insufficient {name}" in message for name in extended)


def replaces_one_by_one(
    service: InferenceService,
    servers: Servers,
    diagnosis: Diagnosis | None,
    target: ResolvedVersion,
    settings: Settings,
) -> bool:
    """Whether a rolling update goes on without a surge: one that does not fit, until its end; the next one tries to surge again."""
    if last_desired_replicas(service) == 0 or servers.all_ready(
        service, target, settings, desired_replicas(service, servers.replicas)
    ):
        return False
    if servers.one_by_one:
        return True
    if diagnosis is None or diagnosis.reason != "Unschedulable":
        return False
    return servers.ready > 0 and lacks_extended_resource(service, diagnosis.message)

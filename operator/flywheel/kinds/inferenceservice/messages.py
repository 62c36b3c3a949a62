"""The messages of an InferenceService's conditions, and its summary."""

from flywheel.core.resource.model_reference import ResolvedVersion, UnresolvedReference
from flywheel.core.settings import Settings
from flywheel.kinds.inferenceservice.environment import allowed_names
from flywheel.kinds.inferenceservice.runtimes.container import HTTP_PORT
from flywheel.kinds.inferenceservice.schema import InferenceService
from flywheel.kinds.inferenceservice.server_pod import service_host


def url(service: InferenceService) -> str:
    """The address of the service's REST API inside the cluster."""
    return f"http://{service_host(service)}:{HTTP_PORT}"


def no_servers(service: InferenceService, target: ResolvedVersion) -> str:
    """The service is suspended or scaled to 0."""
    field = "spec.suspend is true" if service.spec.suspend else "spec.replicas is 0"
    step = "set it to false" if service.spec.suspend else "raise it"
    return (
        f"InferenceService '{service.name}' has no servers because {field}; {step} to serve version '{target.version}'."
    )


def refused_environment(refused: tuple[str, ...], settings: Settings) -> str:
    """Which variables of spec.env the server does not get, and what to do."""
    return (
        f"spec.env: {', '.join(refused)} may not be set for Flywheel's own server, which takes {', '.join(allowed_names(settings))}; "
        "remove them, have an administrator add them to the chart's value serving.allowedEnv, or set spec.runtime.custom."
    )


def all_ready(count: int) -> str:
    """Every server is ready; the begin of a sentence."""
    return f"All {count} servers are ready" if count > 1 else "The server is ready"


def unavailable(missing: UnresolvedReference | None) -> str:
    """Why no other version can replace the one that is served, or nothing."""
    return f" The served version stays, since no other can replace it: {missing.message}" if missing else ""


def summary(service: InferenceService, ready: int, count: int, target: ResolvedVersion) -> str:
    """`2/2 ready, fraud-3`."""
    if count == 0:
        return f"{'suspended' if service.spec.suspend else 'scaled to 0'}, {target.version}"
    return f"{min(ready, count)}/{count} ready, {target.version}"

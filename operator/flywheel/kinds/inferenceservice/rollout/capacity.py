"""Where a new server does not fit beside the old ones, because both want something that cannot be shared, such as a GPU."""

from flywheel.core.resource import names
from flywheel.core.resource.model_reference import Target
from flywheel.kinds.inferenceservice import children
from flywheel.kinds.inferenceservice.observe import Seen
from flywheel.kinds.inferenceservice.scaling import replicas as scaling
from flywheel.kinds.inferenceservice.schema import InferenceService


def does_not_fit(service: InferenceService, words: str) -> bool:
    """Whether the scheduler misses something that cannot be shared, such as nvidia.com/gpu: it has a domain in its name."""
    resources = service.spec.resources
    asked = {name for name in (*resources.requests, *resources.limits) if "/" in name}
    return any(f"Insufficient {name}" in words for name in asked)


def goes_one_by_one(service: InferenceService, seen: Seen, target: Target) -> bool:
    """A rolling update whose surge does not fit goes on without one, to its end; the next one surges again if it can."""
    servers = seen.servers
    if servers is None or children.replicas(service) == 0 or _is_over(service, seen, target):
        return False
    if servers.one_by_one:
        return True
    stuck = seen.diagnosis is not None and seen.diagnosis.reason == "Unschedulable"
    return stuck and seen.diagnosis is not None and servers.ready > 0 and does_not_fit(service, seen.diagnosis.message)


def words(narrow: bool) -> str:
    """To be added to what is said of the update."""
    if not narrow:
        return ""
    return " A new server does not fit beside the old ones, so they are replaced one by one: each goes before its successor comes."


def _is_over(service: InferenceService, seen: Seen, target: Target) -> bool:
    servers = seen.servers
    assert servers is not None, "asked before"
    current = bool(servers.inputs) and names.digest(dict(children.inputs(service, target, seen.settings))).startswith(
        servers.inputs
    )
    counts = {servers.replicas, servers.existing, servers.updated, servers.ready}
    return current and servers.settled and counts == {scaling.wanted(service, servers.replicas)}

"""The children of a service before there is a version: `flywheel test` validates them against the API server."""

from collections.abc import Iterable
from dataclasses import replace

from flywheel.core.resource.model_reference import ResolvedVersion
from flywheel.core.resource.plan import Child
from flywheel.core.settings import Settings
from flywheel.kinds.inferenceservice.decide import decide
from flywheel.kinds.inferenceservice.observe import Seen
from flywheel.kinds.inferenceservice.schema import InferenceService


def preview(service: InferenceService, settings: Settings) -> Iterable[Child]:
    """The children of the first pass once the version exists."""
    target = ResolvedVersion(service.spec.version or "placeholder", f"sha256:{'0' * 64}")
    running = service.spec.model_copy(update={"suspend": False})
    plan = decide(replace(service, spec=running), Seen(now=service.created, settings=settings, version=target))
    return tuple(child for child in plan.children or () if isinstance(child, Child))

"""A service as it will be, whatever the model: for `flywheel test`, which asks the API server about it before there is a version."""

from collections.abc import Iterable
from dataclasses import replace

from flywheel.core.resource.model_reference import Target
from flywheel.core.resource.plan import Child
from flywheel.core.settings import Settings
from flywheel.kinds.inferenceservice.decide import decide
from flywheel.kinds.inferenceservice.observe import Seen
from flywheel.kinds.inferenceservice.schema import InferenceService


def preview(service: InferenceService, settings: Settings) -> Iterable[Child]:
    """What the first look makes where its version is there."""
    target = Target(service.spec.version or "stand-in", f"sha256:{'0' * 64}")
    awake = service.spec.model_copy(update={"suspend": False})
    plan = decide(replace(service, spec=awake), Seen(now=service.created, settings=settings, wanted=target))
    return tuple(child for child in plan.children or () if isinstance(child, Child))

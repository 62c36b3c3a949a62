"""What a Model becomes: for each change of champion, one Job that records it in the store."""

from datetime import timedelta
from typing import Any

from flywheel.core.pods.job import Step, step_job
from flywheel.core.resource import names
from flywheel.core.resource.kind import Resource
from flywheel.core.resource.plan import Child
from flywheel.core.resource.schema import Resources
from flywheel.core.settings import Settings
from flywheel.kinds.model.schema.spec import ModelSpec
from flywheel.kinds.model.schema.status import ModelStatus, Promotion

Model = Resource[ModelSpec, ModelStatus]

PROMOTE_TIMEOUT = timedelta(minutes=10)
DEFAULT_RESOURCES = Resources(requests={"cpu": "50m", "memory": "64Mi"})


def next_unrecorded(status: ModelStatus) -> Promotion | None:
    """The oldest promotion that has no audit record yet. Those from before there were audit records have no number."""
    recorded = (status.audit.recorded if status.audit else None) or 0
    return next((each for each in status.history if each.number is not None and each.number > recorded), None)


def audit_attempt(status: ModelStatus) -> int:
    """The attempt to record it that runs or comes next."""
    return ((status.audit.attempts if status.audit else None) or 0) + 1


def promote_step(promotion: Promotion) -> str:
    """The name of the step, which no other promotion has, even where a status was lost and counts anew."""
    return f"promote-{names.digest([promotion.version, str(promotion.digest), promotion.since.isoformat()])[:8]}"


def promote_job(model: Model, promotion: Promotion, number: int, settings: Settings) -> Child:
    """The Job of one attempt: collect writes the record and then the champion's pointer (images/README.md, "The audit records")."""
    recorded = promotion.model_dump(mode="json", by_alias=True, exclude_none=True)
    entry: dict[str, Any] = {"event": "Promoted", **{key: value for key, value in recorded.items() if key != "number"}}
    champion = {key: recorded[key] for key in ("version", "digest", "since") if key in recorded}
    step = Step(
        name=promote_step(promotion),
        attempt=number,
        image=settings.runtime_image,
        command=("python3", "-m", "flywheel_runtime", "promote"),
        params={"reigns": [recorded]},
        timeout=PROMOTE_TIMEOUT,
        resources=DEFAULT_RESOURCES,
        audit={"model": model.name, "entries": [entry], "champion": champion},
    )
    return step_job(model, step, settings)

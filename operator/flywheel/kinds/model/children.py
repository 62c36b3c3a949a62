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
from flywheel.kinds.model.schema.status import ModelStatus, Reign

Model = Resource[ModelSpec, ModelStatus]

PROMOTE_TIMEOUT = timedelta(minutes=10)
DEFAULT_RESOURCES = Resources(requests={"cpu": "50m", "memory": "64Mi"})


def next_unaudited(status: ModelStatus) -> Reign | None:
    """The oldest change of champion that is not in the store's records yet. Those from before there were records have no number."""
    done = (status.audit.recorded if status.audit else None) or 0
    return next((reign for reign in status.history if reign.number is not None and reign.number > done), None)


def audit_attempt(status: ModelStatus) -> int:
    """Which attempt to record it runs or comes next."""
    return ((status.audit.attempts if status.audit else None) or 0) + 1


def promote_step(reign: Reign) -> str:
    """A name for the step that no other change of champion has, even where a status was lost and counts anew."""
    return f"promote-{names.digest([reign.version, str(reign.digest), reign.since.isoformat()])[:8]}"


def promote_job(model: Model, reign: Reign, number: int, settings: Settings) -> Child:
    """The Job of one attempt: collect writes the record and then the champion's pointer (images/README.md, "The audit records")."""
    told = reign.model_dump(mode="json", by_alias=True, exclude_none=True)
    entry: dict[str, Any] = {"event": "Promoted", **{key: value for key, value in told.items() if key != "number"}}
    champion = {key: told[key] for key in ("version", "digest", "since") if key in told}
    step = Step(
        name=promote_step(reign),
        attempt=number,
        image=settings.runtime_image,
        command=("python3", "-m", "flywheel_runtime", "promote"),
        params={"reigns": [told]},
        timeout=PROMOTE_TIMEOUT,
        resources=DEFAULT_RESOURCES,
        audit={"model": model.name, "entries": [entry], "champion": champion},
    )
    return step_job(model, step, settings)

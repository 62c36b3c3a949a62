"""What a Model becomes: for each change of champion, and each one that was not made for a problem, one Job that records it in the store."""

from datetime import timedelta
from typing import Any

from flywheel.core.pods.job import Step, step_job
from flywheel.core.resource import names
from flywheel.core.resource.kind import Resource
from flywheel.core.resource.plan import Child
from flywheel.core.resource.schema import Resources
from flywheel.core.settings import Settings
from flywheel.kinds.model.schema.spec import ModelSpec
from flywheel.kinds.model.schema.status import Audit, ModelStatus, Promotion, ToleratedProblem

Model = Resource[ModelSpec, ModelStatus]

PROMOTE_TIMEOUT = timedelta(minutes=10)
DEFAULT_RESOURCES = Resources(requests={"cpu": "50m", "memory": "64Mi"})


def next_unrecorded(status: ModelStatus) -> Promotion | ToleratedProblem | None:
    """The oldest promotion that has no audit record yet, else the oldest problem that was tolerated and has none.

    Promotions from before there were audit records have no number.
    """
    audit = status.audit or Audit()
    promotions = (each for each in status.history if each.number is not None and each.number > (audit.recorded or 0))
    problems = (each for each in status.tolerated if each.number > (audit.recorded_problems or 0))
    return next(promotions, None) or next(problems, None)


def audit_attempt(status: ModelStatus) -> int:
    """The attempt to record it that runs or comes next."""
    return ((status.audit.attempts if status.audit else None) or 0) + 1


def promote_step(decided: Promotion | ToleratedProblem) -> str:
    """The name of the step, which no other promotion or problem has, even where a status was lost and counts anew."""
    if isinstance(decided, ToleratedProblem):
        facts = [decided.version, decided.monitor, decided.kind, decided.since.isoformat(), decided.reason]
        return f"tolerate-{names.digest(facts)[:8]}"
    promotion = decided
    return f"promote-{names.digest([promotion.version, str(promotion.digest), promotion.since.isoformat()])[:8]}"


def promote_job(model: Model, decided: Promotion | ToleratedProblem, number: int, settings: Settings) -> Child:
    """The Job of one attempt: collect writes the record and then the champion's pointer (images/README.md, "The audit records").

    A problem that was tolerated changes no champion, so that the pointer stays.
    """
    recorded = decided.model_dump(mode="json", by_alias=True, exclude_none=True)
    event = "Promoted" if isinstance(decided, Promotion) else "NotRolledBack"
    entry: dict[str, Any] = {"event": event, **{key: value for key, value in recorded.items() if key != "number"}}
    champion = {key: recorded[key] for key in ("version", "digest", "since") if key in recorded}
    step = Step(
        name=promote_step(decided),
        attempt=number,
        image=settings.runtime_image,
        command=("python3", "-m", "flywheel_runtime", "promote"),
        params={"reigns": [recorded]},
        timeout=PROMOTE_TIMEOUT,
        resources=DEFAULT_RESOURCES,
        audit={
            "model": model.name,
            "entries": [entry],
            "champion": champion if isinstance(decided, Promotion) else None,
        },
    )
    return step_job(model, step, settings)

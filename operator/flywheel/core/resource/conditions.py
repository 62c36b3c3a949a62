"""From a plan and the conditions of yesterday to the conditions of today."""

from datetime import datetime

from flywheel.core.resource.api import Manifest
from flywheel.core.resource.plan import Plan
from flywheel.core.resource.schema import Condition

READY, SUCCEEDED, RECONCILING, STALLED = "Ready", "Succeeded", "Reconciling", "Stalled"
MAX_MESSAGE_LENGTH = 1024


def find_condition(resource: Manifest, type_: str = READY) -> Manifest:
    """One condition of a resource as the API server has it, or an empty object."""
    listed = (resource.get("status") or {}).get("conditions") or ()
    return next((each for each in listed if each["type"] == type_), {})


def is_ready(resource: Manifest) -> bool:
    """Whether the spec as it is now was judged Ready."""
    ready = find_condition(resource)
    return ready.get("status") == "True" and ready.get("observedGeneration") == resource["metadata"].get("generation")


def updated_conditions(
    plan: Plan, old: tuple[Condition, ...], generation: int, now: datetime, *, bounded: bool
) -> tuple[Condition, ...]:
    """Ready always, Succeeded for bounded kinds, Reconciling and Stalled only while they are true (kstatus' abnormal-true).

    `lastTransitionTime` moves only when a status changes, so that writing the conditions twice writes nothing.
    """
    known = {condition.type: condition for condition in old}

    def judged(kind: str, value: bool | None) -> Condition:
        status = {True: "True", False: "False", None: "Unknown"}[value]
        before = known.get(kind)
        since = (
            before.last_transition_time
            if before is not None and before.status == status and before.last_transition_time.year > 1970
            else now
        )
        return Condition.model_validate(
            {
                "type": kind,
                "status": status,
                "reason": plan.reason,
                "message": plan.message[:MAX_MESSAGE_LENGTH],
                "last_transition_time": since.replace(microsecond=0),
                "observed_generation": generation,
            }
        )

    progressing = plan.progressing if plan.progressing is not None else not plan.ready and not plan.stalled
    today = [judged(READY, plan.ready)]
    if bounded:
        today.append(judged(SUCCEEDED, plan.succeeded))
    if progressing:
        today.append(judged(RECONCILING, True))
    if plan.stalled:
        today.append(judged(STALLED, True))
    return tuple(today)

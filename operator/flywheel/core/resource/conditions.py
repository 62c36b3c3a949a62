"""Conditions of resources: how they are read, and how a plan changes them."""

from datetime import datetime

from flywheel.core.resource.api import Manifest
from flywheel.core.resource.plan import KindCondition, Plan
from flywheel.core.resource.schema import Condition

READY, SUCCEEDED, RECONCILING, STALLED = "Ready", "Succeeded", "Reconciling", "Stalled"
COMMON_TYPES = (READY, SUCCEEDED, RECONCILING, STALLED)
MAX_MESSAGE_LENGTH = 1024


def find_condition(manifest: Manifest, type_: str = READY) -> Manifest:
    """Returns one condition of an object as the API server has it, or an empty mapping."""
    conditions = (manifest.get("status") or {}).get("conditions") or ()
    return next((each for each in conditions if each.get("type") == type_), {})


def is_true(manifest: Manifest, type_: str) -> bool:
    """Returns whether the object has this condition with status True."""
    return find_condition(manifest, type_).get("status") == "True"


def is_ready(resource: Manifest) -> bool:
    """Returns whether Ready is True for the current generation of the spec."""
    ready = find_condition(resource)
    return ready.get("status") == "True" and ready.get("observedGeneration") == resource["metadata"].get("generation")


def updated_conditions(
    plan: Plan, old: tuple[Condition, ...], generation: int, now: datetime, *, bounded: bool
) -> tuple[Condition, ...]:
    """Returns Ready always, Succeeded for bounded kinds, Reconciling and Stalled only while they are true (kstatus' abnormal-true), and
    then the conditions of the kind alone.

    `lastTransitionTime` moves only when a status changes, so that writing the conditions twice writes nothing.
    """
    progressing = plan.progressing if plan.progressing is not None else not plan.ready and not plan.stalled
    conditions = (
        (READY, plan.ready, True),
        (SUCCEEDED, plan.succeeded, bounded),
        (RECONCILING, True, progressing),
        (STALLED, True, plan.stalled),
    )
    common = (
        KindCondition(type_, value, plan.reason, plan.message) for type_, value, is_present in conditions if is_present
    )
    known = {condition.type: condition for condition in old}
    further = plan.conditions or ()
    unchanged = [each for each in old if each.type not in COMMON_TYPES] if plan.conditions is None else []
    return (*(_condition(each, known.get(each.type), generation, now) for each in (*common, *further)), *unchanged)


def _condition(new: KindCondition, before: Condition | None, generation: int, now: datetime) -> Condition:
    status = {True: "True", False: "False", None: "Unknown"}[new.status]
    since = now
    # The year 1970 is that of the CRD's default status, before the operator has reconciled the resource.
    if before is not None and before.status == status and before.last_transition_time.year > 1970:
        since = before.last_transition_time
    return Condition.model_validate(
        {
            "type": new.type,
            "status": status,
            "reason": new.reason,
            "message": new.message[:MAX_MESSAGE_LENGTH],
            "last_transition_time": since.replace(microsecond=0),
            "observed_generation": generation,
        }
    )

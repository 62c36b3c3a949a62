"""The status as it is written, and the event of its change."""

from datetime import datetime
from typing import Any

from flywheel.core.resource import conditions
from flywheel.core.resource.conditions import READY
from flywheel.core.resource.kind import AnyKind, AnyResource
from flywheel.core.resource.plan import Event, Plan
from flywheel.core.resource.schema import Condition, Status

MAX_SUMMARY_LENGTH = 256
NORMAL_REASONS = frozenset(("Pending", "Queued", "Suspended"))  # of any kind; Kind.normal_reasons has each kind's own


def complete_status(kind: AnyKind, resource: AnyResource, plan: Plan, now: datetime) -> Status:
    """Returns the plan's status with conditions, summary and observedGeneration."""
    updated = conditions.updated_conditions(
        plan, resource.status.conditions, resource.generation, now, bounded=kind.bounded
    )
    return plan.status.model_copy(
        update={
            "conditions": updated,
            "summary": plan.summary[:MAX_SUMMARY_LENGTH] or None,
            "observed_generation": resource.generation,
        }
    )


def to_json(status: Status) -> dict[str, Any]:
    """Returns the status as JSON without absent fields, since server-side apply would own a null."""
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


def needs_write(new: dict[str, Any], live: dict[str, Any]) -> bool:
    """Returns whether the status must be written. Empty lists and maps equal absent ones, so that a field of a new release writes nothing."""
    return bool(without_empty(new) != without_empty(live))


def without_empty(value: Any) -> Any:
    """Returns a part of a status without empty lists and maps, however deep."""
    if isinstance(value, list):
        return [without_empty(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {key: without_empty(each) for key, each in value.items() if each not in ({}, [], None)}


def ready_events(
    kind: AnyKind, old: tuple[Condition, ...], new: tuple[Condition, ...], plan: Plan
) -> tuple[Event, ...]:
    """Returns an event if Ready or its reason changed: a Warning for each failure, and where Ready was lost."""
    before = next((each for each in old if each.type == READY), None)
    after = next(each for each in new if each.type == READY)
    if before is not None and (before.status, before.reason) == (after.status, after.reason):
        return ()
    if any((each.reason, each.message) == (after.reason, after.message) for each in plan.events):
        return ()  # the plan has this event itself
    was_lost = after.status != "True" and before is not None and before.status == "True"
    failed = plan.stalled or after.reason not in NORMAL_REASONS | kind.normal_reasons
    return (Event(after.reason, after.message or after.reason, "Warning" if failed or was_lost else "Normal"),)

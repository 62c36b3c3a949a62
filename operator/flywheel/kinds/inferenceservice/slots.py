"""The two slots of servers, a and b.

Slot a has the names and labels that a service without rollouts uses for its only Deployment.
"""

from dataclasses import dataclass
from typing import Literal

from flywheel.core.resource import names
from flywheel.core.resource.api import GROUP, Manifest
from flywheel.core.resource.kind import AnyResource
from flywheel.core.resource.names import JOB_LABEL
from flywheel.core.resource.ownership import controller_of
from flywheel.core.resource.plan import Child, ExistingChild

Slot = Literal["a", "b"]
ROLE_LABEL = f"{GROUP}/role"
ROLES: dict[Slot, str] = {"a": "server", "b": "server-b"}


def other_slot(slot: Slot) -> Slot:
    """The slot for a challenger of that slot's servers."""
    return "b" if slot == "a" else "a"


def slot_labels(service: AnyResource, slot: Slot = "a") -> dict[str, str]:
    """The labels that select a slot's servers; they never change, since a Deployment's selector cannot."""
    return {names.UID_LABEL: service.uid, ROLE_LABEL: ROLES[slot]}


def deployment_name(service: AnyResource, slot: Slot) -> str:
    """The Deployment of a slot."""
    return names.child(service) if slot == "a" else names.child(service, "slot-b")


def route_name(service: AnyResource, slot: Slot = "a") -> str:
    """The ConfigMap with the route of a slot's servers; each slot has its own, since a challenger must not forward to itself."""
    return names.child(service, "route" if slot == "a" else "slot-b-route")


def slot_service_name(service: AnyResource, slot: Slot) -> str:
    """The Service of one slot's ready servers, to which the other slot forwards."""
    return names.child(service, f"slot-{slot}")


def headless_service_name(service: AnyResource, slot: Slot) -> str:
    """The headless Service of one slot, whose addresses are its pods'."""
    return names.child(service, f"slot-{slot}-pods")


def is_owned(service: AnyResource, manifest: Manifest) -> bool:
    """Whether the service owns the object; one of another owner is ignored, and the engine reports NameTaken."""
    return bool(controller_of(manifest).get("uid") == service.uid)


def slot_of(manifest: Manifest) -> Slot | None:
    """The slot that an object's labels name; None for a Job's pod."""
    labels = manifest["metadata"].get("labels") or {}
    if JOB_LABEL in labels:
        return None
    found: Slot = "b" if labels.get(ROLE_LABEL) == ROLES["b"] else "a"
    return found


def selected_slot(front: Manifest) -> Slot:
    """The slot that the front Service selects."""
    selected = (front.get("spec") or {}).get("selector") or {}
    return "b" if selected.get(ROLE_LABEL) == ROLES["b"] else "a"


@dataclass(frozen=True)
class Layout:
    """Which slot has what: the active one, which the front Service selects, and what a rollout adds.

    `both_slots`: servers run in both slots, or in the second. `one_by_one`: an old server stops before a new one starts.
    `running`: the active Deployment's own number of servers; `autoscaled`: an autoscaler sets it, as long as it exists.
    """

    active: Slot = "a"
    both_slots: bool = False
    one_by_one: bool = False
    rollout_children: tuple[Child | ExistingChild, ...] = ()
    running: int = 0
    autoscaled: bool = False

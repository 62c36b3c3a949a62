"""Two places in which servers can stand. The first is called and labelled as the only one of a service without rollouts."""

from dataclasses import dataclass
from typing import Literal

from flywheel.core.pods.pod_spec import JOB_LABEL
from flywheel.core.resource import names
from flywheel.core.resource.api import GROUP, Manifest
from flywheel.core.resource.kind import AnyResource
from flywheel.core.resource.plan import Child, Kept

Slot = Literal["a", "b"]
ROLE_LABEL = f"{GROUP}/role"
ROLES: dict[Slot, str] = {"a": "server", "b": "server-b"}


def other(slot: Slot) -> Slot:
    """Where a challenger of that slot's servers stands."""
    return "b" if slot == "a" else "a"


def selector(service: AnyResource, slot: Slot = "a") -> dict[str, str]:
    """The labels by which a slot's servers are found. A Deployment can never change its selector, so these stay as they are."""
    return {names.UID_LABEL: service.uid, ROLE_LABEL: ROLES[slot]}


def deployment_name(service: AnyResource, slot: Slot) -> str:
    """The Deployment of a slot."""
    return names.child(service) if slot == "a" else names.child(service, "slot-b")


def route_name(service: AnyResource, slot: Slot = "a") -> str:
    """The ConfigMap that tells a slot's servers to share their work. One for each slot: a challenger must not share with itself."""
    return names.child(service, "route" if slot == "a" else "slot-b-route")


def host_name(service: AnyResource, slot: Slot) -> str:
    """The Service of one slot alone, ready servers only: whom a champion forwards to."""
    return names.child(service, f"slot-{slot}")


def pods_name(service: AnyResource, slot: Slot) -> str:
    """The headless Service of one slot: its addresses are its pods'."""
    return names.child(service, f"slot-{slot}-pods")


def slot_of(manifest: Manifest) -> Slot | None:
    """The slot that an object's labels name. None for a Job's pod."""
    labels = manifest["metadata"].get("labels") or {}
    if JOB_LABEL in labels:
        return None
    found: Slot = "b" if labels.get(ROLE_LABEL) == ROLES["b"] else "a"
    return found


def pointed_at(front: Manifest) -> Slot:
    """The slot that the front Service leads to."""
    selected = (front.get("spec") or {}).get("selector") or {}
    return "b" if selected.get(ROLE_LABEL) == ROLES["b"] else "a"


@dataclass(frozen=True)
class Arrangement:
    """What stands where: the slot that the front Service leads to, and what a rollout adds.

    `both`: servers stand in both slots, or in the second. `one_by_one`: an old server goes before a new one comes.
    `running`: how many servers the active slot's Deployment is told to run; `autoscaled`: an autoscaler decides that, as long as it is there.
    """

    active: Slot = "a"
    both: bool = False
    one_by_one: bool = False
    more: tuple[Child | Kept, ...] = ()
    running: int = 0
    autoscaled: bool = False


PLAIN = Arrangement()

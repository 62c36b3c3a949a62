"""What a decision says: the children that should exist, what is true of the resource, and when to look again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from flywheel.core.resource.api import Api, Manifest, Reference
from flywheel.core.resource.schema import Status


@dataclass(frozen=True)
class Child:
    """An object that should exist.

    `manifest` needs apiVersion, kind, metadata.name and the wanted fields; the engine adds the namespace, our labels and the owner reference.
    `inputs` freezes a pod template: it is written anew only when these inputs change, so that a new operator, which may render
    other bytes from the same inputs, restarts nothing. None: the manifest is always compared.
    `shared_fields` names fields of `spec` that are somebody else's to change, such as `replicas` under an autoscaler: set when the object is
    made, handed over with the value that they have, and left alone from then on.
    `create_only`: written once and never again (a Job cannot change; a ModelVersion is history).
    `owned`: dies with the resource. A Model made by an Experiment does not.
    """

    api: Api
    manifest: Manifest
    inputs: Mapping[str, Any] | None = None
    shared_fields: tuple[str, ...] = ()
    create_only: bool = False
    owned: bool = True

    @property
    def name(self) -> str:
        """The child's own name."""
        return str(self.manifest["metadata"]["name"])


@dataclass(frozen=True)
class ExistingChild:
    """A child that should stay as it is if it exists, and not be made if it does not: a Job that still runs."""

    api: Api
    name: str


@dataclass(frozen=True)
class Removal:
    """An object that nobody owns and that should go: a ModelVersion beyond its Model's retention.
    Deleted only while it still has this uid and if `Kind.removes` has its type."""

    api: Api
    name: str
    uid: str


@dataclass(frozen=True)
class Patch:
    """A small mark on an object that is no child: annotations for a pod of our Deployment, whose kubelet should look again;
    or that it is `owned`, so that it goes with the resource, though its life is its own. What was marked before and is not now, is taken off.
    Written only while it still has this uid and if `Kind.patches` has its type."""

    api: Api
    name: str
    uid: str
    annotations: Mapping[str, str] = field(default_factory=dict)
    owned: bool = False


@dataclass(frozen=True)
class Event:
    """Something worth telling once, beyond the change of Ready, which the engine tells by itself."""

    reason: str
    message: str
    type: Literal["Normal", "Warning"] = "Normal"
    action: str = "Reconcile"


@dataclass(frozen=True)
class Plan:
    """One decision. `ready`: True, False, or None where it is not yet known.

    `children` is the whole set that should exist; owned children that are not in it are deleted. None leaves them all alone.
    `removals`: unowned objects to delete, after the children are applied.
    `patches`: objects to mark, after the children are applied.
    `completed_ticks` names ticks whose work has ended: Jobs of a CronJob with `managedBy: flywheel.ml/trigger`, whose status the engine
    writes Complete. They belong to the CronJob, so they are no children of the resource and are never pruned.
    `stalled`: nothing will happen until somebody changes the spec. Something missing is not stalled: it may be seconds away.
    `progressing`: overrides the condition Reconciling, which otherwise is "neither ready nor stalled".
    `succeeded`: for bounded kinds alone; None while undecided.
    `status`: the kind's own fields; conditions, summary and observedGeneration are the engine's to fill from the plan.
    """

    ready: bool | None
    reason: str
    message: str
    status: Status
    summary: str = ""
    children: tuple[Child | ExistingChild, ...] | None = None
    removals: tuple[Removal, ...] = ()
    patches: tuple[Patch, ...] = ()
    completed_ticks: tuple[Reference, ...] = ()
    stalled: bool = False
    progressing: bool | None = None
    succeeded: bool | None = None
    events: tuple[Event, ...] = ()
    requeue_after: timedelta | None = None

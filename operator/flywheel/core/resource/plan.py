"""What `decide` returns: the children that should exist, the state of the resource, and when it is reconciled again."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from typing import Any, Literal, Protocol

from flywheel.core.resource.api import JOB, Api, Manifest
from flywheel.core.resource.schema import Status


@dataclass(frozen=True)
class Child:
    """An object that should exist.

    `manifest` needs apiVersion, kind, metadata.name and the wanted fields; the engine adds the namespace, our labels and the owner reference.
    `inputs` pins a pod template: it changes only when these inputs do, so that a new operator, which may render other bytes from
    the same inputs, restarts nothing. None: the manifest is always compared.
    `shared_fields` names fields of `spec` that another controller changes, such as `replicas` under an autoscaler: they are set when
    the object is created, handed over with the value that they have, and left alone from then on.
    `create_only`: it is written once and never again, as a Job, which cannot change.
    `owned`: it is garbage collected with the resource. A Model that an Experiment created is not.
    """

    api: Api
    manifest: Manifest
    inputs: Mapping[str, Any] | None = None
    shared_fields: tuple[str, ...] = ()
    create_only: bool = False
    owned: bool = True

    @property
    def name(self) -> str:
        """The name of the object."""
        return str(self.manifest["metadata"]["name"])


@dataclass(frozen=True)
class ExistingChild:
    """A child that stays as it is if it exists, and is not created if it does not, such as a Job that still runs."""

    api: Api
    name: str


class SeenJob(Protocol):
    """A Job as a kind sees it."""

    @property
    def name(self) -> str:
        """The name of the Job."""


def existing_job(job: SeenJob | None) -> tuple[ExistingChild, ...]:
    """The Job as a child that stays; none if there is none."""
    return (ExistingChild(JOB, job.name),) if job is not None else ()


@dataclass(frozen=True)
class Removal:
    """An unowned object to delete, such as a ModelVersion beyond its Model's retention. It is deleted only while it has this uid, and
    if `Kind.removes` has its type."""

    api: Api
    name: str
    uid: str


@dataclass(frozen=True)
class Patch:
    """A patch of an object that is no child: annotations, such as on a pod of a Deployment whose kubelet should update its volumes at once;
    or an owner reference, if it is `owned`, so that it is garbage collected with the resource. Server-side apply removes what an earlier
    patch had and this one has not. It is written only while the object has this uid, and if `Kind.patches` has its type."""

    api: Api
    name: str
    uid: str
    annotations: Mapping[str, str] = field(default_factory=dict)
    owned: bool = False


@dataclass(frozen=True)
class Event:
    """An event beside that of a changed Ready condition, which the engine records itself."""

    reason: str
    message: str
    type: Literal["Normal", "Warning"] = "Normal"
    action: str = "Reconcile"


@dataclass(frozen=True)
class KindCondition:
    """A condition that only one kind has, such as NoDrift. `status`: True, False, or None where it is not known."""

    type: str
    status: bool | None
    reason: str
    message: str


@dataclass(frozen=True, kw_only=True)
class PlanBasics:
    """What a rule decides for a whole plan. `ready`: True, False, or None where it is not yet known.

    `removals`: unowned objects to delete, after the children are applied.
    `stalled`: nothing will happen until the spec changes. A resource that waits for another one is not stalled.
    `progressing`: overrides the condition Reconciling, which otherwise means "neither ready nor stalled".
    `succeeded`: for bounded kinds alone; None while undecided.
    """

    ready: bool | None
    reason: str
    message: str
    summary: str = ""
    removals: tuple[Removal, ...] = ()
    stalled: bool = False
    progressing: bool | None = None
    succeeded: bool | None = None
    events: tuple[Event, ...] = ()
    requeue_after: timedelta | None = None


@dataclass(frozen=True, kw_only=True)
class Plan(PlanBasics):
    """One plan.

    `children` are all that should exist; owned children that are not among them are deleted. None changes no child.
    `patches`: unowned objects to patch, after the children are applied.
    `completed_ticks` names ticks whose work has ended: Jobs of a CronJob with `managedBy: flywheel.ml/trigger`, whose status the engine
    sets to Complete. They belong to the CronJob, so they are no children of the resource and are never pruned.
    `status`: the kind's own fields; the engine sets conditions, summary and observedGeneration from the plan.
    `conditions`: all conditions that only this kind has. None leaves those that the resource has as they are.
    """

    status: Status
    conditions: tuple[KindCondition, ...] | None = None
    children: tuple[Child | ExistingChild, ...] | None = None
    patches: tuple[Patch, ...] = ()
    completed_ticks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Decision(PlanBasics):
    """What one rule says of a resource. A kind's `decide` asks its rules in turn, and completes the first that applies to a plan.

    `children` are those of this rule alone, such as the Job that it starts. `summary` is that of a rule which has its own: it counts where
    the kind gives none, and a kind may make it part of its own.
    """

    children: tuple[Child | ExistingChild, ...] = ()

    def extend(
        self,
        *,
        message: str = "",
        children: tuple[Child | ExistingChild, ...] = (),
        events: tuple[Event, ...] = (),
        requeue_after: timedelta | None = None,
    ) -> "Decision":
        """Returns the decision with what something beside the rule adds. `requeue_after` replaces that of the rule."""
        return replace(
            self,
            message=f"{self.message} {message}".rstrip(),
            children=(*self.children, *children),
            events=(*self.events, *events),
            requeue_after=requeue_after or self.requeue_after,
        )

    def plan(
        self,
        status: Status,
        *,
        summary: str = "",
        children: tuple[Child | ExistingChild, ...] | None = (),
        patches: tuple[Patch, ...] = (),
        completed_ticks: tuple[str, ...] = (),
        conditions: tuple[KindCondition, ...] | None = None,
    ) -> Plan:
        """Returns the Plan: this decision, and what the kind adds to it.

        `children` are added to the rule's own; None leaves every child of the resource alone. `summary` replaces the rule's own.

        Raises:
            ValueError: the rule has children, and `children` is None, so that those of the rule would be lost.
        """
        if children is None and self.children:
            raise ValueError(f"decision {self.reason} has children of its own, but the plan leaves every child alone")
        return Plan(
            **{field.name: getattr(self, field.name) for field in fields(PlanBasics) if field.name != "summary"},
            summary=summary or self.summary,
            status=status,
            children=None if children is None else (*self.children, *children),
            patches=patches,
            completed_ticks=completed_ticks,
            conditions=conditions,
        )

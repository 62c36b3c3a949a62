"""A resource kind as data, a resource as typed values, and the window through which `observe` sees the cluster."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from flywheel.core.resource.api import Api, Manifest, Reference
from flywheel.core.resource.plan import Child, Plan
from flywheel.core.resource.schema import Schema, Status
from flywheel.core.settings import Settings

S = TypeVar("S", bound=Schema)
T = TypeVar("T", bound=Status)
F = TypeVar("F")


@dataclass(frozen=True)
class Resource(Generic[S, T]):
    """One of our custom resources, parsed. `status` is what we last wrote (empty at first)."""

    api: Api
    name: str
    namespace: str
    uid: str
    generation: int
    created: datetime
    spec: S
    status: T
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def reference(self) -> Reference:
        """Its address."""
        return Reference(self.api, self.namespace, self.name)


class Cluster(Protocol):
    """All that `observe` may read. Everything but `events`, `queued` and `serves` comes from the store, so it costs no request."""

    @property
    def now(self) -> datetime:
        """The time of this look, in UTC."""

    @property
    def settings(self) -> Settings:
        """The installation's settings."""

    def get(self, reference: Reference) -> Manifest | None:
        """One of our own resources or of their children, or None."""

    def children(self, uid: str, api: Api) -> tuple[Manifest, ...]:
        """Objects of that type that carry the label `flywheel.ml/uid` of this owner, by name: its Jobs, and the pods of its Jobs."""

    def referrers(self, api: Api, to: Reference) -> tuple[Manifest, ...]:
        """Our resources of that kind whose `Kind.references` names `to`, by name: the ModelVersions of a Model."""

    def serves(self, group: str) -> bool:
        """Whether the API server knows an API group, such as custom.metrics.k8s.io; asked anew once a minute."""

    def events(self, namespace: str, uid: str) -> tuple[Manifest, ...]:
        """Kubernetes' events about one object, newest last. A live request: ask only for an object that does not run."""

    def kueue_workloads(self, job: Manifest) -> tuple[Manifest, ...]:
        """Kueue's Workloads of one Job. A live request: ask only where `serves("kueue.x-k8s.io")`, for a Job that waits."""


@dataclass(frozen=True)
class Kind(Generic[S, T, F]):
    """A kind, whole. The engine knows no more of it than this.

    `references` names the resources that this one depends on or belongs to. A change on either side wakes the other.
    `owns` are the types of its children (prune looks among them); `makes` are our own kinds that it creates and does not own,
    `removes` those that its plans may delete (`Plan.removals`), `patches` those that they may mark (`Plan.patches`).
    `rules` are CEL rules on the root of the object; `selectable` are JSON paths usable in field selectors.
    `preview` gives all children that a resource will have over its life, with stand-ins for what is not known yet, for
    `flywheel test`; a kind whose first plan has them all needs none. It raises ValueError with a sentence where they cannot be.
    """

    api: Api
    short_name: str
    description: str
    spec: type[S]
    status: type[T]
    observe: Callable[[Resource[S, T], Cluster], F]
    decide: Callable[[Resource[S, T], F], Plan]
    owns: tuple[Api, ...] = ()
    makes: tuple[Api, ...] = ()
    removes: tuple[Api, ...] = ()
    patches: tuple[Api, ...] = ()
    references: Callable[[Resource[S, T]], Iterable[Reference]] = lambda _resource: ()
    bounded: bool = False
    rules: tuple[Mapping[str, Any], ...] = ()
    selectable: tuple[str, ...] = ()
    scale: Mapping[str, str] | None = None
    preview: Callable[[Resource[S, T], Settings], Iterable[Child]] | None = None

    @property
    def field_manager(self) -> str:
        """The name under which the API server records our fields: one for each kind."""
        return f"flywheel-{self.api.kind.lower()}"


AnyKind = Kind[Any, Any, Any]
AnyResource = Resource[Any, Any]

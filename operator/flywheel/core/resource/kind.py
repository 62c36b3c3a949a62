"""A resource kind as data, a typed resource, and the cluster as `observe` reads it."""

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
    """A parsed custom resource. `status` is what the operator wrote last, empty at first."""

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
        """Where it is."""
        return Reference(self.api, self.namespace, self.name)

    def read_request(self, annotation: str) -> str | None:
        """The value of an annotation that requests a run, of at most 256 characters; None without one."""
        return self.annotations.get(annotation, "")[:256] or None


class Cluster(Protocol):
    """All that `observe` may read. All but `events`, `kueue_workloads` and `serves` are read from the cache, without a request."""

    @property
    def now(self) -> datetime:
        """The time of this reconciliation, in UTC and in whole seconds, as the API server stores times."""

    @property
    def settings(self) -> Settings:
        """The installation's settings."""

    def get(self, reference: Reference) -> Manifest | None:
        """Returns a resource of Flywheel's kinds or one of their children, or None."""

    def children(self, uid: str, api: Api) -> tuple[Manifest, ...]:
        """Returns the objects of that type that the resource of that uid made, by name: its Jobs, and the pods of its Jobs."""

    def referrers(self, api: Api, to: Reference) -> tuple[Manifest, ...]:
        """Returns the resources of that kind whose `Kind.references` has `to`, by name: the ModelVersions of a Model."""

    def serves(self, group: str) -> bool:
        """Returns whether the API server has an API group, such as custom.metrics.k8s.io; cached for a minute."""

    def events(self, namespace: str, uid: str) -> tuple[Manifest, ...]:
        """Returns Kubernetes' events about one object, newest last. It makes a request, so call it rarely for an object that runs."""

    def kueue_workloads(self, job: Manifest) -> tuple[Manifest, ...]:
        """Returns Kueue's Workloads of one Job. It makes a request, so call it only for a Job that waits, where `serves(KUEUE)`."""


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What every `Seen` has: the time of the reconciliation, and the installation's settings."""

    now: datetime
    settings: Settings = field(default_factory=Settings)


def observe_basics(cluster: Cluster) -> dict[str, Any]:
    """Returns the fields of an Observation."""
    return {"now": cluster.now, "settings": cluster.settings}


@dataclass(frozen=True)
class HealthByReason:
    """Reasons of Ready for which the health that GitOps tools show is not what the conditions say. Each field is a health of Argo CD.

    `healthy`: it is as Git wishes, and not Ready since something outside Git is missing. `suspended`: it waits for a person.
    `degraded`: it is Ready with what was there before, and what Git wishes has failed.
    """

    healthy: tuple[str, ...] = ()
    suspended: tuple[str, ...] = ()
    degraded: tuple[str, ...] = ()


Sample = tuple[tuple[str, ...], float]  # values of a gauge's labels, and its value


@dataclass(frozen=True)
class Gauge:
    """A gauge of each resource of a kind, which `read` takes from its status. `labels` are those beside the resource's own."""

    name: str
    description: str
    labels: tuple[str, ...]
    read: Callable[[Any], Iterable[Sample]]


@dataclass(frozen=True)
class Kind(Generic[S, T, F]):
    """All that the engine knows of a kind.

    `references` returns the resources that this one depends on or belongs to. A change on either side reconciles the other.
    `owns` are the types of its children, which are pruned; `makes` are kinds of Flywheel that it creates and does not own,
    `removes` those that its plans may delete (`Plan.removals`), `patches` those that they may patch (`Plan.patches`).
    `rules` are CEL rules on the root of the object; `selectable` are JSON paths usable in field selectors.
    `normal_reasons` are the reasons of Ready that report progress, success or a user's wish; every other one is a failure, whose event is a
    Warning. `health` has those for which GitOps tools show another health than the conditions say.
    `gauges` are exported for each resource. `preview` returns all children that a resource will have over its life, with placeholders for what is not known yet, for
    `flywheel test`; a kind whose first plan has them all needs none. It raises ValueError with a sentence where there can be none.
    """

    api: Api
    short_name: str
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
    normal_reasons: frozenset[str] = frozenset()
    health: HealthByReason = HealthByReason()
    gauges: tuple[Gauge, ...] = ()
    preview: Callable[[Resource[S, T], Settings], Iterable[Child]] | None = None

    @property
    def description(self) -> str:
        """What the kind is for: the docstring of its spec."""
        return str(self.spec.__doc__)

    @property
    def field_manager(self) -> str:
        """The field manager of the kind's writes."""
        return f"flywheel-{self.api.kind.lower()}"


AnyKind = Kind[Any, Any, Any]
AnyResource = Resource[Any, Any]

"""The cluster as `observe` sees it before anything was made: the manifests that are tested, and around them what is there already."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from flywheel.cluster.client import Client
from flywheel.cluster.errors import ApiError
from flywheel.core.resource.api import Api, Manifest, Reference
from flywheel.core.resource.kind import AnyKind
from flywheel.core.resource.parse import InvalidSpec, parse_resource
from flywheel.core.settings import Settings


@dataclass(frozen=True)
class PreviewCluster:
    """Implements `flywheel.core.resource.kind.Cluster` with live requests. Nothing that is tested has children yet: `own` are their types."""

    client: Client
    kinds: Mapping[Api, AnyKind]
    tested: Mapping[Reference, Manifest]
    own: frozenset[Api]
    settings: Settings
    now: datetime

    def get(self, reference: Reference) -> Manifest | None:
        """See Cluster. Children are not there, whatever an earlier life of the resource left; nor is what the user may not see."""
        if reference in self.tested:
            return self.tested[reference]
        if reference.api in self.own:
            return None
        try:
            return self.client.get(reference)
        except ApiError as error:
            if error.forbidden:
                return None
            raise

    def children(self, uid: str, api: Api) -> tuple[Manifest, ...]:
        """See Cluster."""
        del uid, api
        return ()

    def referrers(self, api: Api, to: Reference) -> tuple[Manifest, ...]:
        """See Cluster."""
        there = {
            Reference(api, to.namespace, str(each["metadata"]["name"])): each
            for each in self._listed(api, to.namespace)
        }
        there |= {reference: each for reference, each in self.tested.items() if reference.api == api}
        return tuple(there[each] for each in sorted(there) if to in self._references(api, there[each]))

    def serves(self, group: str) -> bool:
        """See Cluster."""
        return self.client.serves(group)

    def events(self, namespace: str, uid: str) -> tuple[Manifest, ...]:
        """See Cluster."""
        del namespace, uid
        return ()

    def kueue_workloads(self, job: Manifest) -> tuple[Manifest, ...]:
        """See Cluster."""
        del job
        return ()

    def _listed(self, api: Api, namespace: str) -> Iterable[Manifest]:
        try:
            return self.client.list_objects(api, namespace)
        except ApiError as error:
            if error.not_found:
                return ()
            raise

    def _references(self, api: Api, manifest: Manifest) -> set[Reference]:
        kind = self.kinds[api]
        try:
            return set(kind.references(parse_resource(kind, manifest)))
        except InvalidSpec:
            return set()

"""The cluster as `observe` would see it: the manifests that are tested, and what exists already."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from flywheel.cluster.client import Client
from flywheel.cluster.errors import ApiError
from flywheel.core.resource.api import Api, Manifest, Reference
from flywheel.core.resource.kind import AnyKind
from flywheel.core.resource.parse import find_references
from flywheel.core.settings import Settings


@dataclass(frozen=True)
class PreviewCluster:
    """Implements `flywheel.core.resource.kind.Cluster` with live requests. What is tested has no children yet; `child_apis` are their types."""

    client: Client
    kinds: Mapping[Api, AnyKind]
    tested: Mapping[Reference, Manifest]
    child_apis: frozenset[Api]
    settings: Settings
    now: datetime

    def get(self, reference: Reference) -> Manifest | None:
        """Finds neither children, whatever an earlier run left, nor what the user may not read."""
        if reference in self.tested:
            return self.tested[reference]
        if reference.api in self.child_apis:
            return None
        try:
            return self.client.get(reference)
        except ApiError as error:
            if error.forbidden:
                return None
            raise

    def children(self, uid: str, api: Api) -> tuple[Manifest, ...]:
        return ()

    def referrers(self, api: Api, to: Reference) -> tuple[Manifest, ...]:
        listed, kind = self.client.list_objects(api, to.namespace), self.kinds[api]
        found = {Reference(api, to.namespace, str(each["metadata"]["name"])): each for each in listed}
        found |= {reference: each for reference, each in self.tested.items() if reference.api == api}
        return tuple(found[each] for each in sorted(found) if to in find_references(kind, found[each]))

    def serves(self, group: str) -> bool:
        return self.client.serves(group)

    def events(self, namespace: str, uid: str) -> tuple[Manifest, ...]:
        return ()

    def kueue_workloads(self, job: Manifest) -> tuple[Manifest, ...]:
        return ()

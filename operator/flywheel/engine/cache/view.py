"""The cluster as `observe` sees it."""

from dataclasses import dataclass
from datetime import datetime

from flywheel.cluster.client import Client
from flywheel.core.resource.api import Api, Manifest, Reference
from flywheel.core.settings import Settings
from flywheel.engine.cache.store import Store


@dataclass(frozen=True)
class ClusterView:
    """Implements `flywheel.core.resource.kind.Cluster` on the store. Each reconciliation has its own, so that `now` is constant during it.

    The methods that make a request (see Cluster) raise ApiError where it fails.
    """

    store: Store
    client: Client
    settings: Settings
    now: datetime

    def get(self, reference: Reference) -> Manifest | None:
        return self.store.get(reference)

    def children(self, uid: str, api: Api) -> tuple[Manifest, ...]:
        return self.store.children(uid, api)

    def referrers(self, api: Api, to: Reference) -> tuple[Manifest, ...]:
        return self.store.referrers(api, to)

    def serves(self, group: str) -> bool:
        return self.client.serves(group)

    def events(self, namespace: str, uid: str) -> tuple[Manifest, ...]:
        return tuple(self.client.list_events(namespace, uid))

    def kueue_workloads(self, job: Manifest) -> tuple[Manifest, ...]:
        metadata = job["metadata"]
        return tuple(self.client.list_kueue_workloads(metadata["namespace"], metadata["uid"]))

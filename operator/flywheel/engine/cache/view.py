"""The cluster as `observe` sees it."""

from dataclasses import dataclass
from datetime import datetime

from flywheel.cluster.client import Client
from flywheel.core.resource.api import Api, Manifest, Reference
from flywheel.core.settings import Settings
from flywheel.engine.cache.store import Store


@dataclass(frozen=True)
class ClusterView:
    """Implements `flywheel.core.resource.kind.Cluster` on the store. Each reconciliation has its own, so that `now` is constant during it."""

    store: Store
    client: Client
    settings: Settings
    now: datetime

    def get(self, reference: Reference) -> Manifest | None:
        """See Cluster."""
        return self.store.get(reference)

    def children(self, uid: str, api: Api) -> tuple[Manifest, ...]:
        """See Cluster."""
        return self.store.children(uid, api)

    def referrers(self, api: Api, to: Reference) -> tuple[Manifest, ...]:
        """See Cluster."""
        return self.store.referrers(api, to)

    def serves(self, group: str) -> bool:
        """See Cluster.

        Raises:
            ApiError: the request failed.
        """
        return self.client.serves(group)

    def events(self, namespace: str, uid: str) -> tuple[Manifest, ...]:
        """See Cluster.

        Raises:
            ApiError: the request failed.
        """
        return tuple(self.client.list_events(namespace, uid))

    def kueue_workloads(self, job: Manifest) -> tuple[Manifest, ...]:
        """See Cluster.

        Raises:
            ApiError: the request failed.
        """
        metadata = job["metadata"]
        return tuple(self.client.list_kueue_workloads(metadata["namespace"], metadata["uid"]))

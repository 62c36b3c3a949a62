"""The window through which `observe` sees the cluster."""

from dataclasses import dataclass
from datetime import datetime

from flywheel.cluster.client import Client
from flywheel.core.resource.api import Api, Manifest, Reference
from flywheel.core.settings import Settings
from flywheel.engine.cache.store import Store


@dataclass(frozen=True)
class ClusterView:
    """Implements `flywheel.core.resource.kind.Cluster` on the store; one for each look, so that `now` stands still during it."""

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
        return tuple(self.client.events_about(namespace, uid))

    def kueue_workloads(self, job: Manifest) -> tuple[Manifest, ...]:
        """See Cluster.

        Raises:
            ApiError: the request failed.
        """
        metadata = job["metadata"]
        return tuple(self.client.workloads_of(metadata["namespace"], metadata["uid"]))

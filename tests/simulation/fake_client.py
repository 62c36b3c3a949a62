"""The operator's client, whose requests a FakeCluster answers."""

from collections.abc import Callable
from typing import Any

from flywheel.cluster.apply import MUST_BE_MISSING
from flywheel.cluster.client import Client
from flywheel.core.resource.api import EVENT, Api, Manifest, Reference
from tests.simulation.cluster import FakeCluster


class FakeClient(Client):
    """Calls `before_write` and `after_write` with a description of each write, such as `create Job orders-check-1`."""

    def __init__(
        self, cluster: FakeCluster, before_write: Callable[[str], None], after_write: Callable[[str], None]
    ) -> None:
        self._cluster = cluster
        self._before_write = before_write
        self._after_write = after_write

    def get(self, reference: Reference) -> Any:
        return self._cluster.get(reference)

    def apply(
        self,
        api: Api,
        manifest: Manifest,
        manager: str,
        subresource: str = "",
        *,
        dry_run: bool = False,
        force: bool = True,
    ) -> tuple[Any, bool]:
        if dry_run or not force:
            raise NotImplementedError("the engine makes no dry runs and takes the fields that it writes")
        metadata = manifest["metadata"]
        verb = subresource or ("create" if metadata.get("resourceVersion") == MUST_BE_MISSING else "update")
        write = f"{'event' if api == EVENT else verb} {api.kind} {metadata['name']}"
        self._before_write(write)
        stored = self._cluster.apply(api, manifest, manager, subresource)
        self._after_write(write)
        return stored

    def delete(self, reference: Reference, uid: str) -> Any:
        write = f"delete {reference.api.kind} {reference.name}"
        self._before_write(write)
        answer = self._cluster.delete(reference, uid)
        if answer is not None:
            self._after_write(write)
        return answer

    def list_events(self, namespace: str, uid: str) -> list[Manifest]:
        return list(self._cluster.events(namespace, uid))

    def serves(self, group: str) -> bool:
        return self._cluster.serves(group)

    def list_kueue_workloads(self, namespace: str, uid: str) -> list[Manifest]:
        return list(self._cluster.kueue_workloads({"metadata": {"namespace": namespace, "uid": uid}}))

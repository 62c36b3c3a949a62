"""The stores of the namespaces, and the bound of what all of them hold in memory."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from flywheel_reader.fair_slots import FairSlots
from flywheel_reader.store.artifacts import Artifacts
from flywheel_reader.store.bucket import Bucket
from flywheel_reader.store.credentials import Credentials
from flywheel_reader.store.manifests import ManifestCache
from flywheel_reader.tracking.log import TrackingLog

MAX_INDEX_BYTES = 30 << 20  # of the records that all namespaces hold: some 20,000 trials
MAX_STORES = 256  # a store takes memory before it has a record
MAX_LOADS = 2  # namespaces whose segments are read at a time


class NamespaceStore:
    """One namespace's folder: its objects, artifacts and records."""

    def __init__(
        self,
        bucket: Bucket,
        artifacts: Artifacts,
        max_index_bytes: int,
        loads: asyncio.Semaphore,
        after_refresh: Callable[[], None],
    ) -> None:
        self.bucket = bucket
        self.artifacts = artifacts
        self.log = TrackingLog(bucket, max_index_bytes, loads, after_refresh)


class Namespaces:
    """Stores by namespace, which are dropped when they are too many, or their records exceed the bound."""

    def __init__(self, credentials: Credentials, heavy: FairSlots, max_index_bytes: int = MAX_INDEX_BYTES) -> None:
        self._credentials = credentials
        self._heavy = heavy
        self._max_index_bytes = max_index_bytes
        self._loads = asyncio.Semaphore(MAX_LOADS)
        self._manifests = ManifestCache()
        self._stores: OrderedDict[str, NamespaceStore] = OrderedDict()  # the least recently used first

    def find(self, namespace: str) -> NamespaceStore | None:
        """The namespace's store, None if the reader has no key for it."""
        store = self._stores.get(namespace)
        if store is None:
            if not self._credentials.has_namespace(namespace):
                return None
            store = self._stores[namespace] = self._open(namespace)
        self._stores.move_to_end(namespace)
        self._drop_some()
        return store

    def indexed_records(self) -> int:
        """The number of records in memory."""
        return sum(len(store.log.index) for store in self._stores.values())

    def _open(self, namespace: str) -> NamespaceStore:
        bucket = Bucket(self._credentials, namespace)
        artifacts = Artifacts(bucket, self._manifests, self._heavy)
        return NamespaceStore(bucket, artifacts, self._max_index_bytes, self._loads, self._drop_some)

    def _drop_some(self) -> None:
        """Drops the least recently used of too many stores; of too many records, those of the namespace that has the most.

        That is never the one that is used now, and a namespace with few records reads them again only if all others have fewer.
        """
        while len(self._stores) > MAX_STORES:
            self._stores.popitem(last=False)
        while self._indexed_bytes() > self._max_index_bytes:
            *others, _ = self._stores.items()
            largest = max(others, key=lambda each: each[1].log.index.bytes, default=None)
            if largest is None or not largest[1].log.index.bytes:
                return
            del self._stores[largest[0]]

    def _indexed_bytes(self) -> int:
        return sum(store.log.index.bytes for store in self._stores.values())

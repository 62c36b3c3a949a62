"""The stores of the namespaces, and the bound of what all of them hold in memory."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from flywheel_reader.store.artifacts import Artifacts
from flywheel_reader.store.bucket import Bucket
from flywheel_reader.store.credentials import Credentials
from flywheel_reader.tracking.log import TrackingLog

MAX_INDEX_BYTES = 30 << 20  # of the records that all namespaces hold: some 20,000 trials
MAX_STORES = 256  # a store takes memory before it has a record
MAX_LOADS = 2  # namespaces whose segments are read at a time


class NamespaceStore:
    """One namespace's folder: its objects, artifacts and records."""

    def __init__(
        self,
        credentials: Credentials,
        namespace: str,
        max_index_bytes: int,
        loads: asyncio.Semaphore,
        after_refresh: Callable[[], None],
    ) -> None:
        self.bucket = Bucket(credentials, namespace)
        self.artifacts = Artifacts(self.bucket)
        self.log = TrackingLog(self.bucket, max_index_bytes, loads, after_refresh)


class Namespaces:
    """Stores by namespace. When they are too many, or their records exceed the bound, those of the least recently used namespace are dropped."""

    def __init__(self, credentials: Credentials, max_index_bytes: int = MAX_INDEX_BYTES) -> None:
        self._credentials = credentials
        self._max_index_bytes = max_index_bytes
        self._loads = asyncio.Semaphore(MAX_LOADS)
        self._stores: OrderedDict[str, NamespaceStore] = OrderedDict()

    def find(self, namespace: str) -> NamespaceStore | None:
        """The namespace's store, None if the reader has no key for it."""
        store = self._stores.get(namespace)
        if store is None:
            if not self._credentials.has_namespace(namespace):
                return None
            store = self._stores[namespace] = NamespaceStore(
                self._credentials, namespace, self._max_index_bytes, self._loads, self._drop_unused
            )
        self._stores.move_to_end(namespace)
        self._drop_unused()
        return store

    def indexed_records(self) -> int:
        """The number of records in memory."""
        return sum(len(store.log.index) for store in self._stores.values())

    def _drop_unused(self) -> None:
        while len(self._stores) > MAX_STORES or (
            len(self._stores) > 1
            and sum(store.log.index.bytes for store in self._stores.values()) > self._max_index_bytes
        ):
            self._stores.popitem(last=False)

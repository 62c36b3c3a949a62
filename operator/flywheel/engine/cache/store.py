"""What we know of the cluster: objects by address, found again by owner and by reference. Read and written from many threads."""

import json
import threading
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from flywheel.core.resource import names
from flywheel.core.resource.api import Api, Manifest, Reference
from flywheel.core.resource.kind import AnyKind
from flywheel.core.resource.parse import InvalidSpec, parse_resource

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
MAX_TOMBSTONES = 20_000


@dataclass(frozen=True, slots=True)
class _Entry:
    """An object as JSON: a tenth of the memory of its dicts, and no reader can change it for another."""

    uid: str
    version: int
    owner: str | None  # the label flywheel.ml/uid
    references: frozenset[Reference]
    json: bytes


@dataclass(frozen=True, slots=True)
class _Tombstone:
    """It is gone. `version` is that of the deletion; where we deleted it ourselves that is unknown and the uid alone tells."""

    version: int
    uid: str | None


class Store:
    """Objects of our kinds and of the types that they own.

    Own writes are visible at once (`wrote`), and what the watch still brings from before them is ignored.
    `woken` is told the addresses of our resources that a change may concern; from any thread, outside the lock.
    """

    def __init__(self, kinds: Sequence[AnyKind], woken: Callable[[set[Reference]], None]) -> None:
        self._kinds = {kind.api: kind for kind in kinds}
        self._woken = woken
        self._lock = threading.Lock()
        self._entries: dict[Reference, _Entry] = {}
        self._counts: Counter[Api] = Counter()  # each scrape asks for all of them
        self._tombstones: OrderedDict[Reference, _Tombstone] = OrderedDict()
        self._owned: dict[tuple[Api, str], set[Reference]] = defaultdict(set)
        self._referring: dict[tuple[Api, Reference], set[Reference]] = defaultdict(set)
        self._resources: dict[str, Reference] = {}  # by uid

    def saw(self, api: Api, manifest: Manifest) -> None:
        """The watch or a list shows the object so."""
        reference, entry = self._entry(api, manifest)
        self._put(reference, entry, late=lambda tomb: entry.version <= tomb.version or entry.uid == tomb.uid)

    def wrote(self, api: Api, manifest: Manifest) -> None:
        """The server answered a write or a get with this: it is there, whatever the watch has yet to tell of its past."""
        reference, entry = self._entry(api, manifest)
        self._put(reference, entry, late=lambda tomb: entry.version < tomb.version or entry.uid == tomb.uid)

    def gone(self, api: Api, manifest: Manifest) -> None:
        """The watch shows it deleted, or no longer under our labels."""
        reference, entry = self._entry(api, manifest)
        with self._lock:
            known = self._entries.get(reference)
            if known is not None and known.version > entry.version:
                return
            woken = self._remove(reference, _Tombstone(entry.version, None)) | self._concerned(reference, entry)
        self._woken(woken)

    def deleted(self, reference: Reference, uid: str) -> None:
        """We deleted it."""
        with self._lock:
            known = self._entries.get(reference)
            if known is None or known.uid != uid:
                return
            woken = self._remove(reference, _Tombstone(known.version, uid))
        self._woken(woken)

    def absent(self, reference: Reference, version: int) -> None:
        """A list taken at `version` does not have it: an event was lost. What is younger than the list stays."""
        with self._lock:
            known = self._entries.get(reference)
            if known is None or known.version > version:
                return
            woken = self._remove(reference, _Tombstone(version, None))
        self._woken(woken)

    def knows(self, reference: Reference, version: int = 0) -> bool:
        """Whether the object was seen, at that version or a later one, or seen gone."""
        with self._lock:
            known = self._entries.get(reference)
            tomb = self._tombstones.get(reference)
        return (known is not None and known.version >= version) or (tomb is not None and tomb.version >= version)

    def get(self, reference: Reference) -> dict[str, Any] | None:
        """The object, or None."""
        with self._lock:
            known = self._entries.get(reference)
        return None if known is None else json.loads(known.json)

    def children(self, uid: str, api: Api) -> tuple[dict[str, Any], ...]:
        """Objects of that type which carry the owner's uid as a label, by name."""
        return self._all(lambda: self._owned.get((api, uid), ()))

    def referrers(self, api: Api, to: Reference) -> tuple[dict[str, Any], ...]:
        """Resources of that kind which refer to `to`, by name."""
        return self._all(lambda: self._referring.get((api, to), ()))

    def addresses(self, api: Api) -> tuple[Reference, ...]:
        """Where objects of that type are."""
        with self._lock:
            return tuple(reference for reference in self._entries if reference.api == api)

    def count(self, api: Api | None = None) -> int:
        """How many objects of that type, or of all types, are known."""
        return len(self._entries) if api is None else self._counts[api]

    def _all(self, found: Callable[[], Iterable[Reference]]) -> tuple[dict[str, Any], ...]:
        with self._lock:
            texts = [self._entries[reference].json for reference in sorted(found())]
        return tuple(json.loads(text) for text in texts)

    def _put(self, reference: Reference, entry: _Entry, late: Callable[[_Tombstone], bool]) -> None:
        with self._lock:
            known, tomb = self._entries.get(reference), self._tombstones.get(reference)
            if (known is not None and entry.version <= known.version) or (tomb is not None and late(tomb)):
                return
            woken = self._unindex(reference)
            self._tombstones.pop(reference, None)
            self._counts[reference.api] += known is None
            self._entries[reference] = entry
            if entry.owner is not None:
                self._owned[reference.api, entry.owner].add(reference)
            for target in entry.references:
                self._referring[reference.api, target].add(reference)
            if reference.api in self._kinds:
                self._resources[entry.uid] = reference
            woken |= self._concerned(reference, entry)
        self._woken(woken)

    def _remove(self, reference: Reference, tomb: _Tombstone) -> set[Reference]:
        woken = self._unindex(reference)
        self._counts[reference.api] -= self._entries.pop(reference, None) is not None
        self._tombstones[reference] = tomb
        if len(self._tombstones) > MAX_TOMBSTONES:
            self._tombstones.popitem(last=False)
        return woken

    def _unindex(self, reference: Reference) -> set[Reference]:
        known = self._entries.get(reference)
        if known is None:
            return set()
        woken = self._concerned(reference, known)
        if known.owner is not None:
            _discard(self._owned, (reference.api, known.owner), reference)
        for target in known.references:
            _discard(self._referring, (reference.api, target), reference)
        self._resources.pop(known.uid, None)
        return woken

    def _concerned(self, reference: Reference, entry: _Entry) -> set[Reference]:
        """Itself, its owner, whom it refers to, and who refers to it."""
        found = {each for each in entry.references if each.api in self._kinds}  # the keys of a cache are no resources
        if reference.api in self._kinds:
            found.add(reference)
            for api in self._kinds:
                found |= self._referring.get((api, reference), set())
        if entry.owner in self._resources:
            found.add(self._resources[entry.owner])
        return found

    def _entry(self, api: Api, manifest: Manifest) -> tuple[Reference, _Entry]:
        metadata = {key: value for key, value in manifest["metadata"].items() if key != "managedFields"}
        annotations = metadata.get("annotations")
        if annotations and LAST_APPLIED in annotations:
            metadata["annotations"] = {key: value for key, value in annotations.items() if key != LAST_APPLIED}
        # Items of a list carry neither apiVersion nor kind.
        slim = {"apiVersion": api.api_version, "kind": api.kind, **manifest, "metadata": metadata}
        return Reference(api, metadata["namespace"], metadata["name"]), _Entry(
            uid=metadata["uid"],
            version=resource_version(manifest),
            owner=(metadata.get("labels") or {}).get(names.UID_LABEL),
            references=self._references(api, slim),
            json=json.dumps(slim, separators=(",", ":")).encode(),
        )

    def _references(self, api: Api, manifest: Manifest) -> frozenset[Reference]:
        kind = self._kinds.get(api)
        if kind is None:
            return frozenset()
        try:
            return frozenset(kind.references(parse_resource(kind, manifest)))
        except InvalidSpec:
            return frozenset()


def resource_version(manifest: Manifest) -> int:
    """Its resourceVersion. They count up within one type of object, and Kubernetes promises so since 1.35."""
    return int(manifest["metadata"]["resourceVersion"])


def _discard(index: dict[Any, set[Reference]], key: Any, reference: Reference) -> None:
    index[key].discard(reference)
    if not index[key]:
        del index[key]

"""The cached state of the cluster: objects by reference, indexed by owner and by what they refer to. Safe for many threads."""

import json
import threading
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from flywheel.core.resource import names
from flywheel.core.resource.api import CRON_JOB, DEPLOYMENT, JOB, POD, Api, Manifest, Reference
from flywheel.core.resource.kind import AnyKind
from flywheel.core.resource.ownership import controller_of
from flywheel.core.resource.parse import find_references

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
MAX_TOMBSTONES = 20_000
# Children that make objects themselves. A Deployment does so by ReplicaSets, which are not watched and have its name and a hash.
_MAKERS = {"Job": JOB, "CronJob": CRON_JOB, "ReplicaSet": DEPLOYMENT}


@dataclass(frozen=True, slots=True)
class _Entry:
    """An object as JSON: it takes a tenth of the memory of its dicts, and no reader can change it for another."""

    uid: str
    version: int
    owner: str | None  # the label flywheel.ml/uid
    controller: tuple[str, str, str]  # kind, name and uid of its controller; empty without one
    references: frozenset[Reference]
    json: bytes


@dataclass(frozen=True, slots=True)
class _Tombstone:
    """A deleted object. `version` is that of the deletion; after a deletion of ours it is unknown, and the uid identifies the object."""

    version: int
    uid: str | None


class Store:
    """Objects of Flywheel's kinds and of the types that they own.

    The operator's own writes are visible at once (`update_written`), and older states that the watch still delivers are ignored.
    `enqueue` is called with the resources that a change may affect, from any thread and outside the lock.
    """

    def __init__(self, kinds: Sequence[AnyKind], enqueue: Callable[[set[Reference]], None]) -> None:
        self._kinds = {kind.api: kind for kind in kinds}
        self._enqueue = enqueue
        self._lock = threading.Lock()
        self._entries: dict[Reference, _Entry] = {}
        self._counts: Counter[Api] = Counter()  # each scrape reads all of them
        self._tombstones: OrderedDict[Reference, _Tombstone] = OrderedDict()
        self._owned: dict[tuple[Api, str], set[Reference]] = defaultdict(set)
        self._referring: dict[tuple[Api, Reference], set[Reference]] = defaultdict(set)
        self._resources: dict[str, Reference] = {}  # by uid

    def update_watched(self, api: Api, manifest: Manifest) -> None:
        """Stores an object that the watch or a list delivered."""
        reference, entry = self._entry(api, manifest)
        self._put(reference, entry, is_stale=lambda tombstone: entry.version <= tombstone.version)

    def update_written(self, api: Api, manifest: Manifest) -> None:
        """Stores an object that the server returned for a write or a get, so it exists, whatever the watch has yet to deliver."""
        reference, entry = self._entry(api, manifest)
        self._put(reference, entry, is_stale=lambda tombstone: entry.version < tombstone.version)

    def delete_watched(self, api: Api, manifest: Manifest) -> None:
        """Removes an object that the watch reported as deleted, or as no longer labelled as ours."""
        reference, entry = self._entry(api, manifest)
        with self._lock:
            known = self._entries.get(reference)
            if known is not None and known.version > entry.version:
                return
            affected = self._remove(reference, _Tombstone(entry.version, None)) | self._affected(reference, entry)
        self._enqueue(affected)

    def delete_written(self, reference: Reference, uid: str) -> None:
        """Removes an object that the operator has deleted."""
        with self._lock:
            known = self._entries.get(reference)
            if known is None or known.uid != uid:
                return
            affected = self._remove(reference, _Tombstone(known.version, uid))
        self._enqueue(affected)

    def delete_unlisted(self, reference: Reference, version: int) -> None:
        """Removes an object that a list taken at `version` does not have, since an event was lost. An object younger than the list stays."""
        with self._lock:
            known = self._entries.get(reference)
            if known is None or known.version > version:
                return
            affected = self._remove(reference, _Tombstone(version, None))
        self._enqueue(affected)

    def has_seen(self, reference: Reference, version: int = 0) -> bool:
        """Returns whether the object, or its deletion, was seen at that version or a later one."""
        with self._lock:
            known = self._entries.get(reference)
            tombstone = self._tombstones.get(reference)
        return (known is not None and known.version >= version) or (
            tombstone is not None and tombstone.version >= version
        )

    def get(self, reference: Reference) -> dict[str, Any] | None:
        """Returns the object, or None."""
        with self._lock:
            known = self._entries.get(reference)
        return None if known is None else json.loads(known.json)

    def children(self, uid: str, api: Api) -> tuple[dict[str, Any], ...]:
        """Returns the objects of that type which the resource of that uid made, by name.

        They have its uid as a label, and as the uid of their controller, or of that of the Job, CronJob or Deployment that made them.
        """
        return self._all(lambda: [each for each in self._owned.get((api, uid), ()) if self._is_made_by(uid, each)])

    def referrers(self, api: Api, to: Reference) -> tuple[dict[str, Any], ...]:
        """Returns the resources of that kind which refer to `to`, by name."""
        return self._all(lambda: self._referring.get((api, to), ()))

    def references(self, api: Api) -> tuple[Reference, ...]:
        """Returns the references of all objects of that type."""
        with self._lock:
            return tuple(reference for reference in self._entries if reference.api == api)

    def objects(self, api: Api) -> tuple[dict[str, Any], ...]:
        """Returns the objects of a type, by namespace and name."""
        return self._all(lambda: [each for each in self._entries if each.api == api])

    def count(self, api: Api | None = None) -> int:
        """Returns how many objects of that type, or of all types, are stored."""
        return len(self._entries) if api is None else self._counts[api]

    def _is_made_by(self, uid: str, reference: Reference) -> bool:
        kind, name, controller_uid = self._entries[reference].controller
        if controller_uid == uid:
            return True
        if kind not in _MAKERS:
            return False
        is_replica_set = kind == "ReplicaSet"
        made_by = Reference(_MAKERS[kind], reference.namespace, name.rpartition("-")[0] if is_replica_set else name)
        maker = self._entries.get(made_by)
        return maker is not None and maker.controller[2] == uid and (is_replica_set or maker.uid == controller_uid)

    def _all(self, found: Callable[[], Iterable[Reference]]) -> tuple[dict[str, Any], ...]:
        with self._lock:
            texts = [self._entries[reference].json for reference in sorted(found())]
        return tuple(json.loads(text) for text in texts)

    def _put(self, reference: Reference, entry: _Entry, is_stale: Callable[[_Tombstone], bool]) -> None:
        with self._lock:
            known, tombstone = self._entries.get(reference), self._tombstones.get(reference)
            if known is not None and entry.version <= known.version:
                return
            if tombstone is not None and (entry.uid == tombstone.uid or is_stale(tombstone)):
                return
            affected = self._unindex(reference)
            self._tombstones.pop(reference, None)
            self._counts[reference.api] += known is None
            self._entries[reference] = entry
            if entry.owner is not None:
                self._owned[reference.api, entry.owner].add(reference)
            for target in entry.references:
                self._referring[reference.api, target].add(reference)
            if reference.api in self._kinds:
                self._resources[entry.uid] = reference
            affected |= self._affected(reference, entry)
        self._enqueue(affected)

    def _remove(self, reference: Reference, tombstone: _Tombstone) -> set[Reference]:
        affected = self._unindex(reference)
        self._counts[reference.api] -= self._entries.pop(reference, None) is not None
        self._tombstones[reference] = tombstone
        if len(self._tombstones) > MAX_TOMBSTONES:
            self._tombstones.popitem(last=False)
        return affected

    def _unindex(self, reference: Reference) -> set[Reference]:
        known = self._entries.get(reference)
        if known is None:
            return set()
        affected = self._affected(reference, known)
        if known.owner is not None:
            _discard(self._owned, (reference.api, known.owner), reference)
        for target in known.references:
            _discard(self._referring, (reference.api, target), reference)
        self._resources.pop(known.uid, None)
        return affected

    def _affected(self, reference: Reference, entry: _Entry) -> set[Reference]:
        """Returns the resources that a change of the object affects: itself, its owner, what it refers to, and what refers to it."""
        # Other references are the keys of a cache.
        found = {each for each in entry.references if each.api in self._kinds}
        if reference.api in self._kinds:
            found.add(reference)
            for api in self._kinds:
                found |= self._referring.get((api, reference), set())
        if entry.owner in self._resources:
            found.add(self._resources[entry.owner])
        return found

    def _entry(self, api: Api, manifest: Manifest) -> tuple[Reference, _Entry]:
        kind = self._kinds.get(api)
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
            controller=_controller(api, slim),
            references=find_references(kind, slim) if kind is not None else frozenset(),
            json=json.dumps(slim, separators=(",", ":")).encode(),
        )


def resource_version(manifest: Manifest) -> int:
    """Returns the resourceVersion. It increases within one type of object, which Kubernetes guarantees since 1.35."""
    return int(manifest["metadata"]["resourceVersion"])


def _controller(api: Api, manifest: Manifest) -> tuple[str, str, str]:
    """Returns kind, name and uid of the object's controller. A pod without a node cannot have run, so what its status says is nobody's."""
    phase, node = (manifest.get("status") or {}).get("phase"), (manifest.get("spec") or {}).get("nodeName")
    if api == POD and not node and phase not in (None, "Pending"):
        return "", "", ""
    found = controller_of(manifest)
    return str(found.get("kind", "")), str(found.get("name", "")), str(found.get("uid", ""))


def _discard(index: dict[Any, set[Reference]], key: Any, reference: Reference) -> None:
    index[key].discard(reference)
    if not index[key]:
        del index[key]

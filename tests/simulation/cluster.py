"""A cluster in memory: what `observe` reads of it, and the writes that the engine sends to its API server."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from flywheel.cluster.errors import ApiError
from flywheel.core.resource import api, names
from flywheel.core.resource.api import KUEUE, Api, Manifest, Reference
from flywheel.core.resource.kind import AnyKind, AnyResource, Resource
from flywheel.core.resource.parse import parse_resource
from flywheel.core.settings import Settings
from tests.simulation import server_side_apply
from tests.simulation.resources import NOON, manifest, stamp, uid_of
from tests.simulation.server_side_apply import LostKeys, Path

Change = Literal["MODIFIED", "DELETED"]
Watcher = Callable[[Change, Reference, Manifest], None]

JOB_NAME = "batch.kubernetes.io/job-name"
_KNOWN = {known.kind: known for known in vars(api).values() if isinstance(known, Api)}
# What a client sends along in `metadata` to address the object or to state a condition, and what is not a field of its.
_ADDRESS = frozenset({"name", "namespace", "uid", "resourceVersion"})


class FakeCluster:
    """Implements `flywheel.core.resource.kind.Cluster`, and the writes of an API server: `apply` and `delete`.

    `kinds` are those whose references `referrers` follows, `groups` the API groups that a cluster may lack.
    """

    def __init__(
        self,
        *manifests: Manifest,
        kinds: Sequence[AnyKind] = (),
        now: datetime = NOON,
        settings: Settings | None = None,
        groups: Sequence[str] = ("metrics.k8s.io",),
    ) -> None:
        self.now = now
        self.settings = settings or Settings()
        self._groups = frozenset(groups)
        self._kinds = {kind.api: kind for kind in kinds}
        self._objects: dict[Reference, Manifest] = {}
        self._managers: dict[tuple[Reference, str], frozenset[Path]] = {}  # the fields of each
        self._watcher: Watcher = lambda _change, _reference, _manifest: None
        self._version = 1  # so that no object has the resourceVersion "1", as in etcd
        self._uses: dict[Reference, int] = {}  # how many objects had that name
        self._events: list[Manifest] = []
        self._queued: dict[str, tuple[Manifest, ...]] = {}
        self.put(*manifests)

    def put(self, *manifests: Manifest | AnyResource) -> "FakeCluster":
        """Add or replace objects; parsed resources are put as their manifests."""
        for each in manifests:
            raw = manifest(each) if isinstance(each, Resource) else each
            self._store(self._address(raw), raw)
        return self

    def remove(self, reference: Reference) -> "FakeCluster":
        """Delete an object, if it is there, and what it owns."""
        removed = self._objects.pop(reference, None)
        if removed is None:
            return self
        self._managers = {key: value for key, value in self._managers.items() if key[0] != reference}
        metadata = {**removed["metadata"], "resourceVersion": self._next_version()}
        self._watcher("DELETED", reference, {**removed, "metadata": metadata})
        for each in [key for key, value in self._objects.items() if _is_owned(value, removed)]:
            self.remove(each)
        return self

    def watch(self, watcher: Watcher) -> None:
        """Call it with every object that is there, and from now on with every change; it replaces the one before."""
        self._watcher = watcher
        for address, each in self._objects.items():
            watcher("MODIFIED", address, each)

    def event(self, about: Manifest, reason: str, message: str, type: str = "Warning") -> "FakeCluster":
        """Let Kubernetes say something about an object."""
        regarding = {key: about["metadata"][key] for key in ("name", "namespace", "uid")} | {"kind": about["kind"]}
        event = {"involvedObject": regarding, "reason": reason, "message": message, "type": type}
        self._events.append(
            {**event, "lastTimestamp": stamp(self.now), "metadata": {"name": f"event-{len(self._events)}"}}
        )
        return self

    def queue(self, job: Manifest, **conditions: str) -> "FakeCluster":
        """Let Kueue hold a Job: `QuotaReserved="insufficient quota"` is a condition of its Workload that is not met, with that message."""
        unmet = [
            {"type": each, "status": "False", "reason": "Pending", "message": why} for each, why in conditions.items()
        ]
        self._groups |= {KUEUE}
        self._queued[job["metadata"]["uid"]] = ({"kind": "Workload", "status": {"conditions": unmet}},)
        return self

    def advance(self, time: timedelta) -> "FakeCluster":
        """Let time pass."""
        self.now += time
        return self

    def apply(self, api: Api, applied: Manifest, manager: str, subresource: str = "") -> tuple[Manifest, bool]:
        """Server-side apply, forced. Returns the object as stored, and whether it was created.

        Raises:
            ApiError: 404, 409 or 422, as the API server answers.
        """
        metadata = applied["metadata"]
        reference = Reference(api, metadata["namespace"], metadata["name"])
        live = self._objects.get(reference)
        _check_conditions(live, reference, metadata, subresource)
        sets = _fields_of(applied, subresource)
        owner = (reference, f"{manager}/{subresource}")
        others = frozenset[Path]().union(
            *(paths for key, paths in self._managers.items() if key[0] == reference and key != owner)
        )
        stated = server_side_apply.fields(sets)
        removed = self._managers.get(owner, frozenset()) - stated - others
        try:
            merged = server_side_apply.merge(live or self._new(reference), sets, removed)
        except LostKeys as error:
            raise ApiError(422, "Invalid", f"{error}: must be an object, not null") from error
        self._managers[owner] = stated
        if live is None or merged != live:
            if live is not None and merged.get("spec") != live.get("spec"):
                merged["metadata"]["generation"] = live["metadata"].get("generation", 1) + 1
            self._store(reference, merged)
        return self._objects[reference], live is None

    def delete(self, reference: Reference, uid: str) -> Manifest | None:
        """Delete the object of that uid and what it owns. None if it was gone already.

        Raises:
            ApiError: 409, the object has another uid.
        """
        live = self._objects.get(reference)
        if live is None:
            return None
        if live["metadata"]["uid"] != uid:
            raise ApiError(409, "Conflict", f"the UID in the precondition ({uid}) does not match that of {reference}")
        self.remove(reference)
        return {"kind": "Status", "status": "Success"}

    def objects(self, api: Api) -> tuple[Manifest, ...]:
        """All objects of that type, by name."""
        return tuple(self._objects[key] for key in sorted(self._objects) if key.api == api)

    def serves(self, group: str) -> bool:
        return group in self._groups

    def get(self, reference: Reference) -> Manifest | None:
        return self._objects.get(reference)

    def children(self, uid: str, api: Api) -> tuple[Manifest, ...]:
        labelled = ((each, each["metadata"].get("labels", {})) for each in self.objects(api))
        return tuple(each for each, labels in labelled if labels.get(names.UID_LABEL) == uid)

    def referrers(self, api: Api, to: Reference) -> tuple[Manifest, ...]:
        """Returns those of a kind that was given to the constructor, since the references of others are unknown."""
        kind = self._kinds.get(api)
        if kind is None:
            return ()
        return tuple(each for each in self.objects(api) if to in set(kind.references(parse_resource(kind, each))))

    def events(self, namespace: str, uid: str) -> tuple[Manifest, ...]:
        found = (each for each in self._events if each["involvedObject"]["uid"] == uid)
        return tuple(each for each in found if each["involvedObject"]["namespace"] == namespace)

    def kueue_workloads(self, job: Manifest) -> tuple[Manifest, ...]:
        return self._queued.get(job["metadata"]["uid"], ())

    def _new(self, reference: Reference) -> dict[str, Any]:
        """What the API server gives to an object that is created. A name that is used again gets another uid."""
        self._uses[reference] = self._uses.get(reference, 0) + 1
        again = f"#{self._uses[reference]}" if self._uses[reference] > 1 else ""
        metadata = {
            "name": reference.name,
            "namespace": reference.namespace,
            "uid": uid_of(reference.api.kind + again, reference.namespace, reference.name),
            "creationTimestamp": stamp(self.now),
            "generation": 1,
        }
        return {"apiVersion": reference.api.api_version, "kind": reference.api.kind, "metadata": metadata}

    def _store(self, reference: Reference, raw: Manifest) -> None:
        uid = uid_of(reference.api.kind, reference.namespace, reference.name)
        metadata = {"uid": uid, **raw["metadata"], "resourceVersion": self._next_version()}
        self._objects[reference] = {**raw, "metadata": metadata}
        self._uses.setdefault(reference, 1)
        self._watcher("MODIFIED", reference, self._objects[reference])

    def _next_version(self) -> str:
        self._version += 1
        return str(self._version)

    def _address(self, raw: Manifest) -> Reference:
        named = next((kind.api for kind in self._kinds.values() if kind.api.kind == raw["kind"]), None)
        address = named or _KNOWN[raw["kind"]]
        return Reference(address, raw["metadata"]["namespace"], raw["metadata"]["name"])


def _fields_of(applied: Manifest, subresource: str) -> dict[str, Any]:
    """What an apply sets: the status alone, or everything else."""
    if subresource:
        return {subresource: applied[subresource]}
    metadata = {key: value for key, value in applied["metadata"].items() if key not in _ADDRESS}
    return {**{key: value for key, value in applied.items() if key != "status"}, "metadata": metadata}


def _check_conditions(
    live: Manifest | None, reference: Reference, metadata: Mapping[str, Any], subresource: str
) -> None:
    """What the metadata of an apply demands of the live object, as measured (cluster/apply.py)."""
    if live is None:
        if subresource:
            raise ApiError(404, "NotFound", f"{reference} not found")
        if "uid" in metadata:
            raise ApiError(409, "Conflict", f"{reference}: the UID in the precondition does not match: it is gone")
        return
    if metadata.get("resourceVersion", live["metadata"]["resourceVersion"]) != live["metadata"]["resourceVersion"]:
        raise ApiError(409, "Conflict", f"{reference}: the object has been modified")
    if metadata.get("uid", live["metadata"]["uid"]) != live["metadata"]["uid"]:
        raise ApiError(422, "Invalid", f"{reference}: metadata.uid: field is immutable")


def _is_owned(raw: Manifest, owner: Manifest) -> bool:
    """Whether the garbage collector deletes an object together with that owner; a pod of ours names its Job by a label alone."""
    metadata, of = raw["metadata"], owner["metadata"]
    if raw["kind"] == "Pod" and owner["kind"] == "Job":
        labels = metadata.get("labels") or {}
        return (labels.get(JOB_NAME), metadata["namespace"]) == (of["name"], of["namespace"])
    return any(each["uid"] == of["uid"] for each in metadata.get("ownerReferences") or ())

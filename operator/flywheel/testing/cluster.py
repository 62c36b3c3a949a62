"""A cluster in memory, as `observe` sees it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from flywheel.core.pods.queueing import KUEUE
from flywheel.core.resource import api, names
from flywheel.core.resource.api import Api, Manifest, Reference
from flywheel.core.resource.kind import AnyKind, AnyResource, Resource
from flywheel.core.resource.ownership import dressed, reference
from flywheel.core.resource.parse import parse
from flywheel.core.resource.plan import Child, Plan
from flywheel.core.settings import Settings
from flywheel.testing.resources import NOON, manifest, stamp, uid_of

_KNOWN = {known.kind: known for known in vars(api).values() if isinstance(known, Api)}


class FakeCluster:
    """Implements `flywheel.core.resource.kind.Cluster`. `kinds` are those whose references `referring` follows, `groups` the API groups
    that a cluster may lack."""

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
        self._events: list[Manifest] = []
        self._queued: dict[str, tuple[Manifest, ...]] = {}
        self.put(*manifests)

    def put(self, *manifests: Manifest | AnyResource) -> "FakeCluster":
        """Add or replace objects; parsed resources are put as their manifests."""
        for each in manifests:
            raw = manifest(each) if isinstance(each, Resource) else each
            self._objects[self._address(raw)] = raw
        return self

    def remove(self, reference: Reference) -> "FakeCluster":
        """Delete an object, if it is there."""
        self._objects.pop(reference, None)
        return self

    def event(self, about: Manifest, reason: str, message: str, type: str = "Warning") -> "FakeCluster":
        """Let Kubernetes say something about an object."""
        regarding = {key: about["metadata"][key] for key in ("name", "namespace", "uid")} | {"kind": about["kind"]}
        told = {"involvedObject": regarding, "reason": reason, "message": message, "type": type}
        self._events.append(
            {**told, "lastTimestamp": stamp(self.now), "metadata": {"name": f"event-{len(self._events)}"}}
        )
        return self

    def queue(self, job: Manifest, **conditions: str) -> "FakeCluster":
        """Let Kueue hold a Job: `QuotaReserved="insufficient quota"` is a condition of its Workload that is not met, in these words."""
        told = [
            {"type": each, "status": "False", "reason": "Pending", "message": why} for each, why in conditions.items()
        ]
        self._groups |= {KUEUE}
        self._queued[job["metadata"]["uid"]] = ({"kind": "Workload", "status": {"conditions": told}},)
        return self

    def advance(self, time: timedelta) -> "FakeCluster":
        """Let time pass."""
        self.now += time
        return self

    def apply(self, resource: AnyResource, plan: Plan) -> "FakeCluster":
        """Do what the engine would do with the children of a plan: make and change what it names, delete what left. Status is not written."""
        if plan.children is None:
            return self
        wanted = {reference(resource, child): child for child in plan.children}
        for address in [key for key, value in self._objects.items() if key not in wanted and _owned(value, resource)]:
            del self._objects[address]
        for address, child in wanted.items():
            if isinstance(child, Child) and not (child.create_only and address in self._objects):
                stored = _as_stored(dressed(resource, child), self.now)
                if child.yields:
                    old = self._objects.get(address, stored)["spec"]
                    stored["spec"] |= {field: old[field] for field in child.yields}
                self._objects[address] = stored
        return self

    def serves(self, group: str) -> bool:
        """See Cluster."""
        return group in self._groups

    def get(self, reference: Reference) -> Manifest | None:
        """See Cluster."""
        return self._objects.get(reference)

    def children(self, uid: str, api: Api) -> tuple[Manifest, ...]:
        """See Cluster."""
        return tuple(
            self._objects[key]
            for key in sorted(self._objects)
            if key.api == api and self._objects[key]["metadata"].get("labels", {}).get(names.UID_LABEL) == uid
        )

    def referring(self, api: Api, to: Reference) -> tuple[Manifest, ...]:
        """See Cluster.

        Raises:
            KeyError: the kind was not given to the constructor, so its references are unknown.
        """
        kind = self._kinds[api]
        of_kind = (self._objects[key] for key in sorted(self._objects) if key.api == api)
        return tuple(each for each in of_kind if to in set(kind.references(parse(kind, each))))

    def events(self, namespace: str, uid: str) -> tuple[Manifest, ...]:
        """See Cluster."""
        found = (each for each in self._events if each["involvedObject"]["uid"] == uid)
        return tuple(each for each in found if each["involvedObject"]["namespace"] == namespace)

    def queued(self, job: Manifest) -> tuple[Manifest, ...]:
        """See Cluster."""
        return self._queued.get(job["metadata"]["uid"], ())

    def _address(self, raw: Manifest) -> Reference:
        named = next((kind.api for kind in self._kinds.values() if kind.api.kind == raw["kind"]), None)
        address = named or _KNOWN[raw["kind"]]
        return Reference(address, raw["metadata"]["namespace"], raw["metadata"]["name"])


def _owned(raw: Manifest, owner: AnyResource) -> bool:
    references = raw["metadata"].get("ownerReferences", ())
    return raw["kind"] != "Pod" and any(each["uid"] == owner.uid and each.get("controller") for each in references)


def _as_stored(raw: dict[str, Any], now: datetime) -> dict[str, Any]:
    metadata = raw["metadata"]
    uid = uid_of(raw["kind"], metadata["namespace"], metadata["name"])
    return {**raw, "metadata": {"uid": uid, "resourceVersion": "1", "creationTimestamp": stamp(now), **metadata}}

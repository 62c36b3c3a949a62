"""From the children of a plan to the children in the cluster: create, update what differs, delete what left."""

import logging
from typing import Any

from flywheel.cluster.apply import Writer
from flywheel.cluster.client import Client
from flywheel.cluster.errors import ApiError
from flywheel.core.resource import names
from flywheel.core.resource.api import Manifest, Reference
from flywheel.core.resource.kind import AnyKind, AnyResource
from flywheel.core.resource.ownership import child_reference, with_owner
from flywheel.core.resource.plan import Child, Plan
from flywheel.engine.apply import shared_fields, template_pinning
from flywheel.engine.apply.apply_errors import ApplyError, name_taken, to_apply_error
from flywheel.engine.apply.canonical import matches
from flywheel.engine.apply.deletion import refresh, remove
from flywheel.engine.cache.store import Store
from flywheel.engine.queue import RETRY

logger = logging.getLogger(__name__)


class Children:
    """Brings about the children of a plan. Stateless but for `_settled`."""

    def __init__(self, store: Store, client: Client, writer: Writer) -> None:
        self._store = store
        self._client = client
        self._writer = writer
        # What we applied and what the server made of it, where the two do not look alike: it is not written again until one changes.
        self._settled: dict[Reference, tuple[str, str]] = {}

    def bring_about(self, kind: AnyKind, resource: AnyResource, plan: Plan) -> None:
        """In the order of the plan, then deletions.

        Raises:
            Setback: something could not be done; what comes after it was left alone.
            NotLeading: a write was held back.
        """
        if plan.children is None:
            return
        for child in plan.children:
            if isinstance(child, Child):
                try:
                    self._ensure(kind, resource, child)
                except ApiError as error:
                    raise to_apply_error(error, child_reference(resource, child), resource) from error
        self._prune(kind, resource, {child_reference(resource, child) for child in plan.children})

    def _ensure(self, kind: AnyKind, resource: AnyResource, child: Child) -> None:
        where = child_reference(resource, child)
        live: Manifest | None = self._store.get(where)
        desired = template_pinning.with_hashes(with_owner(resource, child), child)
        if live is None:
            live = self._create(kind, where, desired)
            if live is None:
                return
        if not _ours(resource, child, live):
            if _of_a_predecessor(resource, live):
                raise ApplyError(RETRY)
            raise name_taken(where, live)
        if not child.create_only and "deletionTimestamp" not in live["metadata"]:
            self._update(kind, child, where, desired, live)

    def _create(self, kind: AnyKind, where: Reference, desired: dict[str, Any]) -> Manifest | None:
        """None if it was created, else the object that has the name."""
        try:
            self._store.wrote(where.api, self._writer.create(where.api, desired, kind.field_manager))
        except ApiError as error:
            if not error.conflict:
                raise
        else:
            return None
        live = self._client.get(where)
        if live is None:
            raise ApplyError(RETRY)  # deleted between the two requests
        if live["metadata"].get("labels", {}).get(names.MANAGED_BY) == "flywheel":
            self._store.wrote(where.api, live)
        return live

    def _update(self, kind: AnyKind, child: Child, where: Reference, desired: dict[str, Any], live: Manifest) -> None:
        if shared_fields.needs_handover(child, live):
            live = self._write(
                where,
                shared_fields.handover_manifest(desired, child, live),
                kind.field_manager + shared_fields.MANAGER_SUFFIX,
                live,
            )
        wanted = shared_fields.without_shared_fields(template_pinning.pin_template(desired, live), child)
        if matches(wanted, live):
            self._settled.pop(where, None)
            return
        if self._settled.get(where) == (names.digest(wanted), _essence(live)):
            return
        stored = self._write(where, wanted, kind.field_manager, live)
        if not matches(wanted, stored):
            logger.warning("%s: the server keeps it in another form than it was applied; not applied again", where)
            self._settled[where] = names.digest(wanted), _essence(stored)

    def _write(self, where: Reference, manifest: Manifest, manager: str, live: Manifest) -> dict[str, Any]:
        """Apply to the object of that uid; as stored."""
        try:
            stored = self._writer.update(where.api, manifest, manager, live["metadata"]["uid"])
        except ApiError as error:
            if error.conflict:
                refresh(self._client, self._store, where)
            raise
        self._store.wrote(where.api, stored)
        return stored

    def _prune(self, kind: AnyKind, resource: AnyResource, planned: set[Reference]) -> None:
        for api in kind.owns:
            for live in self._store.children(resource.uid, api):
                where = Reference(api, resource.namespace, live["metadata"]["name"])
                going = "deletionTimestamp" in live["metadata"]
                if where in planned or going or _controller(live).get("uid") != resource.uid:
                    continue
                self._settled.pop(where, None)
                try:
                    remove(self._client, self._store, self._writer, where, live["metadata"]["uid"])
                except ApiError as error:
                    raise to_apply_error(error, where, resource) from error


def _controller(live: Manifest) -> dict[str, Any]:
    owners = live["metadata"].get("ownerReferences") or []
    return next((each for each in owners if each.get("controller")), {})


def _ours(resource: AnyResource, child: Child, live: Manifest) -> bool:
    """An owned child names us as its controller. One that we do not own may have been made by anybody, as long as we do not write to it."""
    if child.owned:
        return bool(_controller(live).get("uid") == resource.uid)
    return child.create_only or live["metadata"].get("labels", {}).get(names.MANAGED_BY) == "flywheel"


def _of_a_predecessor(resource: AnyResource, live: Manifest) -> bool:
    """Its owner was our namesake, so the garbage collector is about to remove it (0.2 s, measured)."""
    owner = _controller(live)
    return (owner.get("kind"), owner.get("name")) == (resource.api.kind, resource.name)


def _essence(live: Manifest) -> str:
    metadata = {
        key: value for key, value in live["metadata"].items() if key not in ("resourceVersion", "managedFields")
    }
    return names.digest({**{key: value for key, value in live.items() if key != "status"}, "metadata": metadata})

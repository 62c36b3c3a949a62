"""From the children of a plan to the children in the cluster: create them, update what differs, delete what the plan no longer has."""

import logging
from typing import Any

from flywheel.cluster.apply import Writer
from flywheel.cluster.client import Client
from flywheel.cluster.errors import ApiError
from flywheel.core.resource import names
from flywheel.core.resource.api import Manifest, Reference
from flywheel.core.resource.kind import AnyKind, AnyResource
from flywheel.core.resource.ownership import child_reference, controller_of, with_owner
from flywheel.core.resource.plan import Child, Plan
from flywheel.engine.apply import shared_fields, template_pinning
from flywheel.engine.apply.apply_errors import ApplyError, name_taken, to_apply_error
from flywheel.engine.apply.canonical import matches
from flywheel.engine.apply.deletion import delete, refresh
from flywheel.engine.cache.store import Store
from flywheel.engine.queue import RETRY

logger = logging.getLogger(__name__)


class Children:
    """Applies the children of a plan. Stateless but for `_settled`."""

    def __init__(self, store: Store, client: Client, writer: Writer) -> None:
        self._store = store
        self._client = client
        self._writer = writer
        # What was applied and what the server made of it, where the two never match: it is not written again until one of them changes.
        self._settled: dict[Reference, tuple[str, str]] = {}

    def apply(self, kind: AnyKind, resource: AnyResource, plan: Plan) -> None:
        """Applies the children in the order of the plan, then deletes the others.

        Raises:
            ApplyError: a write failed; what comes after it was left alone.
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
        reference = child_reference(resource, child)
        live: Manifest | None = self._store.get(reference)
        desired = template_pinning.with_hashes(with_owner(resource, child), child)
        if live is None:
            live = self._create(kind, reference, desired)
            if live is None:
                return
        if not _is_ours(resource, child, live):
            if _is_of_predecessor(resource, live):
                raise ApplyError(RETRY)
            raise name_taken(reference, live)
        if not child.create_only and "deletionTimestamp" not in live["metadata"]:
            self._update(kind, child, reference, desired, live)

    def _create(self, kind: AnyKind, reference: Reference, desired: dict[str, Any]) -> Manifest | None:
        """Returns None if the object was created, else the object that has the name."""
        try:
            self._store.update_written(reference.api, self._writer.create(reference.api, desired, kind.field_manager))
        except ApiError as error:
            if not error.conflict:
                raise
        else:
            return None
        live = self._client.get(reference)
        if live is None:
            raise ApplyError(RETRY)  # deleted between the two requests
        if live["metadata"].get("labels", {}).get(names.MANAGED_BY) == "flywheel":
            self._store.update_written(reference.api, live)
        return live

    def _update(
        self, kind: AnyKind, child: Child, reference: Reference, desired: dict[str, Any], live: Manifest
    ) -> None:
        if shared_fields.needs_handover(child, live):
            handover = shared_fields.handover_manifest(desired, child, live)
            live = self._write(reference, handover, kind.field_manager + shared_fields.MANAGER_SUFFIX, live)
        desired = shared_fields.without_shared_fields(template_pinning.pin_template(desired, live), child)
        if matches(desired, live):
            self._settled.pop(reference, None)
            return
        if self._settled.get(reference) == (names.digest(desired), _content_digest(live)):
            return
        stored = self._write(reference, desired, kind.field_manager, live)
        if not matches(desired, stored):
            logger.warning("%s: the server stores it in another form than was applied; not applied again", reference)
            self._settled[reference] = names.digest(desired), _content_digest(stored)

    def _write(self, reference: Reference, manifest: Manifest, manager: str, live: Manifest) -> dict[str, Any]:
        """Applies to the object of that uid and returns it as stored."""
        try:
            stored = self._writer.update(reference.api, manifest, manager, live["metadata"]["uid"])
        except ApiError as error:
            if error.conflict:
                refresh(self._client, self._store, reference)
            raise
        self._store.update_written(reference.api, stored)
        return stored

    def _prune(self, kind: AnyKind, resource: AnyResource, planned: set[Reference]) -> None:
        for api in kind.owns:
            for live in self._store.children(resource.uid, api):
                reference = Reference(api, resource.namespace, live["metadata"]["name"])
                terminating = "deletionTimestamp" in live["metadata"]
                if reference in planned or terminating or controller_of(live).get("uid") != resource.uid:
                    continue
                self._settled.pop(reference, None)
                try:
                    delete(self._client, self._store, self._writer, reference, live["metadata"]["uid"])
                except ApiError as error:
                    raise to_apply_error(error, reference, resource) from error


def _is_ours(resource: AnyResource, child: Child, live: Manifest) -> bool:
    """Returns whether the object is the child of the plan. An owned child has the resource as its controller. An unowned one may have
    been made by anybody if it is never written to."""
    if child.owned:
        return bool(controller_of(live).get("uid") == resource.uid)
    return child.create_only or live["metadata"].get("labels", {}).get(names.MANAGED_BY) == "flywheel"


def _is_of_predecessor(resource: AnyResource, live: Manifest) -> bool:
    """Returns whether its owner was a deleted resource of the same name, so that the garbage collector is about to remove it (0.2 s,
    measured)."""
    owner = controller_of(live)
    return (owner.get("kind"), owner.get("name")) == (resource.api.kind, resource.name)


def _content_digest(live: Manifest) -> str:
    metadata = {
        key: value for key, value in live["metadata"].items() if key not in ("resourceVersion", "managedFields")
    }
    return names.digest({**{key: value for key, value in live.items() if key != "status"}, "metadata": metadata})

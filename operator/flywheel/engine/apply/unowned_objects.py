"""What a plan does to objects that are no children of the resource: removals, patches and completed ticks."""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

from flywheel.cluster.apply import Writer
from flywheel.cluster.client import Client
from flywheel.cluster.errors import ApiError
from flywheel.core.resource import names
from flywheel.core.resource.api import JOB, Reference
from flywheel.core.resource.kind import AnyKind, AnyResource
from flywheel.core.resource.plan import Patch, Plan
from flywheel.core.resource.values import format_time
from flywheel.engine.apply.apply_errors import to_apply_error
from flywheel.engine.apply.deletion import delete, refresh
from flywheel.engine.cache.store import Store

logger = logging.getLogger(__name__)


class UnownedObjects:
    """Applies the removals, patches and completed ticks of a plan, after its children."""

    def __init__(self, store: Store, client: Client, writer: Writer, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._client = client
        self._writer = writer
        self._clock = clock

    def apply(self, kind: AnyKind, resource: AnyResource, plan: Plan) -> None:
        """Writes what the plan says and is not so yet.

        Raises:
            ApplyError: a write failed.
            NotLeading: a write was held back.
            ValueError: the plan removes or patches a type that its kind does not declare, which is a fault of the kind.
        """
        for removal in plan.removals:
            if removal.api not in kind.removes:
                raise ValueError(f"{kind.api.kind} removes {removal.api} without declaring it in Kind.removes")
            self._remove(resource, Reference(removal.api, resource.namespace, removal.name), removal.uid)
        for patch in plan.patches:
            if patch.api not in kind.patches:
                raise ValueError(f"{kind.api.kind} patches {patch.api} without declaring it in Kind.patches")
            self._patch(kind, resource, patch)
        for tick in plan.completed_ticks:
            self._complete(kind, resource, Reference(JOB, resource.namespace, tick))

    def _remove(self, resource: AnyResource, reference: Reference, uid: str) -> None:
        live = self._store.get(reference)
        if live is None or live["metadata"]["uid"] != uid or "deletionTimestamp" in live["metadata"]:
            return
        try:
            delete(self._client, self._store, self._writer, reference, uid)
        except ApiError as error:
            raise to_apply_error(error, reference, resource) from error

    def _patch(self, kind: AnyKind, resource: AnyResource, patch: Patch) -> None:
        """Applies a patch. Nothing depends on it, so an object that was deleted meanwhile, or a missing permission, is no error."""
        reference = Reference(patch.api, resource.namespace, patch.name)
        metadata = {
            "namespace": resource.namespace,
            **({"annotations": dict(patch.annotations)} if patch.annotations else {}),
            **({"ownerReferences": [names.owner_reference(resource, controls=False)]} if patch.owned else {}),
        }
        manifest = patch.api.manifest(patch.name, metadata=metadata)
        try:
            self._store.update_written(
                patch.api, self._writer.update(patch.api, manifest, kind.field_manager, patch.uid)
            )
        except ApiError as error:
            if not (error.conflict or error.not_found or error.forbidden):
                raise to_apply_error(error, reference, resource) from error
            logger.info("%s could not be patched: %s", reference, error)
            refresh(self._client, self._store, reference)

    def _complete(self, kind: AnyKind, resource: AnyResource, tick: Reference) -> None:
        live = self._store.get(tick)
        if live is None or live.get("status", {}).get("completionTime"):
            return
        manifest = tick.api.same_version(live, status=_complete_status(live, self._clock()))
        try:
            self._store.update_written(tick.api, self._writer.apply_status(tick.api, manifest, kind.field_manager))
        except ApiError as error:
            if error.conflict:
                refresh(self._client, self._store, tick)
            if not error.not_found:
                raise to_apply_error(error, tick, resource) from error


def _complete_status(tick: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Returns the status of a Job that succeeded, with all that the API server validates: started, criteria met, complete."""
    time = format_time(now)
    # A Job cannot complete before it started, and clocks differ.
    started = tick.get("status", {}).get("startTime") or min(tick["metadata"]["creationTimestamp"], time)
    condition = {
        "status": "True",
        "reason": "Answered",
        "message": "the work of this tick has ended",
        "lastTransitionTime": time,
    }
    return {
        "startTime": started,
        "completionTime": max(time, started),
        "conditions": [{"type": type_, **condition} for type_ in ("SuccessCriteriaMet", "Complete")],
    }

"""What a plan ends: unowned objects that should go, ticks whose work is done; and what it patches.
And how an end or a surprise reaches the store at once."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from flywheel.cluster.apply import Writer
from flywheel.cluster.client import Client
from flywheel.cluster.errors import ApiError
from flywheel.core.resource import names
from flywheel.core.resource.api import Reference
from flywheel.core.resource.kind import AnyKind, AnyResource
from flywheel.core.resource.plan import Patch, Plan
from flywheel.engine.apply.apply_errors import to_apply_error
from flywheel.engine.cache.store import Store

logger = logging.getLogger(__name__)


def refresh(client: Client, store: Store, where: Reference) -> None:
    """Somebody was faster: see what is there now, without waiting for the watch.

    Raises:
        ApiError: the request failed.
    """
    live, known = client.get(where), store.get(where)
    if live is not None:
        store.wrote(where.api, live)
    elif known is not None:
        store.deleted(where, known["metadata"]["uid"])


def remove(client: Client, store: Store, writer: Writer, where: Reference, uid: str) -> None:
    """Delete the object of that uid.

    Raises:
        ApiError: refused; on a conflict the store has been refreshed.
        NotLeading: the write was held back.
    """
    try:
        answer = writer.delete(where, uid)
    except ApiError as error:
        if error.conflict:
            refresh(client, store, where)
        raise
    if answer is None or answer.get("kind") == "Status":
        store.deleted(where, uid)
    else:
        store.wrote(where.api, answer)  # a finalizer holds it; it has its deletionTimestamp now


class UnownedObjects:
    """Removals and finished ticks of a plan, after its children."""

    def __init__(self, store: Store, client: Client, writer: Writer, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._client = client
        self._writer = writer
        self._clock = clock

    def bring_about(self, kind: AnyKind, resource: AnyResource, plan: Plan) -> None:
        """Delete and finish what the plan says and is not yet so.

        Raises:
            Setback: something could not be done.
            NotLeading: a write was held back.
            ValueError: the plan removes or patches a type that its kind does not declare; a fault of the kind's.
        """
        for removal in plan.removals:
            if removal.api not in kind.removes:
                raise ValueError(f"{kind.api.kind} removes {removal.api} without declaring it in Kind.removes")
            self._remove(resource, Reference(removal.api, resource.namespace, removal.name), removal.uid)
        for touch in plan.patches:
            if touch.api not in kind.patches:
                raise ValueError(f"{kind.api.kind} patches {touch.api} without declaring it in Kind.patches")
            self._touch(kind, resource, touch)
        for tick in plan.completed_ticks:
            self._finish(kind, resource, tick)

    def _remove(self, resource: AnyResource, where: Reference, uid: str) -> None:
        live = self._store.get(where)
        if live is None or live["metadata"]["uid"] != uid or "deletionTimestamp" in live["metadata"]:
            return
        try:
            remove(self._client, self._store, self._writer, where, uid)
        except ApiError as error:
            raise to_apply_error(error, where, resource) from error

    def _touch(self, kind: AnyKind, resource: AnyResource, touch: Patch) -> None:
        """Nothing waits for it, so an object that went meanwhile, or a right that was not granted, holds nothing up."""
        where = Reference(touch.api, resource.namespace, touch.name)
        metadata = {
            "name": touch.name,
            "namespace": resource.namespace,
            **({"annotations": dict(touch.annotations)} if touch.annotations else {}),
            **({"ownerReferences": [names.owner_reference(resource, controls=False)]} if touch.owned else {}),
        }
        manifest = {"apiVersion": touch.api.api_version, "kind": touch.api.kind, "metadata": metadata}
        try:
            self._store.wrote(touch.api, self._writer.update(touch.api, manifest, kind.field_manager, touch.uid))
        except ApiError as error:
            if not (error.conflict or error.missing or error.forbidden):
                raise to_apply_error(error, where, resource) from error
            logger.info("%s could not be touched: %s", where, error)
            refresh(self._client, self._store, where)

    def _finish(self, kind: AnyKind, resource: AnyResource, tick: Reference) -> None:
        live = self._store.get(tick)
        if live is None or live.get("status", {}).get("completionTime"):
            return
        metadata = {key: live["metadata"][key] for key in ("name", "namespace", "resourceVersion")}
        manifest = {"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": metadata}
        try:
            self._store.wrote(
                tick.api,
                self._writer.status(
                    tick.api, {**manifest, "status": _complete(live, self._clock())}, kind.field_manager
                ),
            )
        except ApiError as error:
            if error.conflict:
                refresh(self._client, self._store, tick)
            if not error.missing:
                raise to_apply_error(error, tick, resource) from error


def _complete(tick: dict[str, Any], now: datetime) -> dict[str, Any]:
    """The API server wants the whole sequence of a Job that ended well: started, criteria met, complete."""
    time = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    # A Job cannot complete before it started, and clocks differ.
    started = tick.get("status", {}).get("startTime") or min(tick["metadata"]["creationTimestamp"], time)
    told = {
        "status": "True",
        "reason": "Answered",
        "message": "the work of this tick has ended",
        "lastTransitionTime": time,
    }
    return {
        "startTime": started,
        "completionTime": max(time, started),
        "conditions": [{"type": kind, **told} for kind in ("SuccessCriteriaMet", "Complete")],
    }

"""One reconciliation of one resource: parse, observe, decide, apply, write the status and record events."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flywheel.cluster.apply import Writer
from flywheel.cluster.client import Client
from flywheel.cluster.errors import ApiError, NotLeading
from flywheel.core.resource.api import Reference
from flywheel.core.resource.kind import AnyKind, AnyResource
from flywheel.core.resource.parse import InvalidSpec, parse_resource
from flywheel.core.resource.plan import Plan
from flywheel.core.resource.restrictions import find_violation
from flywheel.core.settings import Settings
from flywheel.engine.apply import status
from flywheel.engine.apply.apply_errors import ApplyError, error_plan
from flywheel.engine.apply.children import Children
from flywheel.engine.apply.deletion import refresh
from flywheel.engine.apply.event_recorder import EventRecorder
from flywheel.engine.apply.restricted_plan import restrict_plan
from flywheel.engine.apply.unowned_objects import UnownedObjects
from flywheel.engine.cache.store import Store
from flywheel.engine.cache.view import ClusterView
from flywheel.engine.queue import DONE, REQUEUE, RETRY, Result

logger = logging.getLogger(__name__)

INTERNAL_ERROR = "InternalError"
MAX_INTERNAL_ERRORS = 10  # in a row, for one generation: with the queue's backoff, about four minutes
MAX_ERROR_LENGTH = 300  # characters of an exception's text


@dataclass(frozen=True)
class InternalErrors:
    """How many reconciliations of a generation in a row ended by a fault of the operator."""

    generation: int
    count: int


class Reconciler:
    """Callable from many threads, never for the same key at once. `settings` may be replaced before the first reconciliation."""

    def __init__(
        self,
        kinds: Sequence[AnyKind],
        store: Store,
        client: Client,
        writer: Writer,
        recorder: EventRecorder,
        settings: Settings,
        clock: Callable[[], datetime],
    ) -> None:
        self._kinds = {kind.api: kind for kind in kinds}
        self._store = store
        self._client = client
        self._writer = writer
        self._recorder = recorder
        self.settings = settings
        self._clock = clock
        self._children = Children(store, client, writer)
        self._unowned_objects = UnownedObjects(store, client, writer, clock)
        self._internal_errors: dict[Reference, InternalErrors] = {}

    def __call__(self, key: Reference) -> Result:
        """Reconciles one resource. It never raises, so that no resource's error reaches another."""
        raw = self._store.get(key)
        # What a deleted resource owns is garbage collected by its owner references.
        if raw is None or "deletionTimestamp" in raw["metadata"]:
            self._internal_errors.pop(key, None)
            return DONE
        try:
            return self._reconcile(self._kinds[key.api], raw)
        except NotLeading:
            return REQUEUE
        except ApiError as error:
            logger.info("%s: %s", key, error)
            return Result(failed=True, requeue_after=error.retry_after)
        except Exception:
            logger.exception("%s: could not be reconciled", key)
            return RETRY

    def _reconcile(self, kind: AnyKind, raw: dict[str, Any]) -> Result:
        now = self._clock()
        resource, plan, result = self._decide(kind, raw, now)
        try:
            self._children.apply(kind, resource, plan)
            self._unowned_objects.apply(kind, resource, plan)
        except ApplyError as error:
            instead = error.plan(resource)
            if instead is None:
                return error.result
            plan, result = instead, error.result
        except (ApiError, NotLeading):
            raise
        except Exception as error:  # noqa: BLE001 - reported and logged by _internal_error
            plan, result = self._internal_error(resource, error)
        else:
            if plan.reason != INTERNAL_ERROR:
                self._internal_errors.pop(resource.reference, None)
        # Status is written last: a reader who sees Ready may rely on every child.
        return self._write_status(kind, resource, raw, plan, now) or result

    def _decide(self, kind: AnyKind, raw: dict[str, Any], now: datetime) -> tuple[AnyResource, Plan, Result]:
        try:
            resource = parse_resource(kind, raw)
        except InvalidSpec as error:
            return error.resource, error_plan(error.resource, "InvalidSpec", str(error), stalled=True), DONE
        try:
            view = ClusterView(self._store, self._client, self.settings, now.replace(microsecond=0))
            plan = kind.decide(resource, kind.observe(resource, view))
            violation = find_violation(resource.spec, self.settings)
            if violation is not None:
                plan = restrict_plan(resource, plan, violation, self._store.get)
        except ApiError:
            raise
        except Exception as error:  # noqa: BLE001 - reported and logged by _internal_error
            return resource, *self._internal_error(resource, error)
        requeue_after = None if plan.requeue_after is None else plan.requeue_after.total_seconds()
        return resource, plan, Result(requeue_after=requeue_after)

    def _write_status(
        self, kind: AnyKind, resource: AnyResource, raw: dict[str, Any], plan: Plan, now: datetime
    ) -> Result | None:
        """Writes the status if it changed, then records events. Returns None, or the result of the reconciliation instead."""
        new = status.complete_status(kind, resource, plan, now)
        body = status.to_json(new)
        if not status.needs_write(body, raw.get("status") or {}):
            return None
        manifest = kind.api.same_version(raw, status=body)
        try:
            self._store.update_written(kind.api, self._writer.apply_status(kind.api, manifest, kind.field_manager))
        except ApiError as error:
            if error.not_found:
                return DONE
            if not error.conflict:
                raise
            refresh(self._client, self._store, resource.reference)
            return REQUEUE
        for event in (*status.ready_events(kind, resource.status.conditions, new.conditions, plan), *plan.events):
            self._recorder.record(resource, event, now)
        return None

    def _internal_error(self, resource: AnyResource, error: Exception) -> tuple[Plan, Result]:
        """Reports a fault of the operator with its text at once. It is retried a few times, and then with the next change of the resource."""
        logger.error("%s: could not be reconciled", resource.reference, exc_info=error)
        before = self._internal_errors.get(resource.reference)
        count = before.count + 1 if before is not None and before.generation == resource.generation else 1
        self._internal_errors[resource.reference] = InternalErrors(resource.generation, count)
        is_last = count >= MAX_INTERNAL_ERRORS
        # The sentence stays the same from here on: a status that counts would be written, and so reconciled, without an end.
        again = (
            f"it was tried {MAX_INTERNAL_ERRORS} times, and is tried again when the resource changes or the operator restarts"
            if is_last
            else "it is tried again by itself"
        )
        text = " ".join(str(error).split())[:MAX_ERROR_LENGTH]
        message = (
            f"{resource.reference} could not be reconciled ({type(error).__name__}: {text}); "
            f"this is a fault of the operator, whose log has the details; {again}"
        )
        return error_plan(resource, INTERNAL_ERROR, message, stalled=is_last), DONE if is_last else RETRY

"""Fenced writes: no request is sent unless this process may still be the leader."""

import logging
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

from flywheel.cluster.client import Client
from flywheel.cluster.errors import NotLeading
from flywheel.core.resource.api import Api, Manifest, Reference

logger = logging.getLogger(__name__)

# No object has this resourceVersion, so an apply with it creates a missing object (201) and never changes an existing one (409); measured.
MUST_BE_MISSING = "1"


class Writer:
    """All writes of the reconcilers. Each takes a whole manifest and returns the object as the server stored it.

    Each raises ApiError if the request was refused, and NotLeading if it was not sent: `may_write` is called before it.
    `exit_after_writes` ends the process right after that many successful writes: an end-to-end test sets it, to show that the operator
    can be killed after any write. Writes are then sent one at a time, so that none is under way whose answer nobody would see.
    """

    def __init__(self, client: Client, may_write: Callable[[], bool], exit_after_writes: int | None = None) -> None:
        self._client = client
        self._may_write = may_write
        self._exit_after_writes = exit_after_writes
        self._count = 0
        self._counting = threading.Lock()
        self._sending = nullcontext() if exit_after_writes is None else threading.Lock()

    def create(self, api: Api, manifest: Manifest, manager: str) -> dict[str, Any]:
        """Applies an object that must not exist yet. The ApiError is a `conflict` if the name is taken."""
        return self._apply("create", api, manifest, manager, {"resourceVersion": MUST_BE_MISSING})

    def update(self, api: Api, manifest: Manifest, manager: str, uid: str) -> dict[str, Any]:
        """Applies to the object of that uid; the ApiError has status 409 or 422 if the object is another one by now.

        A resourceVersion in its metadata causes 409 if the object has changed.
        """
        return self._apply("update", api, manifest, manager, {"uid": uid})

    def apply_status(self, api: Api, manifest: Manifest, manager: str) -> dict[str, Any]:
        """Applies to the status. Its metadata has the resourceVersion that was observed, which causes 409 if the object has changed."""
        return self._apply("status", api, manifest, manager, subresource="status")

    def apply_event(self, api: Api, manifest: Manifest, manager: str) -> None:
        """Applies an event, new or with a series that counts its repetitions."""
        self._apply("event", api, manifest, manager)

    def delete(self, reference: Reference, uid: str) -> dict[str, Any] | None:
        """Deletes the object of that uid. Returns None if it does not exist, else the response: a Status, or the object if a finalizer holds it."""
        with self._sending:
            self._fence()
            response = self._client.delete(reference, uid)
            if response is not None:
                self._log_write("delete", reference)
        return response

    def _apply(
        self,
        verb: str,
        api: Api,
        manifest: Manifest,
        manager: str,
        preconditions: Mapping[str, str] | None = None,
        subresource: str = "",
    ) -> dict[str, Any]:
        metadata = manifest["metadata"]
        body = {**manifest, "metadata": {**metadata, **(preconditions or {})}}
        with self._sending:
            self._fence()
            stored, _created = self._client.apply(api, body, manager, subresource)
            self._log_write(verb, Reference(api, metadata["namespace"], metadata["name"]))
        return stored

    def _fence(self) -> None:
        if not self._may_write():
            raise NotLeading

    def _log_write(self, verb: str, target: Reference) -> None:
        with self._counting:
            self._count += 1
            logger.info("write %d %s %s %s/%s", self._count, verb, target.api.kind, target.namespace, target.name)
            if self._count == self._exit_after_writes:
                logging.shutdown()
                os._exit(137)

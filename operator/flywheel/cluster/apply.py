"""Fenced writes: no request is sent unless this process may still be the leader."""

import logging
import os
import threading
from collections.abc import Callable
from typing import Any

from flywheel.cluster.client import Client
from flywheel.cluster.errors import NotLeading
from flywheel.core.resource.api import Api, Manifest, Reference

logger = logging.getLogger(__name__)

# No object has this resourceVersion, so an apply with it creates a missing object (201) and never changes an existing one (409); measured.
MUST_BE_MISSING = "1"


class Writer:
    """All writes of the reconcilers. Each takes a whole manifest and returns the object as the server stored it.

    `may_write` is called before each request. `exit_after_writes` ends the process right after that many successful writes: an end-to-end
    test sets it, to show that the operator can be killed after any write.
    """

    def __init__(self, client: Client, may_write: Callable[[], bool], exit_after_writes: int | None = None) -> None:
        self._client = client
        self._may_write = may_write
        self._exit_after_writes = exit_after_writes
        self._count = 0
        self._counting = threading.Lock()

    def create(self, api: Api, manifest: Manifest, manager: str) -> dict[str, Any]:
        """Applies an object that must not exist yet.

        Raises:
            ApiError: `conflict` if the name is taken.
            NotLeading: the request was not sent.
        """
        self._fence()
        body = {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": MUST_BE_MISSING}}
        stored, _created = self._client.apply(api, body, manager)
        self._log_write("create", api, manifest)
        return stored

    def update(self, api: Api, manifest: Manifest, manager: str, uid: str) -> dict[str, Any]:
        """Applies to the object of that uid. A resourceVersion in its metadata causes 409 if the object has changed.

        Raises:
            ApiError: the request was refused; with 409 or 422 if the object is another one by now.
            NotLeading: the request was not sent.
        """
        self._fence()
        body = {**manifest, "metadata": {**manifest["metadata"], "uid": uid}}
        stored, _created = self._client.apply(api, body, manager)
        self._log_write("update", api, manifest)
        return stored

    def apply_status(self, api: Api, manifest: Manifest, manager: str) -> dict[str, Any]:
        """Applies to the status. Its metadata has the resourceVersion that was observed, which causes 409 if the object has changed.

        Raises:
            ApiError: the request was refused.
            NotLeading: the request was not sent.
        """
        self._fence()
        stored, _created = self._client.apply(api, manifest, manager, "status")
        self._log_write("status", api, manifest)
        return stored

    def delete(self, reference: Reference, uid: str) -> dict[str, Any] | None:
        """Deletes the object of that uid. Returns None if it does not exist, else the response: a Status, or the object if a finalizer holds it.

        Raises:
            ApiError: the request was refused.
            NotLeading: the request was not sent.
        """
        self._fence()
        response = self._client.delete(reference, uid)
        if response is not None:
            self._log_write(
                "delete", reference.api, {"metadata": {"namespace": reference.namespace, "name": reference.name}}
            )
        return response

    def apply_event(self, api: Api, manifest: Manifest, manager: str) -> None:
        """Applies an event, new or with a series that counts its repetitions.

        Raises:
            ApiError: the request was refused.
            NotLeading: the request was not sent.
        """
        self._fence()
        self._client.apply(api, manifest, manager)
        self._log_write("event", api, manifest)

    def _fence(self) -> None:
        if not self._may_write():
            raise NotLeading

    def _log_write(self, verb: str, api: Api, manifest: Manifest) -> None:
        metadata = manifest["metadata"]
        with self._counting:
            self._count += 1
            logger.info("write %d %s %s %s/%s", self._count, verb, api.kind, metadata["namespace"], metadata["name"])
            if self._count == self._exit_after_writes:
                logging.shutdown()
                os._exit(137)

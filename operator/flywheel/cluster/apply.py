"""Writes, fenced: no request leaves unless this process may still be the leader."""

import logging
import os
import threading
from collections.abc import Callable
from typing import Any

from flywheel.cluster.client import Client
from flywheel.cluster.errors import NotLeading
from flywheel.core.resource.api import Api, Manifest, Reference

logger = logging.getLogger(__name__)

# No object has it, so an apply that carries it creates what is missing (201) and never touches what is there (409); measured.
MUST_BE_MISSING = "1"


class Writer:
    """All writes of the reconcilers. Each takes a whole manifest and returns the object as the server stored it.

    `may_write` is asked before each request. `die_after` ends the process right after that many successful writes: the end-to-end story
    `operator_killed` sets it, to show that no moment of death does harm.
    """

    def __init__(self, client: Client, may_write: Callable[[], bool], die_after: int | None = None) -> None:
        self._client = client
        self._may_write = may_write
        self._die_after = die_after
        self._count = 0
        self._counting = threading.Lock()

    def create(self, api: Api, manifest: Manifest, manager: str) -> dict[str, Any]:
        """Server-side apply of an object that must not exist yet.

        Raises:
            ApiError: `conflict` if the name is taken.
            NotLeading: nothing was sent.
        """
        self._fence()
        body = {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": MUST_BE_MISSING}}
        stored, _created = self._client.apply(api, body, manager)
        self._wrote("create", api, manifest)
        return stored

    def update(self, api: Api, manifest: Manifest, manager: str, uid: str) -> dict[str, Any]:
        """Server-side apply to the object of that uid. With a resourceVersion in its metadata, 409 if it is another by now.

        Raises:
            ApiError: refused; 409 or 422 if the object is another than the one that was looked at.
            NotLeading: nothing was sent.
        """
        self._fence()
        body = {**manifest, "metadata": {**manifest["metadata"], "uid": uid}}
        stored, _created = self._client.apply(api, body, manager)
        self._wrote("update", api, manifest)
        return stored

    def status(self, api: Api, manifest: Manifest, manager: str) -> dict[str, Any]:
        """Server-side apply to the status. Its metadata carries the resourceVersion that was judged: 409 if it is another by now.

        Raises:
            ApiError: refused.
            NotLeading: nothing was sent.
        """
        self._fence()
        stored, _created = self._client.apply(api, manifest, manager, "status")
        self._wrote("status", api, manifest)
        return stored

    def delete(self, reference: Reference, uid: str) -> dict[str, Any] | None:
        """Delete the object of that uid; None if it was gone, else the server's answer: a Status, or the object if it lingers.

        Raises:
            ApiError: refused.
            NotLeading: nothing was sent.
        """
        self._fence()
        answer = self._client.delete(reference, uid)
        if answer is not None:
            self._wrote(
                "delete", reference.api, {"metadata": {"namespace": reference.namespace, "name": reference.name}}
            )
        return answer

    def event(self, api: Api, manifest: Manifest, manager: str) -> None:
        """Server-side apply of an event, new or with a series that counts its repetitions.

        Raises:
            ApiError: refused.
            NotLeading: nothing was sent.
        """
        self._fence()
        self._client.apply(api, manifest, manager)
        self._wrote("event", api, manifest)

    def _fence(self) -> None:
        if not self._may_write():
            raise NotLeading

    def _wrote(self, verb: str, api: Api, manifest: Manifest) -> None:
        metadata = manifest["metadata"]
        with self._counting:
            self._count += 1
            logger.info("write %d %s %s %s/%s", self._count, verb, api.kind, metadata["namespace"], metadata["name"])
            if self._count == self._die_after:
                logging.shutdown()
                os._exit(137)

"""Compares a metadata-only LIST of everything with the store: at the start to wait for the sync, later to repair what a watch lost."""

import logging
from collections.abc import Sequence

from flywheel.cluster.client import Client
from flywheel.cluster.errors import ApiError
from flywheel.core.resource.api import Api, Reference
from flywheel.engine.cache.informer import MANAGED_SELECTOR
from flywheel.engine.cache.store import Store, resource_version

logger = logging.getLogger(__name__)


class NotInstalled(Exception):
    """A type of object is unknown to the API server or may not be listed. The text names it and the next step."""


class Resync:
    """Its methods block, so they are called from a thread. It lists all namespaces if none is given."""

    def __init__(
        self, client: Client, store: Store, kinds: Sequence[Api], children: Sequence[Api], namespaces: Sequence[str]
    ) -> None:
        self._client = client
        self._store = store
        self._selectors = dict.fromkeys(kinds, "") | dict.fromkeys(children, MANAGED_SELECTOR)
        self._namespaces: Sequence[str | None] = namespaces or (None,)

    def list_references(self) -> list[Reference]:
        """Returns the references of all objects.

        Raises:
            NotInstalled: a CRD or a right is missing.
            ApiError: a list failed.
        """
        return [
            reference
            for api in self._selectors
            for namespace in self._namespaces
            for reference, _version in self._list(api, namespace)[0]
        ]

    def repair(self) -> int:
        """Fetches what the store lacks or has in an older version, and removes what no longer exists. Returns how many objects differed.

        Raises:
            NotInstalled: a CRD or a right is missing.
            ApiError: a request failed.
        """
        return sum(self._repair(api, namespace) for api in self._selectors for namespace in self._namespaces)

    def _repair(self, api: Api, namespace: str | None) -> int:
        known = self._store.references(api)
        listed, list_version = self._list(api, namespace)
        lost = [reference for reference, version in listed if not self._store.has_seen(reference, version)]
        for reference in lost:
            live = self._client.get(reference)
            if live is not None:
                self._store.update_watched(api, live)
        listed_references = {reference for reference, _version in listed}
        vanished = [each for each in known if each not in listed_references and namespace in (None, each.namespace)]
        for reference in vanished:
            self._store.delete_unlisted(reference, list_version)
        if lost or vanished:
            logger.info("resync of %s: %d were not up to date, %d were gone", api, len(lost), len(vanished))
        return len(lost) + len(vanished)

    def _list(self, api: Api, namespace: str | None) -> tuple[list[tuple[Reference, int]], int]:
        try:
            response = self._client.list_metadata(api, namespace, self._selectors[api])
        except ApiError as error:
            if error.not_found:
                raise NotInstalled(f"The API server knows no {api}; install the CRDs of the chart") from error
            if error.forbidden:
                raise NotInstalled(
                    f"The operator may not list {api}: {error.message}; install the chart's RBAC"
                ) from error
            raise
        found = [
            (Reference(api, each["metadata"]["namespace"], each["metadata"]["name"]), resource_version(each))
            for each in response.get("items") or []
        ]
        return found, resource_version(response)

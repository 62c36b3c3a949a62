"""A metadata-only LIST of everything, compared with the store: at the start it opens the gate, later it heals what a watch lost."""

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
    """Blocking: call from a thread. No namespaces: all of them."""

    def __init__(
        self, client: Client, store: Store, kinds: Sequence[Api], children: Sequence[Api], namespaces: Sequence[str]
    ) -> None:
        self._client = client
        self._store = store
        self._selectors = dict.fromkeys(kinds, "") | dict.fromkeys(children, MANAGED_SELECTOR)
        self._namespaces: Sequence[str | None] = namespaces or (None,)

    def listed(self) -> list[Reference]:
        """Where everything is.

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

    def heal(self) -> int:
        """Fetch what the store lacks or has in an older form, drop what is no more. Returns how many objects were wrong.

        Raises:
            NotInstalled: a CRD or a right is missing.
            ApiError: a request failed.
        """
        return sum(self._heal(api, namespace) for api in self._selectors for namespace in self._namespaces)

    def _heal(self, api: Api, namespace: str | None) -> int:
        held = self._store.addresses(api)
        listed, taken_at = self._list(api, namespace)
        lost = [reference for reference, version in listed if not self._store.knows(reference, version)]
        for reference in lost:
            live = self._client.get(reference)
            if live is not None:
                self._store.saw(api, live)
        there = {reference for reference, _version in listed}
        vanished = [each for each in held if each not in there and namespace in (None, each.namespace)]
        for reference in vanished:
            self._store.absent(reference, taken_at)
        if lost or vanished:
            logger.info("resync of %s: %d were not up to date, %d were gone", api, len(lost), len(vanished))
        return len(lost) + len(vanished)

    def _list(self, api: Api, namespace: str | None) -> tuple[list[tuple[Reference, int]], int]:
        try:
            answer = self._client.list_metadata(api, namespace, self._selectors[api])
        except ApiError as error:
            if error.missing:
                raise NotInstalled(f"The API server knows no {api}; install the CRDs of the chart") from error
            if error.forbidden:
                raise NotInstalled(
                    f"The operator may not list {api}: {error.message}; install the chart's RBAC"
                ) from error
            raise
        found = [
            (Reference(api, each["metadata"]["namespace"], each["metadata"]["name"]), resource_version(each))
            for each in answer.get("items") or []
        ]
        return found, resource_version(answer)

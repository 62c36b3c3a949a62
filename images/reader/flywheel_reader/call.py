"""What every endpoint works with: the request of a caller, and the services of the process."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from flywheel_reader.access.callers import Authenticator, Caller
from flywheel_reader.access.objects import Objects
from flywheel_reader.access.rights import DATA_VERB, Rights
from flywheel_reader.errors import NotFound
from flywheel_reader.fair_slots import FairSlots
from flywheel_reader.namespaces import Namespaces, NamespaceStore
from flywheel_reader.store.credentials import missing_key_message


@dataclass(frozen=True)
class Services:
    """What one process has."""

    authenticator: Authenticator
    rights: Rights
    objects: Objects
    namespaces: Namespaces
    heavy: FairSlots  # for requests that hold megabytes


@dataclass(frozen=True)
class Call:
    """One request. `path` and `query` are those that the endpoint declares, checked; the caller is authenticated."""

    services: Services
    caller: Caller
    path: Mapping[str, str]
    query: Mapping[str, Any]
    headers: Mapping[str, str]

    @property
    def namespace(self) -> str:
        """The namespace in the path."""
        return self.path["namespace"]

    async def require(self, resource: str, name: str = "", verb: str = "get") -> None:
        """Raises Forbidden if the caller may not `verb` the resource in the namespace."""
        await self.services.rights.require(self.caller, verb, resource, self.namespace, name)

    async def require_data(self, resource: str, name: str) -> None:
        """Raises Forbidden if the caller may not read the data of the resource."""
        await self.require(resource, name, DATA_VERB)

    async def is_allowed(self, verb: str, resource: str, name: str = "") -> bool:
        """Whether the caller may `verb` the resource in the namespace."""
        return await self.services.rights.is_allowed(self.caller, verb, resource, self.namespace, name)

    def heavy_slot(self) -> AbstractAsyncContextManager[None]:
        """A turn for work that holds megabytes, fair among namespaces and callers. Raises TooSlow beyond its time."""
        return self.services.heavy.turn(self.namespace, self.caller.username)

    def store(self) -> NamespaceStore:
        """The namespace's store, for a caller whose right was checked. Raises NotFound."""
        store = self.services.namespaces.find(self.namespace)
        if store is None:
            raise NotFound(missing_key_message(self.namespace))
        return store

    async def object(self, resource: str, name: str) -> dict[str, Any]:
        """An object of the namespace, for a caller whose right was checked. Raises NotFound."""
        return await self.services.objects.get(resource, self.namespace, name)

"""One namespace's folder in the store: objects by key, read and listed, never written."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar, cast

import obstore
from obstore.exceptions import (
    BaseError,
    NotFoundError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import S3Store

from flywheel_reader.errors import StoreUnreachable, TooLarge
from flywheel_reader.store.credentials import Credentials

if TYPE_CHECKING:
    from obstore.store import S3Config

MAX_PARALLEL = 16  # requests of one namespace side by side
MAX_LISTED = 20_000
CHUNK_BYTES = 256 << 10
NAMES = {
    "AWS_ENDPOINT_URL": "endpoint",
    "AWS_ACCESS_KEY_ID": "access_key_id",
    "AWS_SECRET_ACCESS_KEY": "secret_access_key",
    "AWS_SESSION_TOKEN": "session_token",
}
T = TypeVar("T")


class ObjectMissing(Exception):
    """There is no object with this key."""


class Bucket:
    """`<prefix>/<namespace>/` of the namespace's bucket. Keys are relative to it."""

    def __init__(self, credentials: Credentials, namespace: str) -> None:
        self.namespace = namespace
        self._credentials = credentials
        self._values: Mapping[str, str] | None = None
        self._store: S3Store | None = None
        self._root = ""
        self._slots = asyncio.Semaphore(MAX_PARALLEL)

    async def get(self, key: str, limit: int) -> bytes:
        """A whole object of at most `limit` bytes. Raises ObjectMissing, TooLarge, StoreUnreachable."""

        async def request() -> bytes:
            found = await obstore.get_async(self._current(), self._root + key)
            if found.meta["size"] > limit:
                raise TooLarge(
                    f"'{key}' has {found.meta['size']:,} bytes, and the reader reads at most {limit:,} at once"
                )
            return bytes(await found.bytes_async())

        return await self._call(request)

    async def get_range(self, key: str, start: int, end: int) -> bytes:
        """Bytes `start` to `end` (exclusive) of an object. Raises ObjectMissing, StoreUnreachable."""

        async def request() -> bytes:
            return bytes(await obstore.get_range_async(self._current(), self._root + key, start=start, end=end))

        return await self._call(request)

    async def get_tail(self, key: str, size: int) -> tuple[bytes, int]:
        """The last `size` bytes of an object, fewer of a shorter one, and the size of the whole. Raises ObjectMissing, StoreUnreachable."""

        async def request() -> tuple[bytes, int]:
            found = await obstore.get_async(self._current(), self._root + key, options={"range": {"suffix": size}})
            return bytes(await found.bytes_async()), found.meta["size"]

        return await self._call(request)

    async def stream(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The chunks of an object, or of its bytes `start` to `end`. Raises ObjectMissing, StoreUnreachable."""

        async def request() -> AsyncIterator[bytes]:
            options: obstore.GetOptions | None = None
            if end is not None:
                options = {"range": (start, end)}
            elif start:
                options = {"range": {"offset": start}}
            found = await obstore.get_async(self._current(), self._root + key, options=options)
            return found.stream(CHUNK_BYTES)

        chunks = await self._call(request)
        try:
            async for chunk in chunks:
                yield bytes(chunk)
        except (BaseError, OSError) as error:
            raise self._unreachable(error) from error

    async def list(self, folder: str) -> list[tuple[str, datetime]]:
        """(key, time of its write) of all objects below a folder, in order, at most MAX_LISTED. Raises StoreUnreachable."""

        async def request() -> list[tuple[str, datetime]]:
            found: list[tuple[str, datetime]] = []
            store = self._current()
            async for page in obstore.list(store, self._root + folder, chunk_size=1000):
                found += [(each["path"].removeprefix(self._root), each["last_modified"]) for each in page]
                if len(found) >= MAX_LISTED:
                    break
            return sorted(found)

        return await self._call(request)

    async def _call(self, request: Callable[[], Awaitable[T]]) -> T:
        async with self._slots:
            try:
                return await request()
            except (FileNotFoundError, NotFoundError) as error:
                raise ObjectMissing from error
            except (BaseError, OSError, ValueError) as error:
                raise self._unreachable(error) from error

    def _current(self) -> S3Store:
        """The client with the credentials as they are now."""
        values = self._credentials.read(self.namespace)
        if self._store is None or values != self._values:
            prefix = values.get("FLYWHEEL_PREFIX", "").strip("/")
            self._root = f"{prefix}/{self.namespace}/" if prefix else f"{self.namespace}/"
            self._store = S3Store(
                values["FLYWHEEL_BUCKET"],
                config=_config(values),
                client_options={"allow_http": True, "connect_timeout": "2s", "timeout": "60s"},
                retry_config={"max_retries": 1, "retry_timeout": timedelta(seconds=4)},
            )
            self._values = values
        return self._store

    def _unreachable(self, error: Exception) -> StoreUnreachable:
        refused = isinstance(error, PermissionDeniedError | UnauthenticatedError)
        if refused:
            finding = f"the store refuses the reader's key for namespace '{self.namespace}'"
            step = f"correct the Secret 'flywheel-reader-store-{self.namespace}' in the reader's namespace"
        else:
            finding = f"the store of namespace '{self.namespace}' does not respond ({type(error).__name__})"
            step = "retry when it is back"
        return StoreUnreachable(f"{finding}; {step}")


def _config(values: Mapping[str, str]) -> "S3Config":
    """Without an endpoint the store is AWS's; without a key the pod's own identity is used."""
    options = {name: values[key] for key, name in NAMES.items() if values.get(key)}
    return cast("S3Config", {"region": values.get("AWS_REGION") or "us-east-1", **options})

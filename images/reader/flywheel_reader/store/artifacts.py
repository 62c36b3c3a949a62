"""Artifacts by digest: manifests, and the files that they list, verified."""

import hashlib
import re
from collections.abc import AsyncIterator

from flywheel_reader.errors import NotFound, StoredDataInvalid, TooLarge
from flywheel_reader.fair_slots import FairSlots
from flywheel_reader.store.bucket import Bucket, ObjectMissing
from flywheel_reader.store.manifests import (
    MAX_MANIFEST_BYTES,
    File,
    Files,
    ManifestCache,
    parse_manifest,
    too_many_files,
)
from flywheel_reader.workers import run_in_worker

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
SMALL_MANIFEST_BYTES = 64 << 10


class Artifacts:
    """The artifacts of one namespace. A manifest of more than 64 KiB is read in a turn of `heavy`, which its caller must not have yet."""

    def __init__(self, bucket: Bucket, manifests: ManifestCache, heavy: FairSlots) -> None:
        self._bucket = bucket
        self._manifests = manifests
        self._heavy = heavy

    async def files(self, digest: str) -> Files:
        """The files of an artifact by their path. Raises NotFound, TooLarge, StoredDataInvalid, StoreUnreachable."""
        namespace = self._bucket.namespace
        known = self._manifests.get(namespace, digest)
        if known is not None:
            return known
        if not DIGEST.fullmatch(digest):
            raise StoredDataInvalid("the record names an artifact by what is no digest; train again")
        try:
            files = await self._read_manifest(digest, SMALL_MANIFEST_BYTES)
        except TooLarge:
            async with self._heavy.turn(namespace):
                try:
                    files = await self._read_manifest(digest, MAX_MANIFEST_BYTES)
                except TooLarge as error:
                    raise too_many_files(digest) from error
        self._manifests.put(namespace, digest, files)
        return files

    async def file(self, digest: str, path: str) -> File:
        """One file of an artifact. Raises NotFound, StoredDataInvalid, StoreUnreachable."""
        file = (await self.files(digest)).get(path)
        if file is None:
            raise NotFound("the artifact has no file of this path; its parent path lists those that it has")
        return file

    async def read(self, file: File, limit: int) -> bytes:
        """The whole content, verified. Raises TooLarge, NotFound, StoredDataInvalid, StoreUnreachable."""
        if file.size > limit:
            raise TooLarge(
                f"'{file.path}' has {file.size:,} bytes, more than {limit:,}; download it by its path under files/"
            )
        try:
            content = await self._bucket.get(file.key, limit)
        except ObjectMissing as error:
            raise missing_content(file) from error
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise wrong_content(file)
        return content

    async def stream(self, file: File, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The chunks of a file or of a range; a whole file is verified, and a wrong one breaks off before its last chunk."""
        whole = start == 0 and end in (None, file.size)
        digest, held = hashlib.sha256(), b""
        try:
            async for chunk in self._bucket.stream(file.key, start, None if whole else end):
                if held:
                    yield held
                held = chunk
                if whole:
                    digest.update(chunk)
        except ObjectMissing as error:
            raise missing_content(file) from error
        if whole and digest.hexdigest() != file.sha256:
            raise wrong_content(file)
        yield held

    async def _read_manifest(self, digest: str, limit: int) -> Files:
        hexadecimal = digest.removeprefix("sha256:")
        try:
            content = await self._bucket.get(f"manifests/sha256/{hexadecimal}.json", limit)
        except ObjectMissing as error:
            raise NotFound(f"the artifact {digest} is no longer in the store") from error
        if hashlib.sha256(content).hexdigest() != hexadecimal:
            raise StoredDataInvalid(
                f"the manifest of artifact {digest} has another digest; restore the store from a backup"
            )
        return await run_in_worker(parse_manifest, content, digest)


def missing_content(file: File) -> NotFound:
    """The error for a file that the manifest lists and the store lacks."""
    return NotFound(f"the content of '{file.path}' is no longer in the store")


def wrong_content(file: File) -> StoredDataInvalid:
    """The error for a file whose bytes are others."""
    return StoredDataInvalid(
        f"the content of '{file.path}' has another digest than the manifest; restore the store from a backup"
    )

"""Artifacts by digest: manifests, and the files that they list, verified."""

import hashlib
import re
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass

import orjson

from flywheel_reader.errors import NotFound, StoredDataInvalid, TooLarge
from flywheel_reader.store.bucket import Bucket, ObjectMissing

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
SHA256 = re.compile(r"[0-9a-f]{64}")
MAX_MANIFEST_BYTES = 8 << 20
MAX_CACHED_FILES = 50_000  # lines of manifests that are held, some 10 MiB


@dataclass(frozen=True, slots=True)
class File:
    """One line of a manifest."""

    path: str
    size: int
    sha256: str

    @property
    def key(self) -> str:
        """Where its content lies."""
        return f"blobs/sha256/{self.sha256[:2]}/{self.sha256}"


class Artifacts:
    """The artifacts of one namespace."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._manifests: OrderedDict[str, dict[str, File]] = OrderedDict()
        self._cached_files = 0

    async def files(self, digest: str) -> dict[str, File]:
        """The files of an artifact by their path. Raises NotFound, StoredDataInvalid, StoreUnreachable."""
        known = self._manifests.get(digest)
        if known is not None:
            self._manifests.move_to_end(digest)
            return known
        if not DIGEST.fullmatch(digest):
            raise StoredDataInvalid("the record names an artifact by what is no digest; train again")
        hexadecimal = digest.removeprefix("sha256:")
        try:
            content = await self._bucket.get(f"manifests/sha256/{hexadecimal}.json", MAX_MANIFEST_BYTES)
        except ObjectMissing as error:
            raise NotFound(f"the artifact {digest} is no longer in the store") from error
        if hashlib.sha256(content).hexdigest() != hexadecimal:
            raise StoredDataInvalid(
                f"the manifest of artifact {digest} has another digest; restore the store from a backup"
            )
        files = _parse_manifest(content, digest)
        self._remember(digest, files)
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

    def _remember(self, digest: str, files: dict[str, File]) -> None:
        self._manifests[digest] = files
        self._cached_files += len(files) + 1
        while self._cached_files > MAX_CACHED_FILES and len(self._manifests) > 1:
            _, removed = self._manifests.popitem(last=False)
            self._cached_files -= len(removed) + 1


def missing_content(file: File) -> NotFound:
    """The error for a file that the manifest lists and the store lacks."""
    return NotFound(f"the content of '{file.path}' is no longer in the store")


def wrong_content(file: File) -> StoredDataInvalid:
    """The error for a file whose bytes are others."""
    return StoredDataInvalid(
        f"the content of '{file.path}' has another digest than the manifest; restore the store from a backup"
    )


def _parse_manifest(content: bytes, digest: str) -> dict[str, File]:
    try:
        lines = [
            File(str(line["path"]), int(line["size"]), str(line["sha256"])) for line in orjson.loads(content)["files"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise StoredDataInvalid(f"the manifest of artifact {digest} cannot be read") from error
    if any(line.size < 0 or not SHA256.fullmatch(line.sha256) for line in lines):
        raise StoredDataInvalid(f"the manifest of artifact {digest} has a file without a valid digest")
    return {line.path: line for line in lines}

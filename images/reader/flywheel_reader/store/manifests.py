"""Manifests, which list an artifact's files: parsed within bounds, and remembered for all namespaces together."""

import re
from collections import OrderedDict
from dataclasses import dataclass

from flywheel_reader.errors import StoredDataInvalid, TooLarge
from flywheel_reader.store.json_documents import parse_json

SHA256 = re.compile(r"[0-9a-f]{64}")
MAX_FILES = 10_000  # of an artifact; collect stores no more that code logged
MAX_MANIFEST_BYTES = 4 << 20
MAX_MANIFEST_VALUES = 100_000
MAX_CACHED_BYTES = 8 << 20
FILE_BYTES, MANIFEST_BYTES = 384, 1024  # of memory, beside the paths


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


Files = dict[str, File]  # by their paths


class ManifestCache:
    """The manifests that were read last, by namespace and digest."""

    def __init__(self, max_bytes: int = MAX_CACHED_BYTES) -> None:
        self.bytes = 0
        self._max_bytes = max_bytes
        self._manifests: OrderedDict[tuple[str, str], Files] = OrderedDict()

    def get(self, namespace: str, digest: str) -> Files | None:
        """The files of an artifact, None if they are not remembered."""
        key = (namespace, digest)
        files = self._manifests.get(key)
        if files is not None:
            self._manifests.move_to_end(key)
        return files

    def put(self, namespace: str, digest: str, files: Files) -> None:
        """Remembers the files, and forgets those that were used longest ago."""
        key = (namespace, digest)
        if key in self._manifests:
            return
        self._manifests[key] = files
        self.bytes += _memory(files)
        while self.bytes > self._max_bytes and len(self._manifests) > 1:
            _, removed = self._manifests.popitem(last=False)
            self.bytes -= _memory(removed)


def parse_manifest(content: bytes, digest: str) -> Files:
    """The files of a manifest. Raises StoredDataInvalid, TooLarge."""
    try:
        lines = parse_json(content, MAX_MANIFEST_VALUES)["files"]
        if len(lines) > MAX_FILES:
            raise too_many_files(digest)
        files = [File(str(line["path"]), int(line["size"]), str(line["sha256"])) for line in lines]
    except (ValueError, KeyError, TypeError) as error:
        raise StoredDataInvalid(f"the manifest of artifact {digest} cannot be read") from error
    if any(file.size < 0 or not SHA256.fullmatch(file.sha256) for file in files):
        raise StoredDataInvalid(f"the manifest of artifact {digest} has a file without a valid digest")
    return {file.path: file for file in files}


def too_many_files(digest: str) -> TooLarge:
    """The error for an artifact whose list is not read."""
    return TooLarge(
        f"artifact {digest} has more than {MAX_FILES:,} files, or a list of more than {MAX_MANIFEST_BYTES:,} bytes, which the reader "
        "does not read; put small files into archives"
    )


def _memory(files: Files) -> int:
    return MANIFEST_BYTES + sum(FILE_BYTES + len(path) for path in files)

"""The store of one namespace: artifacts by digest, and results of attempts."""

import hashlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from flywheel_runtime.contract.errors import (
    ArtifactMissing,
    DigestMismatch,
    ManifestInvalid,
    ObjectMissing,
    PreconditionFailed,
)
from flywheel_runtime.contract.safe_files import ConfinedPath
from flywheel_runtime.store.credentials import namespace_folder, store_access
from flywheel_runtime.store.download import download
from flywheel_runtime.store.manifest import DIGEST, File, Manifest
from flywheel_runtime.store.retry import Retry
from flywheel_runtime.store.s3 import Bucket
from flywheel_runtime.store.upload import blob_key, upload

MAX_PARALLEL_TRANSFERS = 4  # transfers side by side
MAX_MANIFEST_BYTES = 64 << 20  # bytes
MAX_RESULT_BYTES = 4 << 20


@dataclass(frozen=True)
class Store:
    """`<prefix>/<namespace>/` of one bucket. Raises what Bucket raises, after `retry` has given up."""

    bucket: Bucket
    root: str
    retry: Retry

    @classmethod
    def from_env(cls, env: Mapping[str, str], namespace: str, retry: Retry) -> "Store":
        """From the store's Secret (store/credentials.py). Raises SecretIncomplete."""
        root = namespace_folder({**env, "FLYWHEEL_NAMESPACE": namespace})
        return cls(Bucket(store_access(env)), root, retry)

    def with_deadline(self, deadline: float, patience: float = float("inf")) -> "Store":
        """The same store, whose calls give up at `deadline` (time.monotonic), or after `patience` seconds without a success."""
        return replace(self, retry=replace(self.retry, patience=patience, deadline=deadline))

    def put(self, files: Iterable[tuple[str, Path | ConfinedPath]]) -> Manifest:
        """Write (name, file) pairs as an artifact, blobs first, manifest last; what is there already is not sent.

        The folder of a file that is given as a Path must be ours alone.

        Raises UnsafeFile, FileChanged, ManifestInvalid, StoreError.
        """
        with ThreadPoolExecutor(MAX_PARALLEL_TRANSFERS) as pool:
            lines = pool.map(lambda file: upload(self.bucket, self.root, file[1], file[0], self.retry), files)
            manifest = Manifest.of_files(lines)
        self.commit(_manifest_key(manifest.digest), manifest.encode())
        return manifest

    def manifest(self, digest: str) -> Manifest:
        """An artifact's manifest, checked. Raises ArtifactMissing, DigestMismatch, ManifestInvalid, StoreError."""
        if not DIGEST.fullmatch(digest):
            raise ManifestInvalid(f"{digest!r} is no digest")
        try:
            text = self.get(_manifest_key(digest), MAX_MANIFEST_BYTES)
        except ObjectMissing as error:
            raise ArtifactMissing(digest) from error
        found = hashlib.sha256(text).hexdigest()
        if f"sha256:{found}" != digest:
            raise DigestMismatch(found, digest.removeprefix("sha256:"))
        return Manifest.parse(text)

    def download_file(self, file: File, folder: Path) -> None:
        """Download one file of a manifest below `folder`. Raises ArtifactMissing, DigestMismatch, StoreError."""
        key = blob_key(self.root, file.sha256)
        try:
            download(
                folder / file.path,
                lambda start: self.bucket.stream(key, start=start),
                self.retry,
                sha256=file.sha256,
                size=file.size,
            )
        except ObjectMissing as error:
            raise ArtifactMissing(file.path) from error

    def read_file(self, file: File) -> bytes:
        """The bytes of a small file of a manifest. Raises ArtifactMissing, DigestMismatch, StoreError."""
        try:
            body = self.retry.call(lambda: self.bucket.get(blob_key(self.root, file.sha256), limit=MAX_RESULT_BYTES))
        except ObjectMissing as error:
            raise ArtifactMissing(file.path) from error
        if (found := hashlib.sha256(body).hexdigest()) != file.sha256:
            raise DigestMismatch(found, file.sha256)
        return body

    def result(self, key: str) -> bytes | None:
        """The committed result of an attempt, or None."""
        try:
            return self.get(key, MAX_RESULT_BYTES)
        except ObjectMissing:
            return None

    def result_before(self, key: str, time: datetime) -> bytes | None:
        """The committed result of an attempt if the store wrote it before `time`, or None."""
        try:
            found, written_at = self.retry.call(
                lambda: self.bucket.get_with_time(self.root + key, limit=MAX_RESULT_BYTES)
            )
        except ObjectMissing:
            return None
        return found if written_at is not None and written_at < time else None

    def commit(self, key: str, body: bytes) -> bytes:
        """Write a small object once; the one that counts: this one, or an earlier one."""
        try:
            self.create(key, body)
        except PreconditionFailed:
            return self.get(key, MAX_MANIFEST_BYTES)
        return body

    def create(self, key: str, body: bytes) -> None:
        """Write a small object that is not there yet. Raises PreconditionFailed, StoreError."""
        self.retry.call(lambda: self.bucket.put(self.root + key, body, only_new=True))

    def exists(self, key: str) -> bool:
        """Whether there is an object. One that may not be read counts as absent."""
        return self.retry.call(lambda: self.bucket.has(self.root + key))

    def replace(self, key: str, body: bytes) -> None:
        """Write a small object, whatever is there: a pointer to the newest of something."""
        self.retry.call(lambda: self.bucket.put(self.root + key, body))

    def get(self, key: str, limit: int) -> bytes:
        """A small object as a whole. Raises ObjectMissing, StoreError."""
        return self.retry.call(lambda: self.bucket.get(self.root + key, limit=limit))

    def list_names(self, folder: str) -> list[str]:
        """The keys of all objects below a folder, without its own, in order."""
        prefix = self.root + folder
        return self.retry.call(lambda: [each.key[len(prefix) :] for each in self.bucket.list(prefix)])


def _manifest_key(digest: str) -> str:
    return f"manifests/sha256/{digest.removeprefix('sha256:')}.json"

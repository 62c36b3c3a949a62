"""Where rows come from, and where predictions go: files by listing, bytes by range, with every answer of a store in words."""

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from flywheel_runtime.commands.batch.config import BatchConfig
from flywheel_runtime.contract.config.fetch import S3Source
from flywheel_runtime.contract.errors import (
    Failure,
    ManifestInvalid,
    ObjectMissing,
    PreconditionFailed,
    StoreError,
    UnsafeFile,
)
from flywheel_runtime.contract.paths import Paths
from flywheel_runtime.contract.safe_files import ConfinedPath
from flywheel_runtime.store import installation
from flywheel_runtime.store.errors import Owner, as_failure
from flywheel_runtime.store.foreign import open_foreign
from flywheel_runtime.store.manifest import check_path
from flywheel_runtime.store.retry import Retry
from flywheel_runtime.store.s3 import Bucket

BLOCK = 8 << 20  # bytes of one request


@dataclass(frozen=True)
class File:
    """One file of the input: its path from there, its size in bytes, and the tag that tells its versions apart."""

    path: str
    size: int
    etag: str


class Source(Protocol):
    """The input."""

    @property
    def name(self) -> str:
        """How messages call it."""

    def files(self) -> list[File]:
        """All files in the order of their paths; Failure SourceMissing or EmptySource."""

    def read_range(self, file: File, start: int, stop: int) -> bytes:
        """The bytes from `start` up to `stop`; Failure InputChanged if the file is no longer the one that was listed."""


def blocks(source: Source, file: File, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
    """A range of a file (the whole of it by default), block after block."""
    end = file.size if stop is None else stop
    for at in range(start, end, BLOCK):
        yield source.read_range(file, at, min(at + BLOCK, end))


def open_source(config: BatchConfig, paths: Paths, env: Mapping[str, str]) -> Source:
    """The input that is configured. Failure where its address cannot be right, or the installation's credentials may not be used."""
    place, volume = config.input.s3, config.input.volume
    if place is not None:
        where = "spec.input.s3"
        if not place.foreign:
            return Folder(place, installation.open_readable(place.uri, env), _installation_owner(env, where))
        return Folder(place, *open_foreign(place, "SOURCE", env, f"{where}."))
    if volume is None:
        raise Failure("InternalError", "params.json has no input; this is a fault of the operator", retry=False)
    return Volume(volume.path, paths.volumes / "source")


def open_output(config: BatchConfig, env: Mapping[str, str]) -> "Folder":
    """The output's folder. Failure OutputNotAllowed inside the input, and where the installation's own credentials would write into
    what is others'."""
    place, source = config.output.s3, config.input.s3
    if source is not None and _is_inside(place, source):
        words = f"'{place.uri}' lies inside the input '{source.uri}', where the next run would read it"
        raise Failure("OutputNotAllowed", f"{words}; choose another spec.output.s3.uri")
    where = "spec.output.s3"
    if not place.foreign:
        return Folder(place, installation.open_writable(place.uri, env), _installation_owner(env, where))
    return Folder(place, *open_foreign(place, "OUTPUT", env, f"{where}."))


def _is_inside(place: S3Source, folder: S3Source) -> bool:
    return folder.uri.endswith("/") and place.uri.startswith(folder.uri) and place.endpoint == folder.endpoint


@dataclass(frozen=True)
class Folder:
    """A folder, or one object, in a store."""

    place: S3Source
    bucket: Bucket
    owner: Owner
    retry: Retry = field(default_factory=Retry)

    @property
    def name(self) -> str:
        return self.place.uri

    def files(self) -> list[File]:
        prefix = self.place.key
        with self.translate_errors():
            if prefix and not prefix.endswith("/"):
                return [self._one(prefix)]
            found = self.retry.call(lambda: list(self.bucket.list(prefix)))
        files = [File(each.key.removeprefix(prefix), each.size, each.etag) for each in found if each.size]
        return _sorted(self.name, files)

    def _one(self, key: str) -> File:
        try:
            found = self.retry.call(lambda: self.bucket.head(key))
        except ObjectMissing as error:
            words = f"'{self.name}' does not exist at {self.bucket.access.place}"
            raise Failure("SourceMissing", f"{words}; upload it or correct spec.input", retry=True) from error
        if not found.size:
            raise Failure(
                "EmptySource", f"'{self.name}' has no bytes; upload the data or correct spec.input", retry=True
            )
        return File(key.rpartition("/")[2], found.size, found.etag)

    def read_range(self, file: File, start: int, stop: int) -> bytes:
        whole = self.place.key.endswith("/") or not self.place.key
        key = self.place.key + file.path if whole else self.place.key
        with self.translate_errors():
            try:
                return self.retry.call(lambda: self.bucket.read_range(key, start, stop, file.etag))
            except (PreconditionFailed, ObjectMissing) as error:
                raise _changed(self.name, file) from error

    @contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Turns what the store answers into the sentence about it."""
        try:
            yield
        except StoreError as error:
            failed = "SourceUnreachable" if self.owner.foreign else "StoreUnreachable"
            access = self.bucket.access
            raise as_failure(error, access, self.owner, refused="CredentialsRefused", failed=failed) from error


@dataclass(frozen=True)
class Volume:
    """Files at a path `name` on a PersistentVolumeClaim that is mounted at `root`.

    Others may write to the volume at any time, and this process has the store's key: links lead nowhere outside of the volume.
    """

    name: str
    root: Path

    def files(self) -> list[File]:
        with self._translate_errors():
            wanted = ConfinedPath.resolve(self.root, self.name)
            if stat.S_ISREG(wanted.status().st_mode):
                return [_describe(wanted.status(), wanted.name)]
            found = [(file, file.relative_to(wanted)) for file in wanted.regular_files(skip=_is_hidden)]
            files = [_describe(file.status(), path) for file, path in found]
        return _sorted(self.name, [file for file in files if file.size])

    def read_range(self, file: File, start: int, stop: int) -> bytes:
        with self._translate_errors():
            wanted = ConfinedPath.resolve(self.root, self.name)
            path = wanted if stat.S_ISREG(wanted.status().st_mode) else wanted / file.path
            with path.open() as stream:
                stream.seek(start)
                body = stream.read(stop - start)
                if _describe(os.fstat(stream.fileno()), file.path) == file:
                    return body
        raise _changed(self.name, file)

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        """Turns what the volume answers into the sentence about it."""
        try:
            yield
        except FileNotFoundError as error:
            words = f"'{self.name}' does not exist on the volume"
            raise Failure("SourceMissing", f"{words}; write it or correct spec.input.pvc.path", retry=True) from error
        except UnsafeFile as error:
            words = f"'{self.name}' on the volume is, or leads to, {error}"
            raise Failure("SourceInvalid", f"{words}; write the files themselves at spec.input.pvc.path") from error
        except OSError as error:
            words = f"'{error.filename or self.name}' on the volume cannot be read ({error.strerror})"
            raise Failure("SourceUnreachable", f"{words}; let user 65532 read it", retry=True) from error


def _describe(facts: os.stat_result, path: str) -> File:
    return File(path, facts.st_size, f"{facts.st_mtime_ns}-{facts.st_size}")


def _changed(name: str, file: File) -> Failure:
    words = f"file '{file.path}' of '{name}' changed after it was listed"
    return Failure("InputChanged", f"{words}; the input is planned anew")


def _sorted(name: str, files: list[File]) -> list[File]:
    """Without hidden files and markers such as _SUCCESS; what a batch wrote is another's input without its manifest and errors."""
    seen = [file for file in files if not any(map(_is_hidden, file.path.split("/")))]
    if not seen:
        raise Failure("EmptySource", f"'{name}' holds no data; upload the data or correct spec.input", retry=True)
    for file in seen:
        try:
            check_path(file.path)
        except ManifestInvalid as error:
            words = f"file '{file.path}' of '{name}' cannot be read: {error}; rename it"
            raise Failure("SourceInvalid", words) from error
    return sorted(seen, key=lambda file: file.path)


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "_")) or name == "lost+found"


def _installation_owner(env: Mapping[str, str], where: str) -> Owner:
    return Owner(installation.installation_owner(env).secret, f"{where}.uri")

"""Inputs from object storage: artifacts of ours by digest, and objects of any bucket by URI."""

from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from flywheel_runtime.commands.fetch.item import Item
from flywheel_runtime.contract.checkpoint import Pointer
from flywheel_runtime.contract.config.fetch import FolderSource, S3Source
from flywheel_runtime.contract.errors import (
    ArtifactMissing,
    DigestMismatch,
    Failure,
    ManifestInvalid,
    ObjectMissing,
    PreconditionFailed,
    StoreError,
)
from flywheel_runtime.contract.paths import Attempt
from flywheel_runtime.store import installation
from flywheel_runtime.store.artifacts import Store
from flywheel_runtime.store.download import download
from flywheel_runtime.store.errors import Owner, as_failure
from flywheel_runtime.store.foreign import open_foreign
from flywheel_runtime.store.manifest import File, check_path
from flywheel_runtime.store.retry import Retry
from flywheel_runtime.store.s3 import Bucket, Listed

MAX_PARALLEL_LISTS = 4


def artifact_items(
    name: str, digest: str, folder: Path, store: Store, env: Mapping[str, str], paths: Collection[str] = ()
) -> list[Item]:
    """The files of a manifest, or those of these `paths` alone, below the input's folder."""

    @contextmanager
    def artifact_failure(what: str) -> Iterator[None]:
        """`what`: "<path> of " for one file, empty for the artifact itself."""
        try:
            with translate_errors(store.bucket, installation.installation_owner(env)):
                yield
        except ArtifactMissing as error:
            words = f"{what}input '{name}' ({digest}) is not in the store; run what made it again"
            raise Failure("ArtifactMissing", words) from error
        except DigestMismatch as error:
            words = (
                f"{what or 'the manifest of '}input '{name}' has sha256 {error.found} and should have {error.expected}"
            )
            cure = "it was changed in the store, so restore it or make it again"
            raise Failure("DigestMismatch", f"{words}; {cure}") from error
        except ManifestInvalid as error:
            words = f"the manifest of input '{name}' ({digest}) is damaged: {error}; run what made it again"
            raise Failure("ArtifactMissing", words) from error

    def download_of(file: File) -> Callable[[], None]:
        def one() -> None:
            with artifact_failure(f"{file.path} of "):
                store.download_file(file, folder)

        return one

    with artifact_failure(""):
        files = store.manifest(digest).files
    return [Item(file.size, download_of(file)) for file in files if not paths or file.path in paths]


def checkpoint_items(folder: Path, retry: Retry, env: Mapping[str, str]) -> list[Item]:
    """The files of the newest checkpoint that an attempt of this step left; none where none did."""
    store = installation.open_store(env, retry)
    with translate_errors(store.bucket, installation.installation_owner(env)):
        held = store.result(Attempt.from_env(env).checkpoint_key)
    pointer = Pointer.parse(held) if held else None
    return artifact_items("checkpoint", pointer.digest, folder, store, env) if pointer else []


def folder_items(source: FolderSource, folder: Path, retry: Retry, env: Mapping[str, str]) -> list[Item]:
    """The objects below the parts of a folder of the namespace, under their paths below that folder; none where there are none."""
    store = installation.open_store(env, retry)
    owner = installation.installation_owner(env)
    root = f"{store.root}{source.path}"
    with translate_errors(store.bucket, owner), ThreadPoolExecutor(MAX_PARALLEL_LISTS) as pool:
        parts = pool.map(lambda part: _list_folder(store.bucket, f"{root}{part}", retry), source.parts)
        found = [item for part in parts for item in part]
    place = S3Source(f"s3://{store.bucket.access.bucket}/{root}")
    return [_object_item(store.bucket, owner, place, item, None, folder, retry) for item in found]


def object_items(
    source: S3Source, sha256: str | None, folder: Path, retry: Retry, env: Mapping[str, str]
) -> list[Item]:
    """One object under its last name, or every object below a prefix under its path from there."""
    bucket, owner = _bucket(source, env)
    with translate_errors(bucket, owner):
        try:
            found = (
                _list_folder(bucket, source.key, retry)
                if source.many
                else [retry.call(lambda: bucket.head(source.key))]
            )
        except ObjectMissing as error:
            words = f"{source.uri} does not exist at {bucket.access.place}; upload it or correct the source"
            raise Failure("SourceMissing", words) from error
    if not found or (not source.many and found[0].size == 0):
        words = "has no bytes" if found else "holds no objects"
        raise Failure("EmptySource", f"{source.uri} {words}; upload the data or correct the source")
    if source.many and sha256:
        raise Failure("SourceInvalid", f"{source.uri} is a folder, and a sha256 is of one file")
    return [_object_item(bucket, owner, source, item, sha256, folder, retry) for item in found]


def _object_item(
    bucket: Bucket, owner: Owner, source: S3Source, item: Listed, sha256: str | None, folder: Path, retry: Retry
) -> Item:
    target = target_of(item, source.key, folder)

    def stream(start: int) -> Iterator[bytes]:
        return bucket.stream(item.key, start=start, etag=item.etag)

    def download_of() -> None:
        with translate_errors(bucket, owner):
            try:
                download(target, stream, retry, sha256=sha256, size=item.size)
            except DigestMismatch as error:
                words = f"{source.uri} has sha256 {error.found} and should have {error.expected}"
                raise Failure("DigestMismatch", f"{words}; one of them is wrong") from error
            except (PreconditionFailed, ObjectMissing) as error:
                words = f"object '{item.key}' changed while it was read; it is read again"
                raise Failure("SourceUnreachable", words, retry=True) from error

    return Item(item.size, download_of)


def target_of(item: Listed, prefix: str, folder: Path) -> Path:
    """Where an object goes: its key below a prefix that ends with `/`, else its last name. Failure SourceInvalid."""
    path = item.key.removeprefix(prefix) if not prefix or prefix.endswith("/") else item.key.rpartition("/")[2]
    try:
        check_path(path)
    except ManifestInvalid as error:
        words = f"object '{item.key}' cannot be a file: {error}; rename it or leave it out"
        raise Failure("SourceInvalid", words) from error
    return folder / path


def _list_folder(bucket: Bucket, prefix: str, retry: Retry) -> list[Listed]:
    found = retry.call(lambda: list(bucket.list(prefix)))
    return [item for item in found if not item.key.endswith("/")]  # markers of empty folders


def _bucket(source: S3Source, env: Mapping[str, str]) -> tuple[Bucket, Owner]:
    if not source.foreign:
        owner = Owner(installation.installation_owner(env).secret, "the source's uri")
        return installation.open_readable(source.uri, env), owner
    return open_foreign(source, "SOURCE", env, "the source's ")


@contextmanager
def translate_errors(bucket: Bucket, owner: Owner) -> Iterator[None]:
    """Turns what a store answers into the sentence about it."""
    try:
        yield
    except StoreError as error:
        failed = "SourceUnreachable" if owner.foreign else "StoreUnreachable"
        raise as_failure(error, bucket.access, owner, refused="CredentialsRefused", failed=failed) from error

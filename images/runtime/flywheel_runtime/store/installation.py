"""The installation's own store, from its mounted Secret, and the places for which its credentials may be used."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import unquote

from flywheel_runtime.contract.errors import Failure, SecretIncomplete, StoreError
from flywheel_runtime.store.artifacts import Store
from flywheel_runtime.store.credentials import namespace_folder, read_store_secret, store_access
from flywheel_runtime.store.errors import Owner, as_failure
from flywheel_runtime.store.retry import Retry
from flywheel_runtime.store.s3 import Bucket

READABLE_VARIABLE = "FLYWHEEL_READABLE"
# The folders of a namespace that Flywheel writes, which are not for the outputs of a batch.
RESERVED_FOLDERS = (
    "audit", "blobs", "champions", "checkpoints", "curves", "manifests", "predictions", "results", "tracking",
)  # fmt: skip


def installation_owner(env: Mapping[str, str]) -> Owner:
    secret = f"Secret '{env.get('FLYWHEEL_STORE_SECRET') or 'flywheel-store'}'"
    return Owner(secret, f"FLYWHEEL_BUCKET in {secret}")


def open_store(env: Mapping[str, str], retry: Retry) -> Store:
    """The folder of the pod's namespace. Failure if the Secret lacks its bucket, or has no URL as its endpoint."""
    with translate_secret_errors(env):
        return Store.from_env(env, env["FLYWHEEL_NAMESPACE"], retry)


def open_readable(uri: str, env: Mapping[str, str]) -> Bucket:
    """The bucket of an S3 URI, with the installation's credentials.

    Raises:
        Failure: SourceNotAllowed, since the URI is neither in the namespace's folder nor in one that all may read.
    """
    with translate_secret_errors(env):
        own = _own_folder(env)
        shared = tuple((env.get(READABLE_VARIABLE) or "").split())
        if not any(is_inside(uri, folder) for folder in (own, *shared)):
            also = f" or in a folder that all namespaces may read ({', '.join(shared)})" if shared else ""
            raise Failure(
                "SourceNotAllowed",
                f"'{uri}' is not in this namespace's folder '{own}'{also}, where alone the installation's credentials are used; "
                "copy the data there, or give the source a Secret with credentials of its own",
            )
        return Bucket(store_access(env, _bucket_of(uri)))


def open_writable(uri: str, env: Mapping[str, str]) -> Bucket:
    """The bucket of an S3 URI for outputs, with the installation's credentials.

    Raises:
        Failure: OutputNotAllowed, since the URI is not in the namespace's folder, or in a part of it that Flywheel writes itself.
    """
    with translate_secret_errors(env):
        own = _own_folder(env)
        below = uri.removeprefix(own)
        if not is_inside(uri, own) or not below or below.partition("/")[0] in RESERVED_FOLDERS:
            raise Failure(
                "OutputNotAllowed",
                f"'{uri}' is no place for outputs: the installation's credentials write below '{own}' alone, but for "
                f"{', '.join(RESERVED_FOLDERS)}; correct spec.output.s3.uri, or give the output a Secret with credentials of its own",
            )
        return Bucket(store_access(env, _bucket_of(uri)))


def is_inside(uri: str, folder: str) -> bool:
    """Whether an S3 URI names the folder, which ends with `/`, or something below it. Keys with empty or dotted parts are in none."""
    key = unquote(uri).removeprefix("s3://").partition("/")[2]
    parts = key.removesuffix("/").split("/")
    return uri.startswith(folder) and not any(part in ("", ".", "..") for part in parts)


def _own_folder(env: Mapping[str, str]) -> str:
    return f"s3://{read_store_secret(env)['FLYWHEEL_BUCKET']}/{namespace_folder(env)}"


def _bucket_of(uri: str) -> str:
    return uri.removeprefix("s3://").partition("/")[0]


@contextmanager
def translate_secret_errors(env: Mapping[str, str]) -> Iterator[None]:
    """Turns what is wrong with the store's Secret into a Failure."""
    try:
        yield
    except SecretIncomplete as error:
        secret = installation_owner(env).secret
        raise Failure(error.reason, f"{secret} {error.finding}", retry=True) from error


@contextmanager
def translate_errors(env: Mapping[str, str], store: Store, failed: str = "StoreUnreachable") -> Iterator[None]:
    """Turns a StoreError of the installation's store into a Failure; `failed` is its reason unless the store refuses the keys."""
    try:
        yield
    except StoreError as error:
        owner = installation_owner(env)
        raise as_failure(error, store.bucket.access, owner, refused="StoreRefused", failed=failed) from error

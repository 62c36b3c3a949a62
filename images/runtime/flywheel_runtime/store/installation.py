"""The installation's own store, from the keys of its Secret in the environment."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from flywheel_runtime.contract.errors import Failure, StoreError
from flywheel_runtime.store.artifacts import Store
from flywheel_runtime.store.errors import Owner, as_failure
from flywheel_runtime.store.retry import Retry


def installation_owner(env: Mapping[str, str]) -> Owner:
    secret = f"Secret '{env.get('FLYWHEEL_STORE_SECRET') or 'flywheel-store'}'"
    return Owner(secret, f"FLYWHEEL_BUCKET in {secret}")


def open_store(env: Mapping[str, str], retry: Retry) -> Store:
    """The folder of the pod's namespace. Failure if the Secret lacks its bucket or has no URL as its endpoint."""
    secret = installation_owner(env).secret
    if not env.get("FLYWHEEL_BUCKET"):
        raise Failure("BucketMissing", f"{secret} has no FLYWHEEL_BUCKET; add it", retry=True)
    try:
        return Store.from_env(env, env["FLYWHEEL_NAMESPACE"], retry)
    except ValueError as error:
        words = f"AWS_ENDPOINT_URL in {secret} is '{env.get('AWS_ENDPOINT_URL')}', which is no URL; correct it"
        raise Failure("StoreUnreachable", words, retry=True) from error


@contextmanager
def translate_errors(env: Mapping[str, str], store: Store, failed: str = "StoreUnreachable") -> Iterator[None]:
    """Turns a StoreError of the installation's store into a Failure; `failed` is its reason unless the store refuses the keys."""
    try:
        yield
    except StoreError as error:
        owner = installation_owner(env)
        raise as_failure(error, store.bucket.access, owner, refused="StoreRefused", failed=failed) from error

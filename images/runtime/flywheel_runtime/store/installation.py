"""The installation's own store, from the keys of its Secret in the environment."""

from collections.abc import Mapping

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.store.artifacts import Store
from flywheel_runtime.store.errors import Owner
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

"""Another store than the installation's, with the credentials of the Secret that a source or an output names.

The Secret is mounted as a folder and read again for every request, so that a rotated key needs no restart.
"""

from collections.abc import Callable, Mapping
from typing import Literal
from urllib.parse import urlsplit

from flywheel_runtime.contract.config.fetch import S3Source
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.store.access import Access
from flywheel_runtime.store.credentials import read_keys
from flywheel_runtime.store.errors import Owner
from flywheel_runtime.store.s3 import Bucket
from flywheel_runtime.transport.hosts import check_endpoint

Role = Literal["SOURCE", "OUTPUT"]


def open_foreign(place: S3Source, role: Role, env: Mapping[str, str], field: str) -> tuple[Bucket, Owner]:
    """The bucket of an S3 URI, and whose it is. `field` is how messages call the place, such as `spec.input.s3.`.

    Raises:
        Failure: the endpoint is no URL, or at an address that no source may use; or a key of the Secret cannot be read.
    """
    owner = Owner(f"Secret '{place.secret}'" if place.secret else "the source's Secret", f"{field}uri", foreign=True)
    try:
        return Bucket(_access(place, role, env)), owner
    except ValueError as error:
        words = f"the endpoint '{place.endpoint}' is no URL; correct {field}endpoint"
        if place.endpoint is None:
            words = f"AWS_ENDPOINT_URL in {owner.secret} is no URL; correct it"
        raise Failure("SourceInvalid", words) from error


def _access(place: S3Source, role: Role, env: Mapping[str, str]) -> Callable[[], Access]:
    """A function that returns the access with the credentials as they are then. Its host is checked whenever it changes."""
    given = {"AWS_ENDPOINT_URL": place.endpoint, "AWS_REGION": place.region}
    checked = set[str]()

    def find() -> Access:
        keys = read_keys(env, f"FLYWHEEL_{role}_FOLDER", f"{role}_")
        access = Access.from_env(
            {**keys, **{key: text for key, text in given.items() if text}}, place.bucket, foreign=True
        )
        if access.place not in checked:
            check_endpoint(urlsplit(access.place).hostname or "")
            checked.add(access.place)
        return access

    return find

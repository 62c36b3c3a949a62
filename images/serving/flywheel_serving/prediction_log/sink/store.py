"""The installation's store as the writer uses it: one bucket, objects that are written once."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

if TYPE_CHECKING:
    from obstore.store import S3Config

SECRET_KEYS = ("FLYWHEEL_BUCKET", "FLYWHEEL_PREFIX", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_SESSION_TOKEN")  # fmt: skip


class StoreFailed(Exception):
    """Nothing was written; the message is the store's. A retry may succeed."""


def read_secret(folder: Path) -> dict[str, str]:
    """The store's Secret from the files of its volume, which are read for each use, since Secrets are rotated."""
    return {key: (folder / key).read_text().strip() for key in SECRET_KEYS if (folder / key).is_file()}


class Store:
    """The namespace's folder in the bucket. Raises StoreFailed if the Secret lacks the bucket."""

    def __init__(self, values: Mapping[str, str], namespace: str, folder: Path) -> None:
        if not values.get("FLYWHEEL_BUCKET"):
            raise StoreFailed(
                f"there is no FLYWHEEL_BUCKET in {folder}, where the store's Secret should be; create the Secret"
            )
        prefix = values.get("FLYWHEEL_PREFIX", "").strip("/")
        self._prefix = f"{prefix}/{namespace}/" if prefix else f"{namespace}/"
        try:
            self._store = S3Store(
                values["FLYWHEEL_BUCKET"],
                config=_config(values),
                client_options={"allow_http": True, "connect_timeout": "5s", "timeout": "30s"},
                retry_config={"max_retries": 0},  # the writer retries itself, since it must keep reading the pipe
            )
        except (BaseError, ValueError) as error:
            raise StoreFailed(_message(error)) from error

    def put_new(self, key: str, content: bytes) -> bool:
        """True if the object was written, False if the key exists already, whose content then is the same."""
        try:
            obstore.put(self._store, self._prefix + key, content, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return False
        except (BaseError, OSError) as error:
            raise StoreFailed(_message(error)) from error
        return True


def _config(values: Mapping[str, str]) -> "S3Config":
    """Without an endpoint the store is AWS's; without a key the machine's own identity is used."""
    names = {
        "AWS_ENDPOINT_URL": "endpoint",
        "AWS_ACCESS_KEY_ID": "access_key_id",
        "AWS_SECRET_ACCESS_KEY": "secret_access_key",
        "AWS_SESSION_TOKEN": "session_token",
    }
    options = {name: values[key] for key, name in names.items() if values.get(key)}
    return cast("S3Config", {"region": values.get("AWS_REGION") or "us-east-1", **options})


def _message(error: Exception) -> str:
    return " ".join(str(error).split())[:500]

"""The installation's store as the sink writes to it: one bucket, objects that are written once."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

if TYPE_CHECKING:
    from obstore.store import S3Config

KEYS = ("FLYWHEEL_BUCKET", "FLYWHEEL_PREFIX", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_SESSION_TOKEN")  # fmt: skip


class StoreFailed(Exception):
    """It was not written; the message says what the store said. Another try may succeed."""


def secret(folder: Path) -> dict[str, str]:
    """The store's Secret, from the files of its volume; read at each use, since Secrets are rotated."""
    return {key: (folder / key).read_text().strip() for key in KEYS if (folder / key).is_file()}


class Store:
    """The folder of the namespace. Raises StoreFailed if the Secret lacks the bucket."""

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
                retry_config={"max_retries": 0},  # the sink tries again itself, for it must go on reading the pipe
            )
        except (BaseError, ValueError) as error:
            raise StoreFailed(_words(error)) from error

    def put_new(self, key: str, content: bytes) -> bool:
        """Whether it is written; False if this key was there already, whose content is then the same."""
        try:
            obstore.put(self._store, self._prefix + key, content, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return False
        except (BaseError, OSError) as error:
            raise StoreFailed(_words(error)) from error
        return True


def _config(values: Mapping[str, str]) -> "S3Config":
    """Without an endpoint it is AWS; without a key, the machine's own identity is asked."""
    names = {
        "AWS_ENDPOINT_URL": "endpoint",
        "AWS_ACCESS_KEY_ID": "access_key_id",
        "AWS_SECRET_ACCESS_KEY": "secret_access_key",
        "AWS_SESSION_TOKEN": "session_token",
    }
    found = {name: values[key] for key, name in names.items() if values.get(key)}
    return cast("S3Config", {"region": values.get("AWS_REGION") or "us-east-1", **found})


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:500]

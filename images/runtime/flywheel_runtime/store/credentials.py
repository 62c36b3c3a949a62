"""Address and credentials of the installation's store: the keys of its Secret, which is mounted as a folder.

The folder is looked at for every request, since the kubelet replaces its files when the Secret changes: all at once, by another target of
the link `..data`.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from flywheel_runtime.contract.errors import SecretIncomplete
from flywheel_runtime.store.access import Access

FOLDER_VARIABLE = "FLYWHEEL_STORE_FOLDER"
SECRET_KEYS = (
    "FLYWHEEL_BUCKET", "FLYWHEEL_PREFIX", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
)  # fmt: skip


def read_store_secret(env: Mapping[str, str]) -> Mapping[str, str]:
    """The keys of the store's Secret that have a value: files of the folder that FLYWHEEL_STORE_FOLDER names, else variables of `env`.

    Raises:
        SecretIncomplete: no bucket, one half of a key pair, an endpoint that is no URL, or bytes that are no text.
    """
    values = read_keys(env, FOLDER_VARIABLE)
    if "FLYWHEEL_BUCKET" not in values:
        raise SecretIncomplete("has no FLYWHEEL_BUCKET; add it", "BucketMissing")
    for key, other in (("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID")):
        if key in values and other not in values:
            raise SecretIncomplete(f"has {key} and no {other}; add it")
    _check_endpoint(values.get("AWS_ENDPOINT_URL"))
    return values


def read_keys(env: Mapping[str, str], variable: str, prefix: str = "") -> Mapping[str, str]:
    """The keys of a Secret that have a value: files of the folder that `variable` names, else variables of `env` with a prefix.

    Raises:
        SecretIncomplete: bytes that are no text.
    """
    folder = env.get(variable)
    if not folder:
        return {key: env[prefix + key] for key in SECRET_KEYS if env.get(prefix + key)}
    try:
        return _read_version(Path(folder), str((Path(folder) / "..data").readlink()))
    except OSError:  # no volume of a Secret, but a folder
        return _read_files(Path(folder))


@lru_cache(maxsize=4)
def _read_version(folder: Path, version: str) -> Mapping[str, str]:
    """The keys as they are while `..data` leads to `version`."""
    return _read_files(folder / version)


def store_access(env: Mapping[str, str], bucket: str | None = None) -> Callable[[], Access]:
    """A function that returns the access to `bucket`, or to the Secret's own, with the credentials as they are then."""

    def find() -> Access:
        values = read_store_secret(env)
        return Access.from_env(values, bucket or values["FLYWHEEL_BUCKET"])

    return find


def namespace_folder(env: Mapping[str, str]) -> str:
    """The folder of the pod's namespace in the installation's bucket: `<prefix>/<namespace>/`. Raises SecretIncomplete."""
    prefix = read_store_secret(env).get("FLYWHEEL_PREFIX", "").strip("/")
    return f"{prefix}/{env['FLYWHEEL_NAMESPACE']}/" if prefix else f"{env['FLYWHEEL_NAMESPACE']}/"


def _read_files(folder: Path) -> dict[str, str]:
    values = {}
    for key in SECRET_KEYS:
        try:
            value = (folder / key).read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise SecretIncomplete(f"has a {key} that cannot be read; write it again") from error
        if value:
            values[key] = value
    return values


def _check_endpoint(endpoint: str | None) -> None:
    if endpoint is None:
        return
    try:
        parts = urlsplit(endpoint)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url:
        raise SecretIncomplete(
            f"has the AWS_ENDPOINT_URL '{endpoint}', which is no URL; correct it", "StoreUnreachable"
        )

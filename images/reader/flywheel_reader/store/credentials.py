"""The store's keys: one mounted folder for each namespace, with the keys of its Secret as files.

The folder is read again for each use, since the kubelet replaces its files when a Secret changes.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from flywheel_reader.errors import StoreUnreachable

SECRET_KEYS = ("FLYWHEEL_BUCKET", "FLYWHEEL_PREFIX", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_SESSION_TOKEN")  # fmt: skip
ALL_NAMESPACES = "_all"
NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class Credentials:
    """`root` has a folder for each namespace whose store the reader has a key for, and `_all` for those without their own."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def has_namespace(self, namespace: str) -> bool:
        """Whether there is a Secret for the namespace."""
        return self._folder(namespace) is not None

    def read(self, namespace: str) -> Mapping[str, str]:
        """The values of the namespace's Secret. Raises StoreUnreachable."""
        folder = self._folder(namespace)
        if folder is None:
            raise StoreUnreachable(missing_key_message(namespace))
        try:
            version = str((self._root / "..data").readlink())
        except OSError:  # no projected volume, but a folder
            return _read_files(self._root / folder)
        return _read_version(self._root / version / folder)

    def _folder(self, namespace: str) -> str | None:
        if not NAMESPACE.fullmatch(namespace):
            return None
        folders = (namespace, ALL_NAMESPACES)
        return next((folder for folder in folders if (self._root / folder / "FLYWHEEL_BUCKET").is_file()), None)


def missing_key_message(namespace: str) -> str:
    """The sentence for a namespace whose store the reader has no key for."""
    return (
        f"the reader has no key for the store of namespace '{namespace}'; add the namespace to the chart's value "
        f"'namespaces', or create the Secret 'flywheel-reader-store-{namespace}' that docs/reader.md describes"
    )


@lru_cache(maxsize=256)
def _read_version(folder: Path) -> Mapping[str, str]:
    return _read_files(folder)


def _read_files(folder: Path) -> Mapping[str, str]:
    values = {}
    for key in SECRET_KEYS:
        try:
            value = (folder / key).read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise StoreUnreachable(
                f"the store's {key} of namespace '{folder.name}' cannot be read; write the Secret again"
            ) from error
        if value:
            values[key] = value
    return values

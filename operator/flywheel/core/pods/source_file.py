"""Source code of main that the spec contains: a ConfigMap named by its content, mounted as one read-only file."""

import hashlib
from typing import Any

from flywheel.core.resource import names
from flywheel.core.resource.api import CONFIG_MAP
from flywheel.core.resource.kind import AnyResource
from flywheel.core.resource.plan import Child

MAX_SOURCE_BYTES = 256 * 1024
SOURCE_FILE = "train.py"
SOURCE_PATH = f"/flywheel/source/{SOURCE_FILE}"
SOURCE_COMMAND = ("python3", "-u", SOURCE_PATH)  # -u: lines of the log appear at once
VOLUME = "source"


def source_digest(source: str) -> str:
    """Returns the digest of the file, as the list of a trial's tracked files has it."""
    return f"sha256:{hashlib.sha256(source.encode()).hexdigest()}"


def source_config_map(resource: AnyResource, source: str) -> Child:
    """Returns the ConfigMap with the source. It is immutable: another source has another name."""
    manifest = CONFIG_MAP.manifest(_name(resource, source), data={SOURCE_FILE: source}, immutable=True)
    return Child(CONFIG_MAP, manifest, create_only=True)


def source_volumes(resource: AnyResource, source: str | None) -> list[dict[str, Any]]:
    """Returns the volume of `source_mounts`, if there is a source."""
    if source is None:
        return []
    return [{"name": VOLUME, "configMap": {"name": _name(resource, source)}}]


def source_mounts(source: str | None) -> list[dict[str, Any]]:
    """Returns the mount of the file. A subPath makes it a regular file, which collect may store; a folder has links."""
    if source is None:
        return []
    return [{"name": VOLUME, "mountPath": SOURCE_PATH, "subPath": SOURCE_FILE, "readOnly": True}]


def _name(resource: AnyResource, source: str) -> str:
    return names.child(resource, f"source-{source_digest(source)[7:23]}")

"""Reads manifests of which any field may be absent, since an older or a newer cluster may not have it."""

from collections.abc import Mapping
from typing import Any

from flywheel.core.resource import names


def content_digest(content: Any) -> str:
    """Returns `sha256:` and the hexadecimal digest of a document's canonical JSON, which the document states to show a modification."""
    return f"sha256:{names.digest(content)}"


def get_field(value: Any, *path: str) -> Any:
    """Returns the field at that path, or None."""
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def list_objects(value: Any, *path: str) -> list[Mapping[str, Any]]:
    """Returns the objects of the list at that path; none where there is no list."""
    found = get_field(value, *path)
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, (list, tuple)) else []


def pick_fields(value: Any, *keys: str) -> dict[str, Any]:
    """Returns those fields of an object that are not empty."""
    return drop_empty({key: get_field(value, key) for key in keys})


def drop_empty(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields that are not empty."""
    return {name: value for name, value in fields.items() if value is not None and value not in ("", [], {})}


def drop_empty_deeply(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields that are not empty, and of those that are objects the same; lists stay as they are."""
    return drop_empty(
        {name: drop_empty_deeply(each) if isinstance(each, dict) else each for name, each in fields.items()}
    )

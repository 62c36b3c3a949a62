"""Reads manifests of which any field may be absent, since an older or a newer cluster may not have it."""

from collections.abc import Mapping
from typing import Any


def get_field(value: Any, *path: str) -> Any:
    """Returns the field at that path, or None."""
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def list_objects(value: Any, *path: str) -> list[Mapping[str, Any]]:
    """Returns the objects of the list at that path; none where there is no list."""
    found = get_field(value, *path)
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, (list, tuple)) else []


def pick_fields(value: Any, *names: str) -> dict[str, Any]:
    """Returns those fields of an object that are not empty."""
    return drop_empty({name: get_field(value, name) for name in names})


def drop_empty(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields that are not empty."""
    return {name: value for name, value in fields.items() if value is not None and value not in ("", [], {})}


def drop_empty_deeply(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields that are not empty, and of those that are objects the same; lists stay as they are."""
    return drop_empty(
        {name: drop_empty_deeply(each) if isinstance(each, dict) else each for name, each in fields.items()}
    )

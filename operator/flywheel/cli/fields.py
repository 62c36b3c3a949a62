"""Reading manifests of which any field may be absent: an older cluster may not know it, a younger one may have renamed it."""

from collections.abc import Mapping
from typing import Any


def get_field(value: Any, *path: str) -> Any:
    """What is at that path, or None."""
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def list_objects(value: Any, *path: str) -> list[Mapping[str, Any]]:
    """The objects of the list at that path; none where there is no list."""
    found = get_field(value, *path)
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, (list, tuple)) else []


def pick_fields(value: Any, *names: str) -> dict[str, Any]:
    """Those fields of an object that say something."""
    return drop_empty({name: get_field(value, name) for name in names})


def drop_empty(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Without the fields that say nothing."""
    return {name: value for name, value in fields.items() if value is not None and value not in ("", [], {})}


def find_condition(manifest: Any, kind: str) -> Mapping[str, Any]:
    """The condition of that type, or an empty one."""
    return next((each for each in list_objects(manifest, "status", "conditions") if each.get("type") == kind), {})

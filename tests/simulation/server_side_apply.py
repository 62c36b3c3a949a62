"""Server-side apply on plain manifests: which fields a manager sets, and what an apply makes of the live object.

A field is a path from the root of the object to a value. Lists that the API server merges by a key (`canonical.KEYED`) are entered
by that key; all other lists, and empty maps, are single values.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from flywheel.engine.apply.canonical import KEYED

Path = tuple[Any, ...]


class LostKeys(ValueError):
    """An apply states an empty map where it removes every key. The API server makes that map null, and then refuses it (measured)."""


def fields(applied: Mapping[str, Any]) -> frozenset[Path]:
    """Return the paths of the values that an applied configuration sets."""
    found: list[Path] = []
    _add_fields(found, (), applied, "")
    return frozenset(found)


def merge(live: Mapping[str, Any], applied: Mapping[str, Any], removed: frozenset[Path]) -> dict[str, Any]:
    """Return the live object without the fields `removed`, and with those of `applied`.

    Raises:
        LostKeys: a map of `applied` is empty and loses its last key.
    """
    rest = _without(live, "", frozenset(removed))
    for path in fields(applied) if removed else ():
        if any(path == each[: len(path)] for each in removed if len(each) > len(path)) and not _value(rest, path):
            raise LostKeys(".".join(str(step) for step in path))
    merged: dict[str, Any] = _merged(rest, applied, "")
    return merged


def _add_fields(found: list[Path], path: Path, value: Any, key: str) -> None:
    is_single = True
    for step, inner, each in _entries(value, key):
        is_single = False
        _add_fields(found, (*path, step), each, inner)
    if is_single:
        found.append(path)


def _entries(value: Any, key: str) -> Iterator[tuple[Any, str, Any]]:
    """The steps into a value, with the key by which the value behind each is known; none into a single value."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield name, name, each
    elif _is_keyed(value, key):
        for each in value:
            yield _identity(each, key), "", each


def _is_keyed(value: Any, key: str) -> bool:
    return key in KEYED and isinstance(value, (list, tuple)) and all(isinstance(each, Mapping) for each in value)


def _identity(element: Mapping[str, Any], key: str) -> tuple[Any, ...]:
    return tuple(element.get(each) for each in KEYED[key])


def _value(manifest: Any, path: Path) -> Any:
    for step in path:
        manifest = manifest.get(step) if isinstance(manifest, Mapping) else None
    return manifest


def _without(value: Any, key: str, removed: frozenset[Path]) -> Any:
    """The value without those paths; maps and keyed lists that lose all that is in them go too."""
    if not removed:
        return value
    left = []
    for step, inner, each in _entries(value, key):
        below = frozenset(path[1:] for path in removed if path and path[0] == step)
        if () in below:
            continue
        rest = _without(each, inner, below)
        if not below or rest not in ({}, []):
            left.append((step, rest))
    return dict(left) if isinstance(value, Mapping) else [each for _step, each in left]


def _merged(live: Any, applied: Any, key: str) -> Any:
    if isinstance(applied, Mapping):
        known = live if isinstance(live, Mapping) else {}
        return {**known, **{name: _merged(known.get(name), each, name) for name, each in applied.items()}}
    if _is_keyed(applied, key) and _is_keyed(live or [], key):
        known = {_identity(each, key): each for each in live or ()}
        stated = {_identity(each, key): _merged(known.get(_identity(each, key)), each, "") for each in applied}
        return [*stated.values(), *(each for identity, each in known.items() if identity not in stated)]
    return list(applied) if isinstance(applied, tuple) else applied

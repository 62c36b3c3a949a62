"""Discovers the kinds: each folder of `flywheel.kinds` has a module `kind` with its `KIND`."""

import importlib
import pkgutil

import flywheel.kinds
from flywheel.core.resource.kind import AnyKind, Kind


def kinds() -> tuple[AnyKind, ...]:
    """Returns all kinds, by name.

    Raises:
        TypeError: a folder's `kind.py` has no `KIND`.
    """
    found = []
    for folder in pkgutil.iter_modules(flywheel.kinds.__path__):
        module = importlib.import_module(f"flywheel.kinds.{folder.name}.kind")
        kind = getattr(module, "KIND", None)
        if not isinstance(kind, Kind):
            raise TypeError(f"{module.__name__} has no KIND; define one (see core/resource/kind.py)")
        found.append(kind)
    return tuple(sorted(found, key=lambda kind: kind.api.kind))

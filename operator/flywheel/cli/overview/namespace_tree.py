"""A namespace as one tree, from data to services: each object is below what it is made from."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flywheel.cli.connection import Connection
from flywheel.cli.errors import CommandError
from flywheel.cli.fields import drop_empty, get_field, list_objects
from flywheel.cli.overview.upstream import (
    API_BY_KIND,
    Key,
    Objects,
    find_makers,
    find_upstream,
    has_ended,
    key_of,
    state_of,
)
from flywheel.core.resource import api
from flywheel.core.resource.api import Manifest

FULL_VERSIONS, FULL_RUNS = 3, 3  # of one model and of one pipeline; older ones are counted
KIND_ORDER = {kind: number for number, kind in enumerate(API_BY_KIND)}


@dataclass(frozen=True)
class Line:
    """One object in the tree, or a sentence about several."""

    branch: str  # `│  └─ `
    key: Key
    state: str  # good, waiting, bad or missing
    reason: str
    summary: str  # the most important fact, or why it is not ready
    created: str = ""
    waits_for: tuple[Key, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Returns the line as JSON."""
        return drop_empty(
            {
                "kind": self.key.kind,
                "name": self.key.name,
                "state": self.state,
                "reason": self.reason,
                "summary": self.summary,
                "created": self.created,
                "waitsFor": [each.short for each in self.waits_for],
            }
        )


def read_objects(connection: Connection) -> dict[Key, Manifest]:
    """Returns every object of Flywheel in the namespace.

    Raises:
        CommandError: the cluster does not have its kinds.
    """
    found = {key_of(each): each for one in API_BY_KIND.values() for each in connection.list_objects(one)}
    if not found and not connection.client.serves(api.GROUP):
        raise CommandError("this cluster does not have the kinds of Flywheel; 'flywheel doctor' says what is missing")
    return found


def build_lines(objects: Objects) -> list[Line]:
    """Returns the lines of the tree. An object that others name and that does not exist is a line, too."""
    below: dict[Key | None, list[Key]] = {}
    for key in objects:
        below.setdefault(_parent(key, objects), []).append(key)
    for missing in [key for key in below if key is not None and key not in objects]:
        below.setdefault(next(iter(find_makers(missing, objects)), None), []).append(missing)
    return list(_branches(None, below, objects, ""))


def _branches(parent: Key | None, below: dict[Key | None, list[Key]], objects: Objects, indent: str) -> Iterator[Line]:
    ends = sorted(below.get(parent, ()), key=lambda key: _sort_key(key, objects))
    shown, hidden = _newest(ends, objects)
    for number, key in enumerate(shown, 1):
        last = number == len(shown) and not hidden
        branch = "" if parent is None else f"{indent}{'└─ ' if last else '├─ '}"
        yield _line(branch, key, objects)
        yield from _branches(key, below, objects, indent if parent is None else indent + ("   " if last else "│  "))
    if hidden:
        kind = hidden[0].kind
        yield Line(f"{indent}└─ ", Key(kind, f"({len(hidden)} older)"), "", "", "")


def _newest(keys: list[Key], objects: Objects) -> tuple[list[Key], list[Key]]:
    """Splits off older versions and ended runs; champions, served versions, and what is under way are always shown."""
    hidden = []
    for api_, limit in ((api.MODEL_VERSION, FULL_VERSIONS), (api.TRAINING_RUN, FULL_RUNS)):
        same = [key for key in keys if key.kind == api_.kind and key in objects]
        hidden += [key for key in same[limit:] if state_of(objects[key])[0] != "waiting" and not _is_used(objects[key])]
    return [key for key in keys if key not in hidden], hidden


def _is_used(manifest: Manifest) -> bool:
    return bool(get_field(manifest, "status", "servedBy") or get_field(manifest, "status", "scoredBy"))


def _sort_key(key: Key, objects: Objects) -> tuple[Any, ...]:
    """Kinds in the order of the work; of runs and versions the newest first; others by name."""
    made = str(get_field(objects.get(key), "metadata", "creationTimestamp") or "")
    newest_first = -_seconds(made) if key.kind in (api.MODEL_VERSION.kind, api.TRAINING_RUN.kind) else 0.0
    return KIND_ORDER.get(key.kind, 0), newest_first, key.name


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp() if stamp else 0.0


def _line(branch: str, key: Key, objects: Objects) -> Line:
    manifest = objects.get(key)
    if manifest is None:
        makers = tuple(find_makers(key, objects))
        made = f"created when {makers[0].short} registers a version" if makers else ""
        absent = "does not exist, and is needed by what is below; create it or correct the name"
        return Line(branch, key, "waiting" if makers else "missing", "NotYet" if makers else "NotFound", made or absent)
    state, reason, message = state_of(manifest)
    summary = str(get_field(manifest, "status", "summary") or "")
    waits = () if state == "good" else tuple(_waits_for(manifest, objects))
    if waits and not has_ended(manifest):
        state = "waiting"  # for what is shown to be broken itself
    shown = summary or message if state == "good" else message
    created = str(manifest["metadata"].get("creationTimestamp") or "")
    return Line(branch, key, state, reason, shown, created, waits)


def _waits_for(manifest: Manifest, objects: Objects) -> Iterator[Key]:
    """Yields what it is made from as far as that does not exist or is not ready itself."""
    for key in find_upstream(manifest, objects):
        if key not in objects or state_of(objects[key])[0] != "good":
            yield key


def _parent(key: Key, objects: Objects) -> Key | None:
    """Returns the object below which another is shown: data, what trains on it, the model, and its versions and services."""
    manifest = objects[key]
    match key.kind:
        case api.MODEL.kind:
            return _origin_of_model(key, objects)
        case api.MODEL_VERSION.kind:
            return _first_key(api.MODEL.kind, get_field(manifest, "spec", "model"))
        case api.INFERENCE_SERVICE.kind | api.BATCH_INFERENCE.kind:
            version = objects.get(Key(api.MODEL_VERSION.kind, str(get_field(manifest, "spec", "version"))))
            model = get_field(manifest, "spec", "model") or get_field(version, "spec", "model")
            return _first_key(api.MODEL.kind, model) or _first_key(
                api.MODEL_VERSION.kind, get_field(manifest, "spec", "version")
            )
        case api.MODEL_MONITOR.kind:
            return _first_key(
                api.INFERENCE_SERVICE.kind, get_field(manifest, "spec", "inferenceService")
            ) or _first_key(api.BATCH_INFERENCE.kind, get_field(manifest, "spec", "batchInference"))
        case api.TRAINING_RUN.kind:
            return _first_key(api.TRAINING_PIPELINE.kind, get_field(manifest, "spec", "pipeline"))
        case api.EXPERIMENT.kind:
            owner = next(iter(list_objects(manifest["metadata"], "ownerReferences")), None)
            return _first_key(str(get_field(owner, "kind")), get_field(owner, "name")) or _first_key(
                api.DATASET.kind, get_field(manifest, "spec", "dataset")
            )
        case api.TRAINING_PIPELINE.kind:
            return _origin_of_pipeline(key, objects)
        case api.FEATURE_SET.kind:
            return _first_upstream(key, objects)
        case _:
            return None


def _origin_of_pipeline(key: Key, objects: Objects) -> Key | None:
    """Its first data, or the pipeline whose outputs it takes. None where pipelines take one another's, which would be below one another."""
    first = _first_upstream(key, objects)
    above, known = first, {key}
    while above is not None and above.kind == api.TRAINING_PIPELINE.kind:
        if above in known:
            return None
        known.add(above)
        above = _first_upstream(above, objects)
    return first


def _first_upstream(key: Key, objects: Objects) -> Key | None:
    return next(iter(find_upstream(objects[key], objects)), None) if key in objects else None


def _origin_of_model(key: Key, objects: Objects) -> Key | None:
    """What made its champion, else what is to register its versions. The Experiment of a run stands for its pipeline."""
    champion = objects.get(Key(api.MODEL_VERSION.kind, str(get_field(objects[key], "status", "champion") or "")))
    lineage = get_field(champion, "spec", "lineage")
    for api_, name in ((api.TRAINING_PIPELINE, "pipeline"), (api.EXPERIMENT, "experiment")):
        origin = _first_key(api_.kind, get_field(lineage, name))
        if origin is not None and origin in objects:
            return origin
    return next(iter(find_makers(key, objects)), None)


def _first_key(kind: str, name: Any) -> Key | None:
    return Key(kind, name) if isinstance(name, str) and name else None

"""One example for each field of a spec, from manifests that the tests apply: crds/examples, docs/fields and demo."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from flywheel.cli.yaml_text import load_yaml_documents
from flywheel.core.resource.api import GROUP
from flywheel.core.resource.kind import AnyKind
from generator.crd import root_schema
from generator.schema_fields import spec_fields

MANIFESTS = (
    "crds/examples/*.yaml",
    "docs/fields/*.yaml",
    "demo/*.yaml",
)  # the first that shows a field gives its example
Examples = Mapping[tuple[str, str], Any]  # by kind and path, such as ("Dataset", "spec.columns[].name")


def read_examples(checkout: Path, kinds: Iterable[AnyKind]) -> Examples:
    """Returns the examples of all fields that a manifest shows.

    A field that no manifest of its kind shows has the example of the same field elsewhere, such as `tolerations[].key` of
    another kind: one with the same name, type and description.
    """
    kinds = tuple(kinds)
    shown: dict[tuple[str, str], Any] = {}
    for manifest in read_manifests(checkout):
        for path, value in _values(manifest["spec"], "spec"):
            shown.setdefault((manifest["kind"], path), value)
    elsewhere: dict[tuple[str, str, str], Any] = {}
    for kind in kinds:
        for path, field, _required in spec_fields(root_schema(kind)):
            if (kind.api.kind, path) in shown:
                elsewhere.setdefault(_definition(path, field), shown[kind.api.kind, path])
    for kind in kinds:
        for path, field, _required in spec_fields(root_schema(kind)):
            definition = _definition(path, field)
            if (kind.api.kind, path) not in shown and definition in elsewhere:
                shown[kind.api.kind, path] = elsewhere[definition]
    return shown


def first_manifest(checkout: Path, kind: AnyKind) -> str:
    """Returns the text of the first manifest of crds/examples for a kind, with its comment, or an empty one."""
    path = checkout / example_file(kind)
    return path.read_text().partition("\n---\n")[0].rstrip("\n") if path.exists() else ""


def example_file(kind: AnyKind) -> str:
    return f"crds/examples/{kind.api.kind.lower()}.yaml"


def fields_file(kind: AnyKind) -> str:
    return f"docs/fields/{kind.api.kind.lower()}.yaml"


def read_manifests(checkout: Path) -> Iterator[dict[str, Any]]:
    for path in (path for pattern in MANIFESTS for path in sorted(checkout.glob(pattern))):
        for manifest in load_yaml_documents(path.read_text()):
            if manifest is not None and manifest["apiVersion"].startswith(f"{GROUP}/"):
                yield manifest


def _values(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yields each value below one, by its path; a key of a map is also `.*`."""
    if isinstance(value, Mapping):
        for key, below in value.items():
            for name in (key, "*"):
                yield f"{path}.{name}", below
                yield from _values(below, f"{path}.{name}")
    elif isinstance(value, list):
        for item in value:
            yield from _values(item, f"{path}[]")


def _definition(path: str, field: Mapping[str, Any]) -> tuple[str, str, str]:
    return path.rpartition(".")[2], str(field.get("type")), field.get("description", "")

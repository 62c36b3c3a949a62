"""Manifests that a command writes into a folder, to be committed to a Git repository or applied."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from flywheel.cli.errors import CommandError
from flywheel.cli.fields import drop_empty, get_field
from flywheel.cli.yaml_text import dump_yaml, load_yaml_documents
from flywheel.core.resource.api import MODEL, Api
from flywheel.core.resource.values import Number

MAX_METRICS = 32  # that a spec declares


def write_manifests(manifests: Iterable[dict[str, Any]], folder: Path, *, force: bool) -> list[Path]:
    """Writes one file for each manifest, all or none, and returns the paths. A file of the same content is left alone.

    Raises:
        CommandError: a file has other content, or the folder cannot be written.
    """
    texts = {folder / f"{one['kind'].lower()}-{one['metadata']['name']}.yaml": dump_yaml(one) for one in manifests}
    try:
        other = [path for path, text in texts.items() if path.exists() and path.read_text() != text]
        if other and not force:
            raise CommandError(f"'{other[0]}' exists with other content; look at it, then overwrite it with --force")
        folder.mkdir(parents=True, exist_ok=True)
        differing = [path for path, text in texts.items() if not path.exists() or path in other]
        for path in differing:
            path.write_text(texts[path])
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"'{folder}' cannot be written: {error}; choose another --to") from None
    return differing


def declare_metrics(metrics: Mapping[str, Any]) -> dict[str, str]:
    """Returns metrics as a spec may declare them, the first 32: decimal numbers of at most 18 digits after the point."""
    texts = {name: str(value) for name, value in sorted(metrics.items())}
    numbers = {name: number for name, text in texts.items() if (number := _number(text)) is not None}
    return dict(list(numbers.items())[:MAX_METRICS])


def _number(text: str) -> str | None:
    for write in (str, lambda number: f"{float(number):.15e}"):
        try:
            return str(Number.parse(write(text)))
        except ValueError:
            continue
    return None


def new_manifest(
    api: Api, name: str, namespace: str | None, spec: Mapping[str, Any], annotations: Mapping[str, str]
) -> dict[str, Any]:
    """Returns a manifest without empty fields."""
    metadata = drop_empty({"namespace": namespace, "annotations": dict(annotations)})
    return api.manifest(name, metadata=metadata, spec=drop_empty(spec))


def declares_model(folder: Path, model: str) -> bool:
    """Returns whether a manifest below the folder declares that Model, so that the target decides on its gates."""
    return any(
        get_field(one, "kind") == MODEL.kind
        and get_field(one, "metadata", "name") == model
        and str(get_field(one, "apiVersion")).startswith(MODEL.group)
        for one in _manifests(folder)
    )


def _manifests(folder: Path) -> Iterator[Any]:
    """Yields every manifest that can be parsed; a template of another tool is skipped."""
    for path in sorted((*folder.rglob("*.yaml"), *folder.rglob("*.yml"))):
        try:
            yield from load_yaml_documents(path.read_text())
        except (OSError, UnicodeDecodeError, yaml.YAMLError):
            continue

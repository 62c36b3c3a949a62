"""The API reference in Markdown, from the same schemas as the CRDs: a page that lists the kinds, and one page for each."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from flywheel.cli.yaml_text import dump_yaml
from flywheel.core.resource.api import GROUP, VERSION
from flywheel.core.resource.kind import AnyKind
from generator.crd import root_schema
from generator.examples import Examples, example_file, fields_file, first_manifest, read_examples
from generator.schema_fields import code, fields, rules, spec_fields, type_in_words

NOTE = "<!-- Written by 'make generate' from the code and the manifests of crds/examples, docs/fields and demo; do not edit. -->"
INTRODUCTION = f"""\
{NOTE}
# API reference

These pages document every kind of `{GROUP}/{VERSION}`: its fields, their types, defaults and an example of each, and the validation rules of the API server.
`kubectl explain <kind>.spec` prints the same information without the examples.

Names of resources have at most 52 characters of `a-z`, `0-9` and `-`. References are names of objects in the same namespace.
Quantities have the format of a pod spec: `2`, `500m`, `1Gi`. Specs contain no floating-point numbers; write `"0.70"`, `"15%"`, `30m`.
"""
MAX_EXAMPLE_LENGTH = 60  # of the one in a cell; a longer value is cut


def reference_pages(kinds: Iterable[AnyKind], checkout: Path) -> dict[str, str]:
    """Returns the pages by path in the checkout; the examples are read from it."""
    kinds = tuple(kinds)
    examples = read_examples(checkout, kinds)
    pages = {page_path(kind): kind_page(kind, examples, first_manifest(checkout, kind)) for kind in kinds}
    return {"docs/reference.md": "\n".join([INTRODUCTION, *(_entry(kind) for kind in kinds)]), **pages}


def page_path(kind: AnyKind) -> str:
    return f"docs/reference/{kind.api.kind.lower()}.md"


def kind_page(kind: AnyKind, examples: Examples, manifest: str) -> str:
    """Returns the page of one kind."""
    schema = root_schema(kind)
    lines = [
        NOTE,
        f"# {kind.api.kind}",
        "",
        kind.description,
        "",
        f"`kubectl get {kind.short_name}` (or `{kind.api}`)",
        "",
    ]
    if manifest:
        first, others = (f"[{path}](../../{path})" for path in (example_file(kind), fields_file(kind)))
        lines += [
            f"The first manifest of {first}; {others} has the fields that are not there.",
            "",
            "```yaml",
            manifest,
            "```",
            "",
        ]
    lines += ["## Spec", ""]
    lines += ["| Field | Type | Default | Example | Meaning |", "|---|---|---|---|---|"]
    for path, field, required in spec_fields(schema):
        lines.append(_row(path, field, required, _example(field, examples.get((kind.api.kind, path)))))
    lines += ["", "## Status", "", "| Field | Type | Meaning |", "|---|---|---|"]
    for path, field, _required in fields(schema["properties"]["status"], "status"):
        lines.append(f"| `{path}` | {_cell(type_in_words(field))} | {_cell(field.get('description', ''))} |")
    lines += ["", "## Rules", "", "The API server refuses a manifest with these messages.", ""]
    lines += [f"- {f'`{path}`: ' if path else ''}{message}" for path, message in rules(schema, "")]
    return "\n".join([*lines, ""])


def _entry(kind: AnyKind) -> str:
    page = page_path(kind).removeprefix("docs/")
    return f"## {kind.api.kind}\n\n{kind.description} `kubectl get {kind.short_name}`. [All fields of {kind.api.kind}]({page})\n"


def _row(path: str, field: Mapping[str, Any], required: bool, example: str) -> str:
    default = "required" if required else f"`{_text(field['default'])}`" if "default" in field else ""
    return (
        f"| `{path}` | {_cell(type_in_words(field))} | {default} | {example} | {_cell(field.get('description', ''))} |"
    )


def _example(field: Mapping[str, Any], value: Any) -> str:
    """Returns the cell: the value as YAML in one line, cut if it is long. It is empty for objects, whose fields have their own."""
    if value is None or _has_fields(field):
        return ""
    text = _cell(_flow(value))
    return code(text if len(text) <= MAX_EXAMPLE_LENGTH else f"{text[:MAX_EXAMPLE_LENGTH].rstrip()} …")


def _has_fields(field: Mapping[str, Any]) -> bool:
    below = (field, field.get("items", {}), field.get("additionalProperties", {}))
    return any(isinstance(each, Mapping) and "properties" in each for each in below)


def _flow(value: Any) -> str:
    """Returns YAML in flow style."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(each) for each in value) + "]"
    text = dump_yaml({"x": value}).removeprefix("x: ").rstrip("\n")
    plain = not re.search(r"[,\[\]{}'\"\n]", text)
    return text if plain or not isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())

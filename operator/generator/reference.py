"""The API reference in Markdown, from the same schemas as the CRDs."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from flywheel.core.resource.api import GROUP, VERSION
from flywheel.core.resource.kind import AnyKind
from generator.crd import root_schema

INTRODUCTION = f"""\
<!-- Written by 'make generate' from the code; do not edit. -->
# API reference

This page documents every kind of `{GROUP}/{VERSION}`: its fields, their types and defaults, and the validation rules of the API server.
`kubectl explain <kind>.spec` prints the same information. Examples are in `crds/examples/`.

Names of resources have at most 52 characters of `a-z`, `0-9` and `-`. References are names of objects in the same namespace.
Quantities have the format of a pod spec: `2`, `500m`, `1Gi`. Specs contain no floating-point numbers; write `"0.70"`, `"15%"`, `30m`.
"""
SUBJECTS = {"spec": "Spec", "status": "Status"}


def reference_page(kinds: Iterable[AnyKind]) -> str:
    """Returns the page."""
    kinds = tuple(kinds)
    contents = "".join(f"- [{kind.api.kind}](#{kind.api.kind.lower()}): {_cell(kind.description)}\n" for kind in kinds)
    return "\n".join([INTRODUCTION, contents, *(_section(kind) for kind in kinds)])


def _section(kind: AnyKind) -> str:
    schema = root_schema(kind)
    lines = [f"## {kind.api.kind}", "", kind.description, "", f"`kubectl get {kind.short_name}` (or `{kind.api}`)", ""]
    for part, subject in SUBJECTS.items():
        lines += [f"### {kind.api.kind}: {subject}", "", "| Field | Type | Default | Meaning |", "|---|---|---|---|"]
        lines += [_row(path, field, required) for path, field, required in _fields(schema["properties"][part], part)]
        lines.append("")
    lines += ["### " + f"{kind.api.kind}: Rules", ""]
    lines += [f"- {f'`{path}`: ' if path else ''}{message}" for path, message in _rules(schema, "")]
    return "\n".join([*lines, ""])


def _fields(schema: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    """Yields each field below an object, depth first: its path (`[]` for each item, `.*` for each value), and whether it is required."""
    for name, field in schema.get("properties", {}).items():
        field_path = f"{path}.{name}"
        yield field_path, field, name in schema.get("required", ())
        yield from _fields(field, field_path)
        yield from _fields(field.get("items", {}), f"{field_path}[]")
        values = field.get("additionalProperties")
        yield from _fields(values if isinstance(values, Mapping) else {}, f"{field_path}.*")


def _row(path: str, field: Mapping[str, Any], required: bool) -> str:
    default = "required" if required else f"`{_text(field['default'])}`" if "default" in field else ""
    return f"| `{path}` | {_cell(_type(field))} | {default} | {_cell(field.get('description', ''))} |"


def _type(field: Mapping[str, Any]) -> str:
    if "enum" in field:
        return " or ".join(f"`{choice}`" for choice in field["enum"])
    if field.get("x-kubernetes-int-or-string"):
        return "quantity" if "isQuantity" in str(field.get("x-kubernetes-validations")) else "integer or string"
    match field.get("type"):
        case "array":
            return f"list of {_type(field['items'])}"
        case "object" if isinstance(field.get("additionalProperties"), Mapping):
            return f"map to {_type(field['additionalProperties'])}"
        case "string" if "pattern" in field:
            return f"string `{field['pattern']}`"
        case "integer":
            return f"integer{_bounds(field)}"
        case None:
            return "integer, string or boolean"
        case other:
            return str(other)


def _bounds(field: Mapping[str, Any]) -> str:
    low, high = field.get("minimum"), field.get("maximum")
    return "".join([f", at least {low}" if low is not None else "", f", at most {high}" if high is not None else ""])


def _rules(schema: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    for rule in schema.get("x-kubernetes-validations", ()):
        yield path, rule["message"]
    for name, field in schema.get("properties", {}).items():
        yield from _rules(field, f"{path}.{name}" if path else name)
    for key, mark in (("items", "[]"), ("additionalProperties", ".*")):
        if isinstance(schema.get(key), Mapping):
            yield from _rules(schema[key], f"{path}{mark}")


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())

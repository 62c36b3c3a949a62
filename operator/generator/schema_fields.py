"""The fields below a schema, and their types in words."""

from collections.abc import Iterator, Mapping
from typing import Any

Field = tuple[str, Mapping[str, Any], bool]  # its path, its schema, whether it is required


def spec_fields(schema: Mapping[str, Any]) -> Iterator[Field]:
    """Yields the fields of the spec of a kind's root schema."""
    yield from fields(schema["properties"]["spec"], "spec")


def fields(schema: Mapping[str, Any], path: str) -> Iterator[Field]:
    """Yields each field below an object, depth first; in a path `[]` is each item, and `.*` each value."""
    for name, field in schema.get("properties", {}).items():
        field_path = f"{path}.{name}"
        yield field_path, field, name in schema.get("required", ())
        yield from fields(field, field_path)
        yield from fields(field.get("items", {}), f"{field_path}[]")
        values = field.get("additionalProperties")
        yield from fields(values if isinstance(values, Mapping) else {}, f"{field_path}.*")


def rules(schema: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    """Yields the path and the message of each rule of the API server."""
    for rule in schema.get("x-kubernetes-validations", ()):
        yield path, rule["message"]
    for name, field in schema.get("properties", {}).items():
        yield from rules(field, f"{path}.{name}" if path else name)
    for key, mark in (("items", "[]"), ("additionalProperties", ".*")):
        if isinstance(schema.get(key), Mapping):
            yield from rules(schema[key], f"{path}{mark}")


def type_in_words(field: Mapping[str, Any]) -> str:
    if "enum" in field:
        return " or ".join(f"`{choice}`" for choice in field["enum"])
    if field.get("x-kubernetes-int-or-string"):
        return "quantity" if "isQuantity" in str(field.get("x-kubernetes-validations")) else "integer or string"
    match field.get("type"):
        case "array":
            return f"list of {type_in_words(field['items'])}"
        case "object" if isinstance(field.get("additionalProperties"), Mapping):
            return f"map to {type_in_words(field['additionalProperties'])}"
        case "string" if "pattern" in field:
            return f"string {code(field['pattern'])}"
        case "integer":
            return f"integer{_bounds(field)}"
        case None:
            return "integer, string or boolean"
        case other:
            return str(other)


def code(text: str) -> str:
    """Returns Markdown that shows a text as code, also one that has a backtick."""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def _bounds(field: Mapping[str, Any]) -> str:
    low, high = field.get("minimum"), field.get("maximum")
    return "".join([f", at least {low}" if low is not None else "", f", at most {high}" if high is not None else ""])

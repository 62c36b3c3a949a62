"""From a pydantic model to a structural OpenAPI schema, as a CustomResourceDefinition requires (KEP-2335).

What pydantic writes and Kubernetes refuses is converted: references are inlined, null branches and titles dropped, `const` becomes
`enum`. What would surprise a user later raises `UnsupportedSchema` while the schema is generated.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from flywheel.core.resource.schema import rule

Fragment = dict[str, Any]

# YAML 1.1 reads these keys as booleans: `on:` would arrive as `true:`.
YAML_BOOLEANS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))
KEY_ORDER = (
    "description", "type", "format", "x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields", "anyOf", "enum", "default",
    "pattern", "minLength", "maxLength", "minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf", "minItems",
    "maxItems", "minProperties", "maxProperties", "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type",
    "x-kubernetes-validations", "required", "properties", "additionalProperties", "items",
)  # fmt: skip
EXACTLY_ONE = re.compile(r"\[(has\(self\.\w+\)(?:,\s*has\(self\.\w+\))*)\]\.exists_one")


class UnsupportedSchema(ValueError):
    """A CRD cannot express the model, or not well; the message names the field and what to write instead."""


def structural_schema(model: type[BaseModel], path: str) -> Fragment:
    """Returns the structural schema of a model. `path` is that of the model in the manifest, such as `spec`, for messages.

    Raises:
        UnsupportedSchema: a field has no description, a name that YAML reads as a boolean, a float, a free union, or a default inside a union.
    """
    root = model.model_json_schema(by_alias=True, mode="validation", schema_generator=_WithFactories)
    return _convert(root, root.pop("$defs", {}), path, ())


class _WithFactories(GenerateJsonSchema):
    """Adds the defaults of nested models, which pydantic leaves out and without which the server applies none of their inner defaults."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        made = schema.get("default")
        factory = schema.get("default_factory")
        if factory is not None and not schema.get("default_factory_takes_data"):
            made = factory()  # type: ignore[call-arg]
        if not isinstance(made, BaseModel):
            return super().default_schema(schema)
        inner = self.generate_inner(schema["schema"])
        return {**inner, "default": made.model_dump(mode="json", by_alias=True, exclude_defaults=True)}


def _convert(schema: Mapping[str, Any], defs: Mapping[str, Any], path: str, inside: tuple[str, ...]) -> Fragment:
    found = _without_null(_inlined(schema, defs, path, inside), defs, path, inside)
    name = found.pop("inside", None)
    inside = (*inside, name) if name else inside
    found.pop("title", None)
    if "const" in found:
        found["enum"] = [found.pop("const")]
    for exclusive, limit in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if exclusive in found:
            found[limit], found[exclusive] = found[exclusive], True
    _add_key_rule(found, path)
    _check_supported(found, path)
    if found.get("type") == "array":
        found["items"] = _convert(found.get("items", {}), defs, f"{path}[]", inside)
        found.setdefault("x-kubernetes-list-type", "atomic")
    if found.get("type") == "object":
        _convert_object(found, defs, path, inside)
    _drop_empty_default(found)
    if "x-kubernetes-validations" in found:
        found["x-kubernetes-validations"] = [
            {key: one[key] for key in ("rule", "message", "messageExpression") if key in one}
            for one in found["x-kubernetes-validations"]
        ]
    if "description" in found:
        found["description"] = " ".join(found["description"].split())
    return {key: found[key] for key in sorted(found, key=lambda key: KEY_ORDER.index(key))}


def _inlined(schema: Mapping[str, Any], defs: Mapping[str, Any], path: str, inside: tuple[str, ...]) -> Fragment:
    """Returns the schema with its reference replaced. Keys beside the reference take precedence, but for rules, which add up."""
    here = dict(schema)
    if "$ref" not in here:
        return here
    name = here.pop("$ref").rsplit("/", 1)[1]
    if name in inside:
        raise UnsupportedSchema(
            f"{path} contains itself ({name}); a CRD has no recursive types, so limit the depth by names"
        )
    rules = [*defs[name].get("x-kubernetes-validations", ()), *here.get("x-kubernetes-validations", ())]
    merged = {**defs[name], **here, "inside": name}
    return {**merged, "x-kubernetes-validations": rules} if rules else merged


def _without_null(found: Fragment, defs: Mapping[str, Any], path: str, inside: tuple[str, ...]) -> Fragment:
    """Converts `X | None` to X, which may be absent."""
    if "anyOf" not in found or found.get("x-kubernetes-int-or-string"):
        return found
    choices = [choice for choice in found.pop("anyOf") if choice.get("type") != "null"]
    if len(choices) != 1:
        raise UnsupportedSchema(
            f"{path} is a free union; write one optional member for each variant and a rule with exists_one"
        )
    only = _inlined(choices[0], defs, path, inside)
    rules = [*only.get("x-kubernetes-validations", ()), *found.get("x-kubernetes-validations", ())]
    return {**only, **found, **({"x-kubernetes-validations": rules} if rules else {})}


def _check_supported(found: Mapping[str, Any], path: str) -> None:
    if found.get("type") == "number":
        raise UnsupportedSchema(
            f"{path} is a float, which no two writers print alike; use values.Number, values.Percent or an integer"
        )
    if "oneOf" in found or "prefixItems" in found or found.get("uniqueItems"):
        raise UnsupportedSchema(
            f"{path} is a tagged union, a tuple of fixed length or a set; a CRD has none: use members, fields or a list"
        )
    unknown = sorted(set(found) - set(KEY_ORDER))
    if unknown:
        raise UnsupportedSchema(
            f"{path} uses {', '.join(unknown)}, which a CRD does not have; use what operator/generator/structural.py lists"
        )


def _convert_object(found: Fragment, defs: Mapping[str, Any], path: str, inside: tuple[str, ...]) -> None:
    values = found.pop("additionalProperties", None)
    if isinstance(values, Mapping):
        found["additionalProperties"] = _convert(values, defs, f"{path}{{}}", inside)
    elif values is True:
        found["x-kubernetes-preserve-unknown-fields"] = True
    if "properties" not in found:
        return
    fields = {name: _convert(field, defs, f"{path}.{name}", inside) for name, field in found["properties"].items()}
    for name, field in fields.items():
        if name.lower() in YAML_BOOLEANS:
            raise UnsupportedSchema(f"{path}.{name}: YAML reads the key '{name}' as a boolean; choose another name")
        if not field.get("description"):
            raise UnsupportedSchema(
                f"{path}.{name} has no description; add Field(description=...), which kubectl explain and the docs print"
            )
    found["properties"] = fields
    if not fields:
        del found["properties"]  # the API server drops empty ones, and Argo CD would show a difference for ever
        return
    for name in _members_of_unions(found):
        if "default" in found["properties"].get(name, {}):
            raise UnsupportedSchema(
                f"{path}.{name} is one of several, so it must have no default: with one, no other could be chosen"
            )


def _add_key_rule(found: Fragment, path: str) -> None:
    """Converts the pattern of the keys of `dict[Label, X]`, which a CRD does not have, to a CEL rule."""
    names = found.pop("propertyNames", {})
    longest, rules = names.get("maxLength"), names.get("x-kubernetes-validations", ())
    checks = [f"size(key) <= {longest}"] if longest else []
    checks += [re.sub(r"\bself\b", "key", one["rule"]) for one in rules]
    if not checks:
        return
    if "x-kubernetes-preserve-unknown-fields" in found.get("additionalProperties", {}):
        raise UnsupportedSchema(
            f"{path} is a map with checked keys and values of any type, which CEL cannot read; write dict[str, ...]"
        )
    descriptions = [one["message"].removeprefix("must be ") for one in rules] + (
        [f"at most {longest} characters"] if longest else []
    )
    found["x-kubernetes-validations"] = [
        *found.get("x-kubernetes-validations", ()),
        rule(f"self.all(key, {' && '.join(checks)})", f"each key must be {', of '.join(descriptions)}"),
    ]


def _members_of_unions(found: Mapping[str, Any]) -> Iterator[str]:
    for one in found.get("x-kubernetes-validations", ()):
        for members in EXACTLY_ONE.findall(one["rule"]):
            yield from re.findall(r"self\.(\w+)", members)


def _drop_empty_default(found: Fragment) -> None:
    """Removes an empty default. An empty object stays where a field in it has a default."""
    if "default" not in found:
        return
    default = found["default"]
    is_empty = default is None or default == []
    if default == {}:
        is_empty = not any("default" in field for field in found.get("properties", {}).values())
    if is_empty:
        del found["default"]

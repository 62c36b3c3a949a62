"""CycloneDX's own JSON schema of 1.6, with formats checked."""

import json
from importlib.resources import files

import jsonschema_rs

_SCHEMAS = files("cyclonedx.schema._res")


def official_validator() -> jsonschema_rs.Draft7Validator:
    """Returns its validator."""
    names = ("spdx.SNAPSHOT.schema.json", "jsf-0.82.SNAPSHOT.schema.json")
    others = [(f"http://cyclonedx.org/schema/{name}", json.loads((_SCHEMAS / name).read_text())) for name in names]
    schema = json.loads((_SCHEMAS / "bom-1.6.SNAPSHOT.schema.json").read_text())
    return jsonschema_rs.Draft7Validator(schema, validate_formats=True, registry=jsonschema_rs.Registry(others))

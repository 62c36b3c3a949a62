"""From a Kind to its CustomResourceDefinition. It has every rule that the operator relies on, so that `kubectl apply` refuses a bad manifest
with a sentence.
"""

from collections.abc import Mapping
from typing import Any

from flywheel.core.resource.api import GROUP, VERSION
from flywheel.core.resource.kind import AnyKind
from flywheel.core.resource.schema import rule
from flywheel.core.resource.values import Label
from generator.structural import Fragment, UnsupportedSchema, structural_schema

# Children's names derive from it. The rule is in CEL, since kubectl would print a pattern, and on the field, so that the message names it.
NAME: Fragment = {
    "type": "string",
    "maxLength": 253,
    "x-kubernetes-validations": [
        rule(
            f"size(self) <= {Label.max_length} && self.matches(r'{Label.pattern}')",
            f"must be {Label.description}, of at most {Label.max_length} characters",
        )
    ],
}
# A filter with `||` would silently drop its column and all after it (measured), so each column has one condition.
COLUMNS = (
    {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
    {"name": "Reason", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].reason'},
    {"name": "Detail", "type": "string", "jsonPath": ".status.summary"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
)
# The status before the first reconciliation, so that no column is blank. core/resource/conditions.py replaces a time of 1970.
PENDING = {
    "conditions": [
        {
            "type": "Ready",
            "status": "Unknown",
            "reason": "Pending",
            "message": "Waiting for the operator; if this does not change, check whether the operator's pods are Running.",
            "lastTransitionTime": "1970-01-01T00:00:00Z",
        }
    ],
    # It stays while the plan has no summary, since an apply leaves alone what it does not mention.
    "summary": "-",
}


def crd_manifest(kind: AnyKind) -> dict[str, Any]:
    """Returns the manifest of apiextensions.k8s.io/v1.

    Raises:
        UnsupportedSchema: a CRD cannot express the kind's spec or status; the message names the field.
    """
    api, selectable = kind.api, [{"jsonPath": path} for path in kind.selectable]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{api.plural}.{GROUP}", "labels": {"app.kubernetes.io/part-of": "flywheel"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": api.kind,
                "listKind": f"{api.kind}List",
                "plural": api.plural,
                "singular": api.kind.lower(),
                "shortNames": [kind.short_name],
                "categories": ["flywheel"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": [dict(column) for column in COLUMNS],
                    "subresources": {"status": {}, **({"scale": dict(kind.scale)} if kind.scale else {})},
                    **({"selectableFields": selectable} if selectable else {}),
                    "schema": {"openAPIV3Schema": root_schema(kind)},
                }
            ],
        },
    }


def root_schema(kind: AnyKind) -> Fragment:
    """Returns the schema of a whole object: the rule of its name, the kind's rules on the root, spec and status."""
    spec = structural_schema(kind.spec, "spec")
    spec["description"] = "The desired state."
    if "required" not in spec and "x-kubernetes-validations" not in spec:  # a default has to pass the rules
        spec["default"] = {}
    return {
        "description": kind.description,
        "type": "object",
        **({"x-kubernetes-validations": [dict(one) for one in kind.rules]} if kind.rules else {}),
        "required": ["spec"],
        "properties": {
            "apiVersion": {"description": f"{GROUP}/{VERSION}.", "type": "string"},
            "kind": {"description": f"{kind.api.kind}.", "type": "string"},
            "metadata": {"type": "object", "properties": {"name": NAME}},
            "spec": spec,
            "status": _status_schema(kind),
        },
    }


def _status_schema(kind: AnyKind) -> Fragment:
    status = structural_schema(kind.status, "status")
    path = next(_defaults(status, "status"), None)
    if path is not None:
        raise UnsupportedSchema(
            f"{path} has a default; a status has only what was observed: use None, or an empty list or map"
        )
    properties = status.pop("properties")
    return {**status, "description": "The observed state.", "default": PENDING, "properties": properties}


def _defaults(schema: Mapping[str, Any], path: str) -> Any:
    if "default" in schema and schema["default"] != "":
        yield path
    for name, field in schema.get("properties", {}).items():
        yield from _defaults(field, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from _defaults(schema[key], f"{path}[]")

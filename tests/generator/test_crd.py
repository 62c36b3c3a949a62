"""The manifest of a CustomResourceDefinition."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from pydantic import Field

from flywheel.core.resource.kind import AnyKind
from flywheel.core.resource.schema import Schema, Status
from flywheel.engine import discover
from generator.crd import crd_manifest, root_schema
from generator.structural import UnsupportedSchema
from tests.core.toy import KIND

TOY: AnyKind = KIND
KINDS = (TOY, *discover.kinds())
each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.api.kind)


def version(kind: AnyKind = KIND) -> dict[str, Any]:
    """The one version."""
    found: dict[str, Any] = crd_manifest(kind)["spec"]["versions"][0]
    return found


def test_names() -> None:
    assert crd_manifest(KIND)["metadata"]["name"] == "toys.flywheel.ml"
    assert crd_manifest(KIND)["spec"]["names"] == {
        "kind": "Toy", "listKind": "ToyList", "plural": "toys", "singular": "toy",
        "shortNames": ["fwtoy"], "categories": ["flywheel"],
    }  # fmt: skip


def test_the_same_four_columns_for_every_kind() -> None:
    assert [column["name"] for column in version()["additionalPrinterColumns"]] == ["Ready", "Reason", "Detail", "Age"]


def test_subresources_and_selectable_fields_are_the_kinds() -> None:
    assert version()["subresources"] == {"status": {}, "scale": KIND.scale}
    assert version()["selectableFields"] == [{"jsonPath": ".spec.mode"}]
    assert version(replace(KIND, scale=None))["subresources"] == {"status": {}}
    assert "selectableFields" not in version(replace(KIND, selectable=()))


def test_no_column_is_blank_before_the_first_reconciliation() -> None:
    pending = version()["schema"]["openAPIV3Schema"]["properties"]["status"]["default"]

    assert (pending["conditions"][0]["status"], pending["conditions"][0]["reason"]) == ("Unknown", "Pending")
    assert pending["summary"]


def test_a_spec_may_be_absent_only_if_it_has_no_required_field() -> None:
    class Free(Schema):
        """Free."""

        size: int = Field(3, description="D.")

    free = root_schema(replace(TOY, spec=Free))["properties"]["spec"]

    assert free["default"] == {}
    assert "default" not in root_schema(KIND)["properties"]["spec"]


def test_a_status_has_no_defaults() -> None:
    class Boasting(Status):
        """A status that says what nobody found."""

        count: int = Field(0, description="D.")

    with pytest.raises(UnsupportedSchema, match=r"status\.count has a default"):
        crd_manifest(replace(TOY, status=Boasting))


def nodes(schema: Mapping[str, Any], at: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """A schema and every schema in it, with its path."""
    yield at, schema
    for name, inner in schema.get("properties", {}).items():
        yield from nodes(inner, f"{at}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from nodes(schema[key], f"{at}[]")


def spec_and_status(kind: AnyKind) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every schema below spec and status."""
    for part in ("spec", "status"):
        yield from nodes(root_schema(kind)["properties"][part], part)


@each_kind
def test_every_schema_has_a_type_or_says_why_not(kind: AnyKind) -> None:
    untyped = ("x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields")
    assert [
        at for at, node in spec_and_status(kind) if "type" not in node and not any(node.get(mark) for mark in untyped)
    ] == []


@each_kind
def test_every_list_has_a_merge_strategy_and_its_keys_exist(kind: AnyKind) -> None:
    for at, node in spec_and_status(kind):
        if node.get("type") != "array":
            continue
        assert node["x-kubernetes-list-type"] in {"atomic", "map", "set"}, at
        for key in node.get("x-kubernetes-list-map-keys", ()):
            item = node["items"]
            assert key in item["required"] or "default" in item["properties"][key], f"{at}: key {key} may be absent"


@each_kind
def test_everything_that_can_grow_has_a_limit(kind: AnyKind) -> None:
    limits = {"array": "maxItems", "string": "maxLength"}
    found = []
    for at, node in nodes(root_schema(kind)["properties"]["spec"], "spec"):
        limit = "maxProperties" if "additionalProperties" in node else limits.get(str(node.get("type")))
        if limit and limit not in node and "enum" not in node and "format" not in node:
            found.append(f"{at} has no {limit}")
    assert found == []


@each_kind
def test_every_field_is_described_in_a_sentence(kind: AnyKind) -> None:
    named = [(at, node) for at, node in spec_and_status(kind) if not at.endswith("[]")]
    assert [at for at, node in named if not node["description"].rstrip("`'\")").endswith((".", "?", "…"))] == []


@each_kind
def test_every_rule_has_a_message_for_people(kind: AnyKind) -> None:
    for at, node in nodes(root_schema(kind), ""):
        for one in node.get("x-kubernetes-validations", ()):
            assert one["message"], at
            assert "self." not in one["message"], at

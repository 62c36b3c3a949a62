"""What pydantic says becomes what Kubernetes takes, and what would surprise a user is refused while the schema is written."""

from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, create_model

from flywheel.core.resource.schema import Quantity, Schema, rule, validations
from flywheel.core.resource.values import Duration, Label
from generator.structural import UnsupportedSchema, structural_schema
from tests.core.toy import Budget, Scalar, ToySpec


def field(annotation: Any, value: Any = ..., **extra: Any) -> dict[str, Any]:
    """The schema of one field of that type."""
    model = create_model("Model", __base__=Schema, here=(annotation, Field(value, description="Here.", **extra)))
    found: dict[str, Any] = structural_schema(model, "spec")["properties"]["here"]
    assert found.pop("description") == "Here."
    return found


class Inner(Schema):
    """Inside."""

    count: int = Field(3, description="How many.")


@pytest.mark.parametrize(
    ("annotation", "extra", "schema"),
    [
        pytest.param(str | None, {"value": None, "max_length": 9}, {"type": "string", "maxLength": 9}, id="absent, not null"),
        pytest.param(Literal["a"], {}, {"type": "string", "enum": ["a"]}, id="one choice is an enum"),
        pytest.param(
            int, {"gt": 0, "lt": 9},
            {"type": "integer", "minimum": 0, "exclusiveMinimum": True, "maximum": 9, "exclusiveMaximum": True},
            id="exclusive limits are booleans beside the limit",
        ),
        pytest.param(
            list[str], {"max_length": 2},
            {"type": "array", "maxItems": 2, "x-kubernetes-list-type": "atomic", "items": {"type": "string"}},
            id="a list without keys is replaced as a whole",
        ),
        pytest.param(dict[str, int], {"value": {}}, {"type": "object", "additionalProperties": {"type": "integer"}}, id="an empty map is no default"),
        pytest.param(tuple[int, ...], {"value": ()}, {"type": "array", "x-kubernetes-list-type": "atomic", "items": {"type": "integer"}}, id="an empty list is no default"),
        pytest.param(dict[str, Any], {}, {"type": "object", "x-kubernetes-preserve-unknown-fields": True}, id="anything is kept as it is"),
        pytest.param(Scalar, {}, {"x-kubernetes-preserve-unknown-fields": True}, id="a scalar has no type that a CRD could say"),
        pytest.param(
            Duration | None, {"value": None},
            {
                "type": "string", "maxLength": 7,
                "x-kubernetes-validations": [rule(f"self.matches(r'{Duration.pattern}')", f"must be {Duration.description}")],
            },
            id="a word is refused with its meaning, not with its pattern",
        ),
        pytest.param(
            dict[Label, int], {"max_length": 4},
            {
                "type": "object", "maxProperties": 4, "additionalProperties": {"type": "integer"},
                "x-kubernetes-validations": [
                    rule(
                        f"self.all(key, size(key) <= 52 && key.matches(r'{Label.pattern}'))",
                        f"each key must be {Label.description}, of at most 52 characters",
                    )
                ],
            },
            id="the keys of a map are checked by a rule",
        ),
    ],
)  # fmt: skip
def test_a_field_becomes(annotation: Any, extra: dict[str, Any], schema: dict[str, Any]) -> None:
    value = extra.pop("value", ...)

    assert field(annotation, value, **extra) == schema


def test_a_quantity_is_an_integer_or_a_string() -> None:
    found = field(Quantity | None, None)

    assert found["x-kubernetes-int-or-string"] is True
    assert "type" not in found


@pytest.mark.parametrize(
    ("extra", "default"),
    [
        pytest.param({"default_factory": Inner}, {}, id="an empty parent lets the inner default apply"),
        pytest.param({"default_factory": lambda: Inner(count=5)}, {"count": 5}, id="what a factory changes is said"),
        pytest.param({"default": Inner(count=5)}, {"count": 5}, id="what an instance changes is said"),
    ],
)
def test_a_parent_has_the_default(extra: dict[str, Any], default: dict[str, Any]) -> None:
    model = create_model("Model", __base__=Schema, here=(Inner, Field(description="Here.", **extra)))

    assert structural_schema(model, "spec")["properties"]["here"]["default"] == default


def test_rules_of_a_field_and_of_its_type_add_up() -> None:
    rules = structural_schema(ToySpec, "spec")["properties"]["source"]["x-kubernetes-validations"]

    assert [one["message"] for one in rules] == ["give exactly one of s3 and pvc", "source cannot be changed"]


@pytest.mark.parametrize(
    ("annotation", "default"),
    [pytest.param(Label, ..., id="required"), pytest.param(Label | None, None, id="optional")],
)
def test_a_rule_of_a_field_does_not_replace_the_form_of_its_type(annotation: Any, default: Any) -> None:
    found = field(annotation, default, json_schema_extra=validations(rule("self == oldSelf", "it is fixed")))

    assert [each["message"] for each in found["x-kubernetes-validations"]] == [
        f"must be {Label.description}",
        "it is fixed",
    ]


class Tree(BaseModel):
    """A tree."""

    branch: "Tree | None" = Field(None, description="A branch.")


ONE_OF = validations(rule("[has(self.a),has(self.b)].exists_one(x,x)", "give exactly one of a and b"))


@pytest.mark.parametrize(
    ("fields", "config", "message"),
    [
        pytest.param({"size": (int, 3)}, {}, "spec.size has no description", id="no description"),
        pytest.param({"on": (int, Field(description="D."))}, {}, "spec.on: YAML reads the key 'on' as a boolean", id="a key that YAML misreads"),
        pytest.param({"size": (float, Field(description="D."))}, {}, "spec.size is a float", id="a float"),
        pytest.param({"size": (int | str, Field(description="D."))}, {}, "spec.size is a free union", id="a free union"),
        pytest.param({"size": (tuple[int, int], Field(description="D."))}, {}, "a tuple of fixed length", id="a fixed tuple"),
        pytest.param({"tree": (Tree, Field(description="D."))}, {}, "spec.tree.branch contains itself", id="a recursive type"),
        pytest.param(
            {"a": (Budget, Field(default_factory=Budget, description="D.")), "b": (str | None, Field(None, description="D."))},
            ONE_OF, "spec.a is one of several, so it must have no default", id="a default inside a union",
        ),
        pytest.param(
            {"size": (dict[Label, Scalar], Field(description="D."))}, {},
            "spec.size is a map with checked keys and values of any type", id="checked keys beside untyped values",
        ),
    ],
)  # fmt: skip
def test_is_refused(fields: dict[str, Any], config: dict[str, Any], message: str) -> None:
    class Base(Schema):
        model_config = Schema.model_config | {"json_schema_extra": config}

    model = create_model("Model", __base__=Base, **fields)

    with pytest.raises(UnsupportedSchema, match=message.replace("(", r"\(")):
        structural_schema(model, "spec")

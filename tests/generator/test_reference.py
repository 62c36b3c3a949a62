"""The reference shows each field of a spec with an example that the API server takes."""

from pathlib import Path

import pytest

from flywheel.core.resource.kind import AnyKind
from flywheel.engine import discover
from generator import examples, reference
from generator.crd import root_schema
from generator.files import CHECKOUT
from generator.schema_fields import spec_fields
from tests.core.toy import KIND

KINDS = tuple(discover.kinds())
SHOWN = examples.read_examples(CHECKOUT, KINDS)


@pytest.mark.parametrize("kind", [pytest.param(kind, id=kind.api.kind) for kind in KINDS])
def test_every_field_of_a_spec_has_an_example(kind: AnyKind) -> None:
    without = [path for path, _field, _required in spec_fields(root_schema(kind)) if (kind.api.kind, path) not in SHOWN]

    assert without == [], f"show them in a manifest of docs/fields/{kind.api.kind.lower()}.yaml"


def test_a_manifest_gives_the_examples_of_its_fields(tmp_path: Path) -> None:
    folder = tmp_path / "crds/examples"
    folder.mkdir(parents=True)
    (folder / "toy.yaml").write_text(
        'apiVersion: flywheel.ml/v1alpha1\nkind: Toy\nmetadata: {name: a}\nspec: {steps: [{name: one, share: "15%"}]}\n---\napiVersion: v1\n'
    )

    found = examples.read_examples(tmp_path, [KIND])

    assert found["Toy", "spec.steps[].name"] == "one"
    assert found["Toy", "spec.steps[].share"] == "15%"
    assert ("Toy", "spec.source.s3.uri") not in found
    assert "spec: {steps:" in examples.first_manifest(tmp_path, KIND)


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("0.70", '`"0.70"`'),
        ("30m", "`30m`"),
        (True, "`true`"),
        (["a", "b, c"], '`[a, "b, c"]`'),
        ({"months": 3}, "`{months: 3}`"),
        ("a|b", "`a\\|b`"),
        ("x" * 80, f"`{'x' * reference.MAX_EXAMPLE_LENGTH} …`"),
        ("line\nline", '`"line\\nline"`'),
        (None, ""),
    ],
)
def test_an_example_is_a_cell_of_yaml(value: object, cell: str) -> None:
    assert reference._example({"type": "string"}, value) == cell


def test_an_object_has_no_example_but_those_of_its_fields() -> None:
    assert reference._example({"type": "object", "properties": {"a": {}}}, {"a": 1}) == ""

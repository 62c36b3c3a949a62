"""A text is the same literal for trainer sklearn as for a container (tests/kinds/experiment/search/test_literals.py)."""

import json
from pathlib import Path
from typing import Any

import pytest

from flywheel_runtime.models.literals import parse_literal

LITERALS = json.loads((Path(__file__).parents[2] / "contracts" / "literals.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", LITERALS, ids=lambda case: repr(case["text"]))
def test_a_text_is_a_literal(case: dict[str, Any]) -> None:
    found = parse_literal(case["text"])

    assert json.dumps(found) == json.dumps(case["value"])
    assert isinstance(found, tuple) == isinstance(case["value"], list)


@pytest.mark.parametrize(("value", "expected"), [(3, 3), (["1", "a"], (1, "a")), ("[" * 100_000, "[" * 100_000)])
def test_a_value_that_is_no_text_stays_and_a_list_is_a_tuple(value: Any, expected: Any) -> None:
    assert parse_literal(value) == expected

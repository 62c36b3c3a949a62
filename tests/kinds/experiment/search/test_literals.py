"""A text is the same literal for a container as for trainer sklearn (tests/runtime/models/test_literals.py)."""

import json
from pathlib import Path
from typing import Any

import pytest

from flywheel.kinds.experiment.search.literals import parse_literal

LITERALS = json.loads((Path(__file__).parents[3] / "contracts" / "literals.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", LITERALS, ids=lambda case: repr(case["text"]))
def test_a_text_is_a_literal(case: dict[str, Any]) -> None:
    assert json.dumps(parse_literal(case["text"])) == json.dumps(case["value"])


@pytest.mark.parametrize("value", [3, 0.1, "[" * 100_000], ids=["an integer", "a number", "a deep text"])
def test_a_value_that_is_no_literal_stays(value: float | int | str) -> None:
    assert parse_literal(value) == value

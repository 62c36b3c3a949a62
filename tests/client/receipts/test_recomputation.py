"""Answers are compared bit for bit, and what the log holds back is named."""

from typing import Any

import pytest

from flywheel.client.receipts.recomputation import FILES, compare_answers, lacking_inputs, without_nonfinite
from flywheel.kinds.inferenceservice import explanations

NAN = float("nan")


@pytest.mark.parametrize(
    ("logged", "computed", "rules", "expected"),
    [
        pytest.param({"p": 0.5}, {"p": [0.5]}, {}, {"result": "Equal", "compared": ["p"]}, id="the same number"),
        pytest.param({"p": "NaN"}, {"p": [NAN]}, {}, {"result": "Equal"}, id="NaN is NaN"),
        pytest.param({"n": "9223372036854775807"}, {"n": [2**63 - 1]}, {}, {"result": "Equal"}, id="a whole number beyond JSON's"),
        pytest.param({"p": [0.25, 0.75]}, {"p": [0.25, 0.5]}, {}, {"result": "Differs", "differing": 1, "largest": {"column": "p[1]", "logged": 0.75, "computed": 0.5, "difference": 0.25}, "isWithinTolerance": False}, id="the largest difference has its place"),
        pytest.param({"p": 0.5}, {"p": [0.50001]}, {}, {"result": "Differs", "isWithinTolerance": True}, id="rounding is a difference within the tolerance"),
        pytest.param({"l": "late"}, {"l": ["early"]}, {}, {"result": "Differs", "isWithinTolerance": False}, id="texts have no distance"),
        pytest.param({"p": [1.0]}, {"p": [1.0, 2.0]}, {}, {"result": "Differs", "isWithinTolerance": False}, id="another number of values"),
        pytest.param({"l": "a3f"}, {"l": ["late"], "p": [1.0]}, {"l": {"action": "Hmac"}}, {"result": "NotReplayed", "notCompared": {"l": "hashed", "p": "not in the log"}}, id="nothing that can be compared"),
    ],
)  # fmt: skip
def test_compare_answers(logged: Any, computed: Any, rules: Any, expected: dict[str, Any]) -> None:
    found = compare_answers(logged, computed, rules)

    assert {key: found.get(key) for key in expected} == expected


def test_inputs_that_the_log_does_not_have_are_named_with_the_reason() -> None:
    rules: dict[str, Any] = {
        "id": {"action": "Drop"},
        "age": {"action": "Bucket", "width": 5},
        "origin": {"action": "Hmac"},
    }

    found = lacking_inputs({"age": 40, "origin": "3fa4", "month": 1}, rules, ["id", "age", "origin", "month", "wind"])

    assert found == {"id": "dropped", "age": "the lower end of a bucket 5 wide", "origin": "hashed", "wind": "absent"}


def test_numbers_that_json_lacks_are_texts() -> None:
    assert without_nonfinite({"a": [NAN, float("inf"), -float("inf"), 1.5]}) == {
        "a": ["NaN", "Infinity", "-Infinity", 1.5]
    }


def test_what_explains_beside_the_server_is_downloaded() -> None:
    assert {*explanations.FILES, "golden.json"} <= {*FILES}

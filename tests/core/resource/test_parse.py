"""What is said of a manifest that cannot be read."""

from typing import Any

import pytest

from flywheel.core.resource.parse import InvalidSpec
from tests.engine.widget import KIND
from tests.simulation import resource


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        pytest.param(
            {"jobs": "many"},
            "Widget 'one' cannot be read: spec.jobs: Input should be a valid integer, unable to parse string as an integer; "
            "correct spec.jobs, or install the CRDs of this operator's version",
            id="one problem",
        ),
        pytest.param(
            {"jobs": "many", "serve": "maybe"}, "unable to parse string as an integer (and 1 more); ", id="two problems"
        ),
    ],
)
def test_the_first_problem_is_named_and_the_others_are_counted(spec: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidSpec) as refused:
        resource(KIND, "one", spec)

    assert sentence in str(refused.value)

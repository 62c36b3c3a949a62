"""Which results of a step with an audit order are recorded."""

from typing import Any
from unittest.mock import Mock

import pytest

from flywheel_runtime.commands.collect.results import add_audit_record
from flywheel_runtime.contract.config.collect import CollectConfig


@pytest.mark.parametrize(
    ("order", "facts", "is_recorded"),
    [
        pytest.param({"verdicts": ["Better"]}, {"verdict": "Better"}, True, id="a verdict that decides"),
        pytest.param({"verdicts": ["Better"]}, {"verdict": "Undecided"}, False, id="one that does not"),
        pytest.param({"verdicts": ["Better"]}, {}, False, id="no verdict"),
        pytest.param({}, {"verdict": "Undecided"}, True, id="an order without verdicts"),
    ],
)
def test_an_order_with_verdicts_records_those_alone(
    order: dict[str, Any], facts: dict[str, Any], *, is_recorded: bool
) -> None:
    config = CollectConfig(audit={"model": "delay", "entries": [], **order})
    results = Mock(**{"audit.return_value": {"number": 7}})

    assert ("audit" in add_audit_record({"facts": facts}, config, results, 0.0)) is is_recorded

"""What the operator says at its start of the policies that keep its promises."""

import logging
from typing import Any

import pytest

from flywheel.cluster.errors import ApiError
from flywheel.core.policies import POLICY_GUARANTEES
from flywheel.core.resource.api import Reference
from flywheel.engine import metrics
from flywheel.engine.policy_check import report_policies


class Answers:
    """An API server that has every policy but one, binds all of them but one, and allows nothing if it is `closed`."""

    def __init__(self, missing: str = "", unbound: str = "", *, closed: bool = False) -> None:
        self.missing, self.unbound, self.closed = missing, unbound, closed

    def get(self, reference: Reference) -> dict[str, Any] | None:
        if self.closed:
            raise ApiError(403, "Forbidden", "cannot get resource validatingadmissionpolicies")
        if reference.name == self.missing:
            return None
        actions = ["Audit"] if reference.name == self.unbound else ["Deny"]
        return {"spec": {"validationActions": actions}}


def report(answers: Any, caplog: pytest.LogCaptureFixture) -> list[str]:
    with caplog.at_level(logging.WARNING):
        report_policies(answers)
    return caplog.messages


def test_where_all_are_in_force_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    assert report(Answers(), caplog) == []


@pytest.mark.parametrize("answers", [Answers(missing="flywheel-pods"), Answers(unbound="flywheel-pods")])
def test_a_policy_that_does_not_deny_is_named_with_its_guarantee(
    answers: Answers, caplog: pytest.LogCaptureFixture
) -> None:
    [message] = report(answers, caplog)

    assert message.startswith("ValidatingAdmissionPolicy 'flywheel-pods' is not in force")
    assert POLICY_GUARANTEES["flywheel-pods"] in message
    value = metrics.REGISTRY.get_sample_value("flywheel_policy_in_force", {"policy": "flywheel-pods"})
    assert value == 0


def test_where_they_cannot_be_read_that_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    [message] = report(Answers(closed=True), caplog)

    assert message.startswith("whether the chart's policies are in force is unknown")
    assert all(guarantee in message for guarantee in POLICY_GUARANTEES.values())

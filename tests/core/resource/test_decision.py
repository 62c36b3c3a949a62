"""A rule's decision, and the plan that a kind makes of it."""

from dataclasses import fields, replace

import pytest

from flywheel.core.resource.api import JOB
from flywheel.core.resource.plan import Decision, ExistingChild, Plan
from flywheel.core.resource.schema import Status

OWN, SHARED = ExistingChild(JOB, "own"), ExistingChild(JOB, "shared")
DECISION = Decision(ready=False, reason="Checking", message="It is checked.", summary="checking", children=(OWN,))


def test_the_kind_adds_its_children_to_those_of_the_rule() -> None:
    assert DECISION.plan(Status(), children=(SHARED,)).children == (OWN, SHARED)


def test_none_leaves_every_child_alone() -> None:
    assert replace(DECISION, children=()).plan(Status(), children=None).children is None


def test_a_rule_with_a_child_cannot_leave_every_child_alone() -> None:
    with pytest.raises(ValueError, match="decision Checking has children of its own"):
        DECISION.plan(Status(), children=None)


@pytest.mark.parametrize(
    ("given", "summary"),
    [
        pytest.param("12 rows", "12 rows", id="the kind's summary, which may contain the rule's"),
        pytest.param("", "checking", id="the rule's own where the kind gives none"),
    ],
)
def test_the_summary(given: str, summary: str) -> None:
    assert DECISION.plan(Status(), summary=given).summary == summary


def test_no_field_of_a_decision_is_lost() -> None:
    """A field that is added to Decision alone would be dropped on the way to the plan."""
    assert {field.name for field in fields(Decision)} <= {field.name for field in fields(Plan)}
    whole = Decision(
        ready=True,
        reason="R",
        message="M",
        stalled=True,
        progressing=True,
        succeeded=True,
        children=(OWN,),
        summary="S",
    )
    plan = whole.plan(Status())
    for field in fields(Decision):
        assert getattr(plan, field.name) == getattr(whole, field.name), field.name

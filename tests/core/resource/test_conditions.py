"""From a plan to conditions, as kstatus, kubectl wait, Flux and Argo CD read them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from flywheel.core.resource.conditions import MAX_MESSAGE_LENGTH, updated_conditions
from flywheel.core.resource.plan import KindCondition, Plan
from flywheel.core.resource.schema import Condition, Status

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
READY = Plan(ready=True, reason="Checked", message="All is well.", status=Status())
WAITING = replace(READY, ready=False, reason="SecretNotFound", message="Waiting for Secret 's3'; create it.")
STALLED = replace(WAITING, stalled=True, reason="TrialsFailed")
UNKNOWN = replace(READY, ready=None, reason="Started")


def today(
    plan: Plan, old: tuple[Condition, ...] = (), now: datetime = NOON, *, bounded: bool = False
) -> dict[str, Condition]:
    """Conditions by their type."""
    return {condition.type: condition for condition in updated_conditions(plan, old, 3, now, bounded=bounded)}


@pytest.mark.parametrize(
    ("plan", "bounded", "statuses"),
    [
        pytest.param(READY, False, {"Ready": "True"}, id="ready and nothing else"),
        pytest.param(WAITING, False, {"Ready": "False", "Reconciling": "True"}, id="something missing is seconds away"),
        pytest.param(STALLED, False, {"Ready": "False", "Stalled": "True"}, id="stalled waits for nobody"),
        pytest.param(UNKNOWN, False, {"Ready": "Unknown", "Reconciling": "True"}, id="not yet known"),
        pytest.param(
            replace(READY, progressing=True), False, {"Ready": "True", "Reconciling": "True"}, id="ready while it rolls"
        ),
        pytest.param(replace(WAITING, progressing=False), False, {"Ready": "False"}, id="suspended: neither"),
        pytest.param(
            replace(READY, succeeded=True), True, {"Ready": "True", "Succeeded": "True"}, id="a bounded kind succeeded"
        ),
        pytest.param(
            WAITING,
            True,
            {"Ready": "False", "Succeeded": "Unknown", "Reconciling": "True"},
            id="a bounded kind that runs",
        ),
    ],
)
def test_conditions(plan: Plan, bounded: bool, statuses: dict[str, str]) -> None:
    assert {name: condition.status for name, condition in today(plan, bounded=bounded).items()} == statuses


def test_the_same_plan_an_hour_later_changes_no_condition() -> None:
    first = updated_conditions(WAITING, (), 3, NOON, bounded=True)

    assert updated_conditions(WAITING, first, 3, NOON + timedelta(hours=1), bounded=True) == first


def test_a_condition_moves_only_when_its_status_does() -> None:
    first = tuple(today(WAITING).values())
    later = NOON + timedelta(hours=1)

    assert today(replace(WAITING, reason="Unschedulable"), first, later)["Ready"].last_transition_time == NOON
    assert today(READY, first, later)["Ready"].last_transition_time == later


def test_the_year_1970_of_the_default_status_is_replaced() -> None:
    pending = Condition(
        type="Ready",
        status="Unknown",
        reason="Pending",
        message="",
        last_transition_time=datetime(1970, 1, 1, tzinfo=UTC),
        observed_generation=None,
    )

    assert today(UNKNOWN, (pending,))["Ready"].last_transition_time == NOON


def test_a_condition_has_the_generation_that_was_observed() -> None:
    assert today(READY)["Ready"].observed_generation == 3


def test_a_long_message_is_cut() -> None:
    assert len(today(replace(READY, message="a" * 5000))["Ready"].message) == MAX_MESSAGE_LENGTH


DRIFTS = KindCondition("NoDrift", False, "Drifted", "distance drifts")


def test_a_kind_s_own_conditions_follow_the_common_ones() -> None:
    found = today(replace(READY, conditions=(DRIFTS,)))

    assert [*found][-1] == "NoDrift"
    assert (found["NoDrift"].status, found["NoDrift"].reason, found["NoDrift"].message) == (
        "False",
        "Drifted",
        "distance drifts",
    )


def test_a_plan_that_does_not_speak_of_them_leaves_them_as_they_are() -> None:
    first = tuple(today(replace(READY, conditions=(DRIFTS,))).values())
    later = NOON + timedelta(hours=1)

    assert today(WAITING, first, later)["NoDrift"] == first[-1]
    assert "NoDrift" not in today(replace(WAITING, conditions=()), first, later)

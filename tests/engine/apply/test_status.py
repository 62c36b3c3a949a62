"""The event of a changed Ready condition: each failure is a Warning, progress and success are Normal."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from flywheel.core.resource.kind import AnyKind
from flywheel.core.resource.plan import Event, Plan
from flywheel.core.resource.schema import Condition, Status
from flywheel.engine import discover
from flywheel.engine.apply.status import NORMAL_REASONS, needs_write, ready_events
from tests.documents import CHECKOUT

KINDS = {kind.api.kind: kind for kind in discover.kinds()}
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
FAILURE = re.compile(
    r"Failed|Missing|NotFound|NotAllowed|Invalid|Refused|Forbidden|Error|Unschedulable|Stuck|Killed|Exceeded|TimedOut|Lost"
    r"|Crash|Infeasible|Pruned|Cannot|RolledBack|NotComparable|Breaker|Full|Mismatch|Unreachable|Loop"
)


def ready(status: str, reason: str) -> tuple[Condition, ...]:
    since = datetime(2026, 11, 29, tzinfo=UTC)
    return (
        Condition.model_validate({"type": "Ready", "status": status, "reason": reason, "lastTransitionTime": since}),
    )


def event_type(kind: str, old: tuple[str, str] | None, new: tuple[str, str], *, stalled: bool = False) -> str | None:
    """The type of the event of a change of Ready; None without an event."""
    plan = Plan(ready=None, reason=new[1], message="", status=Status(), stalled=stalled)
    found = ready_events(KINDS[kind], ready(*old) if old else (), ready(*new), plan)
    return found[0].type if found else None


@pytest.mark.parametrize(
    ("kind", "old", "new", "expected"),
    [
        pytest.param("Dataset", ("Unknown", "Pending"), ("False", "Checking"), "Normal", id="progress"),
        pytest.param("Dataset", ("False", "Checking"), ("True", "Checked"), "Normal", id="success"),
        pytest.param("Dataset", ("True", "Checked"), ("False", "Checking"), "Warning", id="readiness is lost"),
        pytest.param("Dataset", ("False", "Checking"), ("False", "SecretNotFound"), "Warning", id="what a pod waits for"),
        pytest.param("Dataset", ("False", "Checking"), ("False", "Unschedulable"), "Warning", id="no node"),
        pytest.param("Dataset", ("False", "Checking"), ("False", "SourceMissing"), "Warning", id="a failure that is retried"),
        pytest.param("Dataset", ("False", "Checking"), ("False", "LabelLeak"), "Warning", id="a check with a schedule, so not stalled"),
        pytest.param("Dataset", ("True", "Checked"), ("True", "CheckFailed"), "Warning", id="a failure beside an older success"),
        pytest.param("Experiment", ("Unknown", "Pending"), ("False", "DatasetNotFound"), "Warning", id="a missing Dataset"),
        pytest.param("Experiment", ("Unknown", "Pending"), ("False", "DatasetNotReady"), "Normal", id="a Dataset that is checked"),
        pytest.param("Model", ("True", "ChampionChosen"), ("True", "GateFailed"), "Warning", id="a challenger fails a gate"),
        pytest.param("ModelVersion", ("False", "Verifying"), ("False", "OutOfMemory"), "Warning", id="a reason that no list has"),
        pytest.param("TrainingPipeline", ("True", "Testing"), ("True", "TestFailed"), "Warning", id="a failed test run"),
        pytest.param("TrainingPipeline", ("True", "Live"), ("True", "BreakerOpen"), "Warning", id="an open breaker"),
        pytest.param("InferenceService", ("True", "CanaryJudged"), ("True", "RolledBack"), "Warning", id="a rollback"),
        pytest.param("InferenceService", ("True", "Serving"), ("True", "RollingOut"), "Normal", id="a rollout"),
        pytest.param("InferenceService", ("False", "Starting"), ("False", "InternalError"), "Warning", id="a fault of the operator"),
        pytest.param("BatchInference", ("True", "Scheduled"), ("True", "Suspended"), "Normal", id="a user's wish"),
        pytest.param("BatchInference", ("True", "Scored"), ("True", "Scored"), None, id="no change"),
    ],
)  # fmt: skip
def test_a_failure_is_a_warning(kind: str, old: tuple[str, str], new: tuple[str, str], expected: str | None) -> None:
    assert event_type(kind, old, new) == expected


def test_a_search_without_a_result_is_a_warning_whatever_ended_it() -> None:
    assert event_type("Experiment", ("False", "Searching"), ("False", "TimeSpent"), stalled=True) == "Warning"
    assert event_type("Experiment", ("False", "Searching"), ("True", "TimeSpent")) == "Normal"


@each_kind
def test_no_normal_reason_reads_like_a_failure(kind: AnyKind) -> None:
    assert kind.normal_reasons, "this test finds no reason any more"
    assert [reason for reason in kind.normal_reasons | NORMAL_REASONS if FAILURE.search(reason)] == []


def reported_reasons() -> Iterator[str]:
    """Each reason by which a container reports a failure."""

    def found_in(value: Any) -> Iterator[str]:
        for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from found_in(each)
        if isinstance(value, dict) and isinstance(value.get("reason"), str) and "message" in value:
            yield value["reason"]

    for path in sorted((CHECKOUT / "tests/contracts").glob("*.json")):
        yield from found_in(json.loads(path.read_text()))


@each_kind
def test_what_a_container_reports_is_a_warning(kind: AnyKind) -> None:
    reported = set(reported_reasons())

    assert len(reported) > 10, "this test finds no reason any more"
    assert reported & (kind.normal_reasons | NORMAL_REASONS) == set()


def test_an_event_of_the_plan_is_not_recorded_twice() -> None:
    old, new = ready("True", "Checked"), ready("True", "CheckFailed")
    plan = Plan(
        ready=True, reason="CheckFailed", message="", status=Status(), events=(Event("CheckFailed", "", "Warning"),)
    )

    assert ready_events(KINDS["Dataset"], old, new, plan) == ()


@pytest.mark.parametrize(
    ("new", "live", "written"),
    [
        pytest.param({"champion": "a", "history": []}, {"champion": "a"}, False, id="empty and absent"),
        pytest.param(
            {"signature": {"inputs": ["x"], "classes": []}}, {"signature": {"inputs": ["x"]}}, False, id="deep"
        ),
        pytest.param(
            {"versions": [{"name": "a", "warnings": []}]}, {"versions": [{"name": "a"}]}, False, id="in a list"
        ),
        pytest.param({"signature": {"classes": []}}, {"signature": {"classes": ["a"]}}, True, id="no longer there"),
        pytest.param({"rows": 0}, {}, True, id="zero is a value"),
    ],
)
def test_a_status_is_written_where_it_says_something_else(
    new: dict[str, Any], live: dict[str, Any], written: bool
) -> None:
    assert needs_write(new, live) == written

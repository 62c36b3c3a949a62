"""A fault of Flywheel's own is shown at once, tried again a few times, and final then."""

import json
from typing import Any

import pytest

from flywheel.core.diagnosis.attempt_state import read_job
from flywheel.core.diagnosis.internal_error import (
    MAX_TRIES,
    bound_internal_error,
    find_internal_error,
    is_given_up,
    last_failure,
    retry_scope,
)
from flywheel.core.diagnosis.outcome import Outcome
from tests.core.toy import KIND
from tests.simulation import FakeCluster, job, resource

TOY = resource(KIND, "flights", {"source": {"s3": {"uri": "s3://bucket/"}}})
FAULT = Outcome("Infrastructure", "InternalError", "KeyError: 'x'")


def pod(name: str, phase: str, second: int, container: str = "main", message: Any = None) -> dict[str, Any]:
    """A pod of a Job, created at that second; `message` is how its container ended."""
    state = {"terminated": {"exitCode": 1, "message": json.dumps(message)}} if message else {"running": {}}
    return {
        "metadata": {"name": name, "creationTimestamp": f"2026-01-01T00:00:{second:02d}Z"},
        "status": {"phase": phase, "containerStatuses": [{"name": container, "state": state}]},
    }


OURS = pod("one", "Failed", 1, message={"v": 1, "reason": "InternalError", "message": "KeyError: 'x'", "retry": True})
COLLECT = pod("one", "Failed", 1, "collect", {"error": {"reason": "InternalError", "message": "collect failed"}})
THEIRS = pod("one", "Failed", 1, message={"v": 1, "reason": "SourceMissing", "message": "no such file"})


@pytest.mark.parametrize(
    ("outcome", "before", "result", "count"),
    [
        pytest.param(FAULT, None, "Infrastructure", 1, id="the first"),
        pytest.param(FAULT, MAX_TRIES - 2, "Infrastructure", MAX_TRIES - 1, id="the last but one"),
        pytest.param(FAULT, MAX_TRIES - 1, "Invalid", MAX_TRIES, id="the last"),
        pytest.param(Outcome("Failed", "InternalError", "no"), MAX_TRIES - 1, "Invalid", MAX_TRIES, id="of main"),
        pytest.param(Outcome("Infrastructure", "Preempting", "no"), 4, "Infrastructure", 4, id="not ours"),
        pytest.param(Outcome("Infrastructure", "StoreUnreachable", "no"), None, "Infrastructure", None, id="none yet"),
    ],
)
def test_it_is_final_after_a_few_tries_and_nothing_else_counts(
    outcome: Outcome, before: int | None, result: str, count: int | None
) -> None:
    bounded, counted = bound_internal_error(outcome, before)

    assert (bounded.result, counted) == (result, count)
    assert ("This is a fault of Flywheel" in bounded.message) == (result == "Invalid")


def test_work_that_was_given_up_is_tried_again_with_another_spec_or_release() -> None:
    scopes = {retry_scope(generation, image) for generation in (1, 2) for image in ("runtime:1", "runtime:2")}

    assert len(scopes) == 4
    assert retry_scope(1, "runtime:1") in scopes
    assert not is_given_up(None)


@pytest.mark.parametrize(
    ("pods", "says"),
    [
        pytest.param(
            [OURS], "Container 'main' of pod 'one' failed by a fault of Flywheel: KeyError: 'x'.", id="at once"
        ),
        pytest.param([OURS, pod("two", "Running", 2)], "of pod 'one' failed", id="while another pod tries"),
        pytest.param([COLLECT], "Container 'collect' of pod 'one'", id="of collect"),
        pytest.param([OURS, pod("two", "Succeeded", 2)], None, id="it went away"),
        pytest.param([THEIRS], None, id="another failure"),
        pytest.param([], None, id="no pod"),
    ],
)
def test_the_failed_pod_of_a_job_that_goes_on(pods: list[dict[str, Any]], says: str | None) -> None:
    found = find_internal_error(pods)

    assert found is None if says is None else says in (found or "")


def test_the_failure_before_a_retry_stays_in_the_message() -> None:
    assert last_failure(0, None, None) == ""
    assert (
        last_failure(2, "StoreDown", "it is down") == " It is retry 2; the last attempt failed (StoreDown): it is down."
    )


def test_a_job_that_goes_on_after_a_fault_of_ours_has_it_as_its_diagnosis() -> None:
    running = job(TOY, "flights-check-1")
    controller = {"kind": "Job", "name": "flights-check-1", "uid": running["metadata"]["uid"], "controller": True}
    failed = {**OURS, "metadata": {**OURS["metadata"], "ownerReferences": [controller]}}

    found = read_job(running, [failed], FakeCluster(), lambda _job, _pods: None)

    assert found.diagnosis is not None
    assert (found.diagnosis.reason, found.has_job, found.outcome) == ("InternalError", True, None)
    assert "KeyError: 'x'" in found.diagnosis.message


def test_a_job_without_a_fault_of_ours_has_no_such_diagnosis() -> None:
    found = read_job(job(TOY, "flights-check-1"), [], FakeCluster())

    assert found.diagnosis is None or found.diagnosis.reason != "InternalError"

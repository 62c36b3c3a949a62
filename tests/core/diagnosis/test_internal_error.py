"""A fault of Flywheel's own is shown at once, tried again a few times, and final then."""

import json
from typing import Any

import pytest

from flywheel.core.diagnosis.internal_error import MAX_TRIES, bound_internal_error, find_internal_error, last_failure
from flywheel.core.diagnosis.outcome import Outcome

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
    ("outcome", "retries", "result"),
    [
        pytest.param(FAULT, 0, "Infrastructure", id="the first"),
        pytest.param(FAULT, MAX_TRIES - 2, "Infrastructure", id="the last but one"),
        pytest.param(FAULT, MAX_TRIES - 1, "Invalid", id="the last"),
        pytest.param(Outcome("Failed", "InternalError", "no"), MAX_TRIES, "Invalid", id="of main"),
        pytest.param(Outcome("Infrastructure", "StoreUnreachable", "no"), 99, "Infrastructure", id="not ours"),
    ],
)
def test_it_is_final_after_a_few_tries(outcome: Outcome, retries: int, result: str) -> None:
    bounded = bound_internal_error(outcome, retries)

    assert bounded.result == result
    assert ("This is a fault of Flywheel" in bounded.message) == (result == "Invalid")


def test_the_first_one_after_many_other_failures_is_tried_again() -> None:
    assert bound_internal_error(FAULT, 99, "StoreUnreachable") == FAULT
    assert bound_internal_error(FAULT, 99, "InternalError").result == "Invalid"


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

"""Outcomes of Jobs of several pods: a group is one attempt, items are many."""

import json
from typing import Any

import pytest

from flywheel.core.diagnosis import indexed_outcome
from flywheel.core.diagnosis.outcome import Outcome
from flywheel.core.resource.names import INDEX_LABEL, INDEXED_LABEL, ITEMS_ANNOTATION
from tests.core.toy import KIND
from tests.simulation import evicted_pod, job, pod, resource, running_state, terminated_state
from tests.simulation.pods import State

TOY = resource(KIND, "flights", {"source": {"s3": {"uri": "s3://bucket/"}}})
NAME = "flights-trial-1-1-5e0c2a9b"
DONE = {
    "v": 1, "phase": "Finished", "complete": True, "repeated": False, "timedOut": False, "oomKills": 0,
    "outputs": {"model": {"digest": "sha256:" + "a" * 64}}, "metrics": {"roc_auc": 0.7}, "facts": {}, "error": None, "usage": {},
}  # fmt: skip
EARLY, LATE = "2026-01-01T12:00:01Z", "2026-01-01T12:00:09Z"


def group(state: Any = "Running", message: str = "", **more: Any) -> dict[str, Any]:
    found = job(TOY, NAME, state=state, reason="PodFailurePolicy", message=message, labels={INDEXED_LABEL: "Group"})
    return {**found, **more}


def rank(
    number: int, main: State, collect: dict[str, Any] | None = None, at: str = EARLY, **more: Any
) -> dict[str, Any]:
    """A pod of the group whose main is in that state, and ended at that time."""
    told = {
        "collect": terminated_state(0, collect or {"v": 1, "phase": "Finished"}),
        "fetch": terminated_state(0, {"reason": "Fetched"}),
    }
    labels = {INDEX_LABEL: str(number)}
    found = pod(TOY, f"{NAME}-{number}-abcde", job=NAME, main=main, init=told, labels=labels)
    for each in found["status"]["containerStatuses"]:
        if "terminated" in each["state"]:
            each["state"] = {"terminated": {**each["state"]["terminated"], "finishedAt": at}}
    found["metadata"] |= more
    return found


def failed(number: int, words: str, at: str = EARLY, code: int = 1, **more: Any) -> dict[str, Any]:
    return rank(number, terminated_state(code, words), at=at, **more)


def ending(number: int, code: int = 1) -> str:
    """As the Job controller names the pod that ended the Job."""
    return f"Container main for pod default/{NAME}-{number}-abcde failed with exit code {code} matching FailJob rule at index 1"


REMOVED: dict[str, Any] = {
    "deletionTimestamp": "2026-01-01T12:02:05Z",
    "deletionGracePeriodSeconds": 120,
}  # asked for at 12:00:05
OVER = {"type": "Failed", "status": "True"}
FAILED_AT_4 = {"type": "FailureTarget", "status": "True", "lastTransitionTime": "2026-01-01T12:00:04Z"}


def read(job: dict[str, Any], *pods: dict[str, Any]) -> Outcome:
    found = indexed_outcome.attempt_outcome(job, pods)
    assert found is not None
    return found


def test_a_group_is_done_when_all_ranks_are_and_has_the_results_of_rank_0() -> None:
    others = {**DONE, "outputs": {}, "metrics": {}}

    found = read(group("Complete"), rank(1, terminated_state(0), others), rank(0, terminated_state(0), DONE))

    assert (found.result, found.metrics) == ("Succeeded", {"roc_auc": 0.7})
    assert found.outputs["model"].startswith("sha256:")


def test_rank_0_alone_makes_no_success() -> None:
    assert (
        indexed_outcome.attempt_outcome(group(), [rank(0, terminated_state(0), DONE), rank(1, running_state())]) is None
    )


def test_a_complete_group_whose_rank_0_uploaded_nothing_is_no_success() -> None:
    lost = {
        **DONE,
        "complete": False,
        "error": {"reason": "UploadFailed", "message": "The store is slow.", "retry": True},
    }

    found = read(group("Complete"), rank(0, terminated_state(0), lost), rank(1, terminated_state(0), DONE))

    assert (found.result, found.reason) == ("Infrastructure", "UploadFailed")


def test_a_removed_rank_loses_the_attempt_at_once() -> None:
    found = read(group(), rank(0, running_state()), rank(1, running_state(), **REMOVED))

    assert (found.result, found.reason) == ("Infrastructure", "RankLost")
    assert f"pod '{NAME}-1-abcde'" in found.message


def test_a_rank_that_the_job_removes_after_another_failed_is_not_lost() -> None:
    """The Job removes the others before it says that it fails."""
    assert indexed_outcome.attempt_outcome(group(), [failed(0, "boom"), rank(1, running_state(), **REMOVED)]) is None


def test_a_rank_that_the_job_removed_and_that_ended_by_it_is_not_lost_either() -> None:
    assert indexed_outcome.attempt_outcome(group(), [failed(0, "boom"), failed(1, "", code=143, **REMOVED)]) is None


def test_a_rank_removed_before_another_failed_is_lost_although_it_was_observed_later() -> None:
    job = group("Failed", ending(0), status={"conditions": [{**FAILED_AT_4, "lastTransitionTime": LATE}, OVER]})

    found = read(job, failed(0, "connection reset", at="2026-01-01T12:00:06Z"), failed(1, "", code=143, **REMOVED))

    assert found.result == "Infrastructure"


def test_an_evicted_rank_explains_why_the_others_failed() -> None:
    gone = evicted_pod(TOY, f"{NAME}-1-abcde", job=NAME, labels={INDEX_LABEL: "1"})

    found = read(group("Failed", ending(0)), failed(0, "connection reset by peer"), gone)

    assert (found.result, found.reason) == ("Infrastructure", "Evicted")


def test_a_rank_killed_by_a_signal_explains_why_the_others_failed() -> None:
    found = read(group("Failed", ending(0)), failed(0, "connection reset"), failed(1, "", code=137))

    assert found.result == "Infrastructure"
    assert found.message.startswith("Rank 1: ")


def test_the_rank_that_failed_first_gives_the_reason() -> None:
    found = read(
        group("Failed", ending(1)), failed(1, "connection reset", at=LATE), failed(0, "no column colour", at=EARLY)
    )

    assert (found.result, found.reason) == ("Failed", "ExitCode1")
    assert found.message.startswith("Rank 0: ")
    assert "no column colour" in found.message


def test_of_two_failures_in_the_same_second_the_one_that_ended_the_job_gives_the_reason() -> None:
    found = read(group("Failed", ending(1)), failed(0, "connection reset"), failed(1, "no column colour"))

    assert "no column colour" in found.message


def test_how_the_job_ended_the_other_ranks_is_ignored() -> None:
    stopped = failed(0, "", at="2026-01-01T12:00:05Z", code=143, **REMOVED)
    job = group("Failed", ending(1), status={"conditions": [FAILED_AT_4, OVER]})

    found = read(job, stopped, failed(1, "no column colour", at="2026-01-01T12:00:03Z"))

    assert (found.result, found.reason) == ("Failed", "ExitCode1")


def test_a_rank_that_failed_by_itself_before_its_removal_counts() -> None:
    first = failed(0, "no column colour", at=EARLY, **REMOVED)
    job = group("Failed", ending(1), status={"conditions": [FAILED_AT_4, OVER]})

    found = read(job, first, failed(1, "connection reset", at="2026-01-01T12:00:03Z"))

    assert "no column colour" in found.message


def test_the_rank_that_was_stopped_on_purpose_explains_why_the_others_failed() -> None:
    """Though another one's pod was the first to end, and the Job removed this one then."""
    why = {"v": 1, "phase": "Finished", "pruned": {"message": "It was worse than half of its siblings."}}
    stopped = rank(0, terminated_state(143, ""), why, at="2026-01-01T12:00:05Z", **REMOVED)
    job = group("Failed", ending(1), status={"conditions": [FAILED_AT_4, OVER]})

    found = read(job, stopped, failed(1, "connection reset", at="2026-01-01T12:00:05Z"))

    assert (found.result, found.reason) == ("Failed", "Pruned")


def test_memory_that_ran_out_is_no_consequence() -> None:
    out_of_memory = rank(1, State({"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": LATE}}))

    found = read(group("Failed", ending(0)), failed(0, "connection reset"), out_of_memory)

    assert found.reason == "OOMKilled"


def test_a_rank_that_failed_by_its_watch_alone_makes_no_success_of_the_group() -> None:
    done = {**rank(1, terminated_state(0), {**DONE, "outputs": {}})}
    done["status"]["phase"] = "Failed"

    found = read(group("Failed", "Job has reached the specified backoff limit"), rank(0, running_state()), done)

    assert found.result == "Infrastructure"


def test_a_failed_rank_waits_for_the_reports_of_the_others() -> None:
    assert indexed_outcome.attempt_outcome(group(), [failed(0, "connection reset"), rank(1, running_state())]) is None


def test_without_pods_the_outcome_has_the_jobs_own_message_and_is_retried() -> None:
    found = read(group("Failed", ending(1, 137)))

    assert found.result == "Infrastructure"
    assert "exit code 137" in found.message


def test_work_that_an_earlier_job_of_the_attempt_did_is_not_done_again() -> None:
    found = read(
        group("Failed", ending(1)), rank(0, running_state(), {**DONE, "repeated": True}) | {"status": _refused(DONE)}
    )

    assert (found.result, found.metrics) == ("Succeeded", {"roc_auc": 0.7})


def _refused(told: dict[str, Any]) -> dict[str, Any]:
    states = {
        "collect": terminated_state(0, {**told, "repeated": True}),
        "fetch": terminated_state(3, {"reason": "Repeated"}),
    }
    return {
        "phase": "Failed",
        "initContainerStatuses": [{"name": name, "state": each.state} for name, each in states.items()],
        "containerStatuses": [],
    }


@pytest.mark.parametrize("label", ["Group", "none"])
def test_what_a_queue_holds_has_not_ended(label: str) -> None:
    """Kueue takes a Job back by suspending it: its pods go, and come again."""
    held = job(TOY, NAME, state="Suspended", labels={INDEXED_LABEL: label})

    assert indexed_outcome.attempt_outcome(held, [failed(0, "", code=143, **REMOVED)]) is None


def items(state: Any, *numbers: int) -> dict[str, Any]:
    notes = {ITEMS_ANNOTATION: json.dumps(numbers)}
    return job(TOY, NAME, state=state, reason="FailedIndexes", labels={INDEXED_LABEL: "Each"}, annotations=notes)


def test_items_are_read_by_their_own_numbers() -> None:
    found = indexed_outcome.item_outcomes(
        items("Running", 3, 7), [rank(0, terminated_state(0), DONE), rank(1, running_state())]
    )

    assert {number: each.result for number, each in found.items()} == {3: "Succeeded"}


def test_every_item_of_a_job_that_is_over_has_an_outcome() -> None:
    over = items("Failed", 3, 7, 8)

    found = indexed_outcome.item_outcomes(over, [rank(0, terminated_state(0), DONE), failed(1, "no such month")])

    assert {number: each.result for number, each in found.items()} == {3: "Succeeded", 7: "Failed", 8: "Infrastructure"}
    assert "no such month" in found[7].message


def test_an_evicted_item_waits_for_its_new_pod() -> None:
    condition = {"type": "DisruptionTarget", "status": "True"}
    gone = evicted_pod(TOY, f"{NAME}-0-abcde", labels={INDEX_LABEL: "0"}, conditions=(condition,))

    assert indexed_outcome.item_outcomes(items("Running", 3), [gone]) == {}


GOOD, BAD = Outcome("Succeeded", "Succeeded", ""), Outcome("Failed", "ExitCode1", "No such month.")
AGAIN = Outcome("Infrastructure", "Evicted", "Trying again.")


@pytest.mark.parametrize(
    ("outcomes", "result", "says"),
    [
        pytest.param({0: GOOD, 1: GOOD}, "Succeeded", "", id="all succeeded"),
        pytest.param(
            {0: GOOD, 1: BAD}, "Failed", "1 of 2 items did not succeed; item 1: No such month.", id="one failed"
        ),
        pytest.param(
            {0: AGAIN, 1: BAD}, "Failed", "2 of 2 items did not succeed; item 1", id="a fault outweighs bad luck"
        ),
        pytest.param(
            {0: GOOD}, "Infrastructure", "1 of 2 items have not ended", id="one is unknown, which is no success"
        ),
    ],
)
def test_items_together(outcomes: dict[int, Outcome], result: str, says: str) -> None:
    found = indexed_outcome.merge_outcomes(outcomes, 2)

    assert found.result == result
    assert says in found.message


def test_items_together_have_every_items_outputs_and_the_means_of_the_metrics_that_all_have() -> None:
    first = Outcome("Succeeded", "Succeeded", "", {"part": "sha256:a"}, {"rows": 10, "extra": 1})
    last = Outcome("Succeeded", "Succeeded", "", {"part": "sha256:b", "tracking": "sha256:c"}, {"rows": 20})

    found = indexed_outcome.merge_outcomes({3: first, 7: last}, 2)

    assert found.outputs == {"part-3": "sha256:a", "part-7": "sha256:b"}
    assert found.metrics == {"rows": 15}

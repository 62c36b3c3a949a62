"""What else than our own servers' counts a ModelMonitor compares: outputs of a BatchInference, and rows that another server left."""

from datetime import datetime
from typing import Any

import pytest

from flywheel.core.resource.api import BATCH_INFERENCE, Manifest
from tests.kinds.modelmonitor.situations import DIGEST, QUIET, Monitor, at, service, version
from tests.simulation.resources import custom

TRITON = {"triton": {"image": "triton"}}


def ended(finished_at: datetime, output: str = "s3://acme/out/", **changes: Any) -> dict[str, Any]:
    run = {"time": finished_at.isoformat(), "result": "Succeeded", "version": "delay-1", "output": output}
    return {**run, "finishedAt": finished_at.isoformat(), **changes}


def batch(*history: dict[str, Any], **output: Any) -> Manifest:
    """BatchInference `delays` with these ended runs, newest first."""
    spec = {
        "model": "delay",
        "input": {"s3": {"uri": "s3://acme/in/"}},
        "output": {"s3": {"uri": "s3://acme/out/", **output}, "overwrite": True},
    }
    return custom(BATCH_INFERENCE, "delays", spec, status={"history": [*history]})


def monitor(*history: dict[str, Any], **output: Any) -> Monitor:
    return Monitor(batch(*history, **output), version(), inferenceService=None, batchInference="delays")


def test_the_outputs_of_runs_are_compared_each_in_the_window_in_which_it_finished() -> None:
    batches = monitor(
        ended(at(11, 30), "s3://acme/out/2/"), ended(at(11, 10), "s3://acme/out/1/"), ended(at(9, 20), "s3://acme/out/0/"),
        secretName="acme",
    )  # fmt: skip
    batches.add_tick("drift-1")
    batches.advance(minutes=2)
    batches.settle()

    assert batches.params(1)["storedRows"] == {
        "source": "Batch",
        "runs": [
            {"input": "batch-0", "version": "delay-1", "digest": DIGEST, "finishedAt": "2026-01-01T09:20:00Z"},
            {"input": "batch-1", "version": "delay-1", "digest": DIGEST, "finishedAt": "2026-01-01T11:10:00Z"},
            {"input": "batch-2", "version": "delay-1", "digest": DIGEST, "finishedAt": "2026-01-01T11:30:00Z"},
        ],
    }
    assert (batches.params(1)["from"], batches.params(1)["until"]) == ("2026-01-01T09:00:00Z", "2026-01-01T12:00:00Z")
    inputs = batches.inputs(1)
    assert inputs["batch-0"]["s3"] == {"uri": "s3://acme/out/0/", "foreign": True, "secret": "acme"}
    assert inputs["batch-0"]["optional"]
    assert {"counts", "rows"}.isdisjoint(inputs)

    batches.end(1, QUIET)
    batches.settle()
    assert batches.condition["NoDrift"][0] == "True"
    batches.advance(hours=5)
    batches.add_tick("drift-2")
    batches.settle()
    assert batches.runs == [], "no run of the BatchInference has finished since"
    assert batches.completed_ticks() == {"drift-1", "drift-2"}
    assert batches.condition["NoDrift"][0] == "True"


def test_a_run_whose_output_was_replaced_or_that_failed_is_not_compared() -> None:
    batches = monitor(
        ended(at(11, 40), result="Failed", output="s3://acme/other/"),
        ended(at(11, 30)),
        ended(at(11, 10)),
        ended(at(10, 10)),
    )
    batches.add_tick("drift-1")
    batches.advance(minutes=2)
    batches.settle()

    assert [each["finishedAt"] for each in batches.params(1)["storedRows"]["runs"]] == ["2026-01-01T11:30:00Z"]


def test_without_a_run_there_is_nothing_to_do_and_without_the_batch_it_says_so() -> None:
    batches = monitor()
    batches.add_tick("drift-1")
    batches.settle()
    assert (batches.plan.reason, batches.runs) == ("Scheduled", [])

    missing = Monitor(version(), inferenceService=None, batchInference="delays")
    missing.settle()
    assert missing.plan.reason == "BatchInferenceNotFound"
    assert "BatchInference 'delays' does not exist" in missing.plan.message


def test_rows_that_another_server_left_are_counted() -> None:
    other = Monitor(service(logging=None, runtime=TRITON), version())
    other.add_tick("drift-1")
    other.settle()

    assert other.params(1)["storedRows"] == {"source": "Log"}
    inputs = other.inputs(1)
    assert inputs["rows"]["folder"]["path"] == "predictions/delays/rows/"
    assert "counts" not in inputs


@pytest.mark.parametrize("truth", [{}])
def test_no_labels_can_be_posted_to_another_server(truth: dict[str, Any]) -> None:
    performance = {"metric": "roc_auc"}
    other = Monitor(service(logging=None, runtime=TRITON), version(), groundTruth=truth, performance=performance)
    other.tick_and_run(QUIET)

    assert other.condition["Performing"] == ("Unknown", "FeedbackNotServed")

"""A ModelMonitor from its first tick on: which windows a run covers, and what its conditions say."""

from typing import Any

import pytest

from flywheel.core.resource.api import CRON_JOB, INFERENCE_SERVICE, JOB, MODEL_VERSION, Reference
from flywheel.core.resource.plan import ExistingChild
from flywheel.core.settings import AllowedPlacement, Settings
from flywheel.kinds.modelmonitor.children import REQUEST_ANNOTATION
from tests.kinds.modelmonitor.situations import (
    BROKEN,
    DRIFT,
    FEW,
    QUIET,
    REPORT,
    STATE,
    STORE_DOWN,
    Monitor,
    at,
    service,
    version,
)
from tests.simulation import unschedulable_pod

HEALTHY = {
    "Ready": ("True", "Monitoring"),
    "DataHealthy": ("True", "WithinThreshold"),
    "NoDrift": ("True", "WithinThreshold"),
}


def test_a_new_monitor_waits_for_its_first_tick() -> None:
    monitor = Monitor()

    plan = monitor.settle()

    assert (plan.ready, plan.reason, monitor.runs) == (True, "Scheduled", [])
    assert monitor.condition["NoDrift"] == ("Unknown", "Scheduled")
    assert monitor.status.summary == "no window tested yet"
    assert monitor.cluster.get(Reference(CRON_JOB, "default", "drift")) is not None


def test_a_tick_starts_a_run_over_the_windows_that_have_ended() -> None:
    monitor = Monitor()
    monitor.advance(minutes=7)
    monitor.add_tick("drift-1")

    plan = monitor.settle()

    assert (plan.ready, plan.reason, len(monitor.runs)) == (False, "Running", 1)
    params = monitor.params(1)
    assert (params["from"], params["until"]) == ("2025-12-31T12:00:00Z", "2026-01-01T12:00:00Z")
    assert monitor.completed_ticks() == set()


def test_a_run_without_findings_is_silent() -> None:
    monitor = Monitor().tick_and_run(QUIET)

    assert monitor.condition == HEALTHY
    assert monitor.plan.message == (
        "Traffic until 2026-01-01 11:00 UTC is tested (12,408 rows of 9,100 requests, 99.8% of those served). "
        "Nothing was found."
    )
    assert monitor.status.summary == "no finding; 12,408 rows until 2026-01-01 11:00"
    assert monitor.completed_ticks() == {"drift-1"}
    assert monitor.runs == []
    assert (monitor.status.report.digest, monitor.status.state.digest) == (REPORT, STATE)
    assert [(each.name, each.psi) for each in monitor.status.features] == [("distance", "0.01235"), ("month", "0.004")]


def test_drift_makes_one_condition_false_with_one_event_and_leaves_the_monitor_ready() -> None:
    monitor = Monitor().tick_and_run(QUIET)
    monitor.advance(hours=1)
    monitor.tick_and_run(DRIFT, "drift-2")

    assert monitor.condition == {**HEALTHY, "NoDrift": ("False", "Drifted")}
    [finding] = monitor.status.findings
    assert (finding.name, finding.effect, finding.threshold) == ("featureDrift/psi/delay-1/distance", "0.4219", "0.1")
    assert monitor.status.summary == "featureDrift of distance (psi 0.4219); 12,408 rows until 2026-01-01 12:00"
    assert (
        "featureDrift of 'distance' of version delay-1 is 0.4219 (threshold 0.1) since 2026-01-01 09:00 UTC."
        in monitor.plan.message
    )
    assert monitor.events().count("Drifted") == 1

    monitor.advance(hours=1)
    monitor.tick_and_run(DRIFT, "drift-3")
    assert monitor.events().count("Drifted") == 1, "it is known"


def test_a_finding_that_outlasts_a_failed_run_is_no_second_event_and_one_that_comes_back_is() -> None:
    monitor = Monitor().tick_and_run(DRIFT)
    monitor.advance(hours=1)
    monitor.add_tick("drift-2")
    monitor.settle()
    monitor.fail(2, BROKEN)
    monitor.settle()
    assert monitor.condition["NoDrift"] == ("Unknown", "StateInvalid")

    monitor.advance(hours=1)
    monitor.tick_and_run(DRIFT, "drift-3")
    assert monitor.condition["NoDrift"] == ("False", "Drifted")
    assert monitor.events().count("Drifted") == 1
    for number, facts in ((4, FEW), (5, DRIFT)):
        monitor.advance(hours=1)
        monitor.tick_and_run(facts, f"drift-{number}")
    assert monitor.events().count("Drifted") == 2


def test_columns_whose_names_are_shortened_alike_lose_no_finding() -> None:
    long = {**DRIFT["findings"][0], "subject": "a" * 59 + "…"}
    monitor = Monitor().tick_and_run(
        {**DRIFT, "findings": [long, {**long, "effect": 0.3}], "features": [["a…", 0.4], ["b", 0.35], ["a…", 0.3]]}
    )

    assert [each.effect for each in monitor.status.findings] == ["0.4219", "0.3"]
    assert len({each.name for each in monitor.status.findings}) == 2
    assert [(each.name, each.psi) for each in monitor.status.features] == [("a…", "0.4"), ("b", "0.35")]


def test_too_few_rows_are_unknown_and_a_missing_signal_too() -> None:
    monitor = Monitor().tick_and_run(FEW)

    assert monitor.condition == {
        "Ready": ("True", "Monitoring"),
        "DataHealthy": ("Unknown", "NotEnoughRows"),
        "NoDrift": ("Unknown", "NotReported"),
    }


def test_a_service_without_traffic_is_waited_for() -> None:
    monitor = Monitor().tick_and_run({**FEW, "rows": 0, "requests": 0, "versions": {}})

    assert monitor.condition["Ready"] == ("True", "WaitingForTraffic")
    assert "if it has traffic, see the log of container log-sink" in monitor.plan.message


def test_signals_that_are_switched_off_have_no_condition() -> None:
    off = {"disabled": True}
    monitor = Monitor(featureDrift=off, predictionDrift=off)
    monitor.add_tick("drift-1")
    monitor.settle()

    assert monitor.params(1)["signals"] == {"dataQuality": {"maxShare": "0.01"}}
    monitor.end(1, QUIET)
    monitor.settle()
    assert set(monitor.condition) == {"Ready", "DataHealthy"}


def test_the_next_run_goes_on_from_the_state_where_the_last_one_ended() -> None:
    monitor = Monitor().tick_and_run(QUIET)
    monitor.advance(hours=5)
    monitor.add_tick("drift-2")
    monitor.settle()

    params = monitor.params(2)
    assert (params["from"], params["until"], params["skipped"]) == ("2026-01-01T11:00:00Z", "2026-01-01T16:00:00Z", 0)
    assert monitor.condition["Ready"] == ("True", "Monitoring"), "a run does not make it flap"
    assert params["stateExpected"] is True, "a state that the store has lost is no first run"
    fetched = str(monitor.job(2))
    assert STATE in fetched
    assert "dt=2026-01-01/hour=10/" in fetched
    assert "hour=16/" not in fetched


def test_a_tick_before_the_next_window_has_ended_starts_nothing() -> None:
    monitor = Monitor().tick_and_run(QUIET)
    monitor.add_tick("drift-2")

    monitor.settle()

    assert (monitor.runs, monitor.completed_ticks()) == ([], {"drift-1", "drift-2"})


def test_ticks_while_a_run_is_under_way_are_answered_by_one_more_run() -> None:
    monitor = Monitor()
    monitor.add_tick("drift-1")
    monitor.settle()
    for number in (2, 3):
        monitor.advance(hours=1)
        monitor.add_tick(f"drift-{number}")
    monitor.settle()
    assert len(monitor.runs) == 1, "never two at once"

    monitor.end(1, QUIET)
    monitor.settle()

    params = monitor.params(2)
    assert (params["from"], params["until"]) == ("2026-01-01T11:00:00Z", "2026-01-01T13:00:00Z")
    assert STATE in str(monitor.job(2)), "it goes on from the state of the run before"
    monitor.end(2, QUIET)
    monitor.settle()
    assert monitor.completed_ticks() == {"drift-1", "drift-2", "drift-3"}


def test_a_backlog_is_tested_in_pieces_by_runs_that_follow_at_once() -> None:
    monitor = Monitor().tick_and_run(QUIET)
    monitor.advance(hours=54)
    monitor.add_tick("drift-2")
    monitor.settle()
    for number, end in ((2, "2026-01-02T11:00:00Z"), (3, "2026-01-03T11:00:00Z"), (4, "2026-01-03T17:00:00Z")):
        assert monitor.params(number)["until"] == end
        assert STATE in str(monitor.job(number)), "each goes on from the state of the one before"
        assert monitor.completed_ticks() == {"drift-1"}
        monitor.end(number, QUIET)
        monitor.settle()

    assert (monitor.runs, monitor.completed_ticks()) == ([], {"drift-1", "drift-2"})
    assert (monitor.status.processed_until, monitor.status.skipped_windows) == (at(17, day=3), None)


def test_a_run_that_needs_too_much_memory_is_followed_by_smaller_ones_until_it_has_caught_up() -> None:
    monitor = Monitor().tick_and_run(QUIET)
    monitor.advance(hours=8)
    monitor.add_tick("drift-2")
    monitor.settle()
    assert monitor.params(2)["until"] == "2026-01-01T19:00:00Z"
    monitor.run_out_of_memory(2)
    plan = monitor.settle()
    assert plan.reason == "OOMKilled"
    assert plan.message.endswith("with at most 4 windows.")

    monitor.advance(hours=1)
    monitor.add_tick("drift-3")
    monitor.settle()
    for number, end in ((3, "2026-01-01T15:00:00Z"), (4, "2026-01-01T19:00:00Z"), (5, "2026-01-01T20:00:00Z")):
        assert monitor.params(number)["until"] == end
        monitor.end(number, QUIET)
        monitor.settle()
    assert monitor.condition == HEALTHY
    assert monitor.completed_ticks() == {"drift-1", "drift-2", "drift-3"}


def test_windows_that_are_too_long_ago_are_skipped_and_counted() -> None:
    monitor = Monitor().tick_and_run(QUIET)
    monitor.advance(days=9)
    monitor.add_tick("drift-2")
    monitor.settle()

    params = monitor.params(2)
    assert (params["from"], params["skipped"]) == ("2026-01-03T11:00:00Z", 9 * 24 - 7 * 24)
    monitor.end(2, QUIET)
    monitor.settle()
    assert monitor.status.skipped_windows == 48
    assert (
        "48 windows were never tested, since they were more than a week ago when a run started" in monitor.plan.message
    )


def test_a_suspended_monitor_does_nothing_and_claims_nothing() -> None:
    monitor = Monitor().tick_and_run(QUIET)
    monitor.patch_spec(suspend=True)
    monitor.settle()

    assert monitor.condition["Ready"] == ("False", "Suspended")
    assert (monitor.condition["NoDrift"], monitor.condition["DataHealthy"]) == (("Unknown", "Suspended"),) * 2
    monitor.advance(days=7)
    monitor.settle()
    assert monitor.runs == []
    assert monitor.manifest(Reference(CRON_JOB, "default", "drift"))["spec"]["suspend"] is True

    monitor.patch_spec(suspend=None)
    monitor.tick_and_run(QUIET, "drift-2")
    assert monitor.condition == HEALTHY


def test_a_store_that_is_away_is_retried_and_does_not_undo_what_was_found() -> None:
    monitor = Monitor().tick_and_run(DRIFT)
    monitor.advance(hours=1)
    monitor.add_tick("drift-2")
    monitor.settle()
    for number in range(2, 8):
        monitor.fail(number, STORE_DOWN)
        monitor.settle()
        assert monitor.condition["NoDrift"] == (("False", "Drifted") if number < 7 else ("Unknown", "StoreUnreachable"))
        monitor.advance(minutes=10)
        monitor.settle()
    assert len(monitor.runs) == 1
    monitor.end(8, QUIET)
    monitor.settle()

    assert monitor.condition == HEALTHY


def test_a_run_that_failed_says_so_until_the_next_one_succeeds() -> None:
    monitor = Monitor().tick_and_run(QUIET)
    monitor.advance(hours=1)
    monitor.add_tick("drift-2")
    monitor.settle()
    monitor.fail(2, BROKEN)
    plan = monitor.settle()

    assert (plan.ready, plan.reason, plan.stalled) == (False, "StateInvalid", False)
    assert plan.message == "state.json cannot be read. The next run comes at the next tick of '7 * * * *' (Etc/UTC)."
    assert monitor.condition["NoDrift"] == ("Unknown", "StateInvalid")
    assert len(monitor.runs) == 1, "its logs can be read"
    assert monitor.completed_ticks() == {"drift-1", "drift-2"}

    monitor.advance(hours=1)
    monitor.tick_and_run(QUIET, "drift-3")
    assert monitor.condition == HEALTHY
    assert monitor.status.processed_until == at(13)


@pytest.mark.parametrize(
    ("objects", "reason", "sentence"),
    [
        pytest.param((version(),), "ServiceNotFound", "create it or correct spec.inferenceService", id="no service"),
        pytest.param(
            (service(logging=None), version()), "TrafficNotCounted", "set spec.logging: {} there", id="no logging"
        ),
    ],
)
def test_what_is_not_counted_is_not_monitored(objects: tuple[Any, ...], reason: str, sentence: str) -> None:
    monitor = Monitor(*objects)
    monitor.add_tick("drift-1")

    plan = monitor.settle()

    assert (plan.ready, plan.reason, plan.stalled, monitor.runs) == (False, reason, False, [])
    assert sentence in plan.message
    assert monitor.completed_ticks() == {"drift-1"}


def test_a_service_that_starts_to_count_is_monitored_from_the_next_tick_on() -> None:
    monitor = Monitor(service(logging=None), version())
    monitor.settle()
    monitor.put(service())
    monitor.settle()
    assert monitor.plan.reason == "Scheduled"


def test_a_run_on_request_starts_once_a_window_has_ended() -> None:
    monitor = Monitor()
    monitor.annotate({REQUEST_ANNOTATION: "now"})
    monitor.settle()
    monitor.end(1, QUIET)
    monitor.settle()
    monitor.annotate({REQUEST_ANNOTATION: "again"})
    monitor.settle()
    assert monitor.runs == []

    monitor.advance(minutes=2)
    monitor.settle()
    assert monitor.params(2)["until"] == "2026-01-01T12:00:00Z"
    monitor.end(2, QUIET)
    monitor.settle()
    assert monitor.runs == [], "a request is answered once"


def test_both_versions_of_a_rollout_and_an_earlier_one_come_with_their_references() -> None:
    other, third = "sha256:" + "d" * 64, "sha256:" + "e" * 64
    rolling = service()
    versions = {"mode": "Canary", "champion": "delay-1", "challenger": "delay-2"}
    times = {"started": "2026-01-01T11:00:00Z", "since": "2026-01-01T11:00:00Z"}
    rolling["status"]["rollout"] = {"phase": "Judging", **versions, **times}
    monitor = Monitor(rolling, version(), version("delay-2", other), version("delay-0", third))
    monitor.add_tick("drift-1")
    monitor.settle()
    assert [each["name"] for each in monitor.params(1)["versions"]] == ["delay-1", "delay-2"]
    monitor.end(1, {**QUIET, "versions": {"delay-0": 3, "delay-1": 12405}})
    monitor.settle()

    monitor.advance(hours=1)
    monitor.cluster.remove(Reference(MODEL_VERSION, "default", "delay-0"))
    monitor.add_tick("drift-2")
    monitor.settle()
    assert [each["name"] for each in monitor.params(2)["versions"]] == ["delay-1", "delay-2"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param({}, False, id="trained here"),
        pytest.param({"s3": {"uri": "s3://acme/delay.onnx"}}, True, id="brought from s3"),
        pytest.param({"http": {"url": "https://example.com/delay.onnx"}}, True, id="brought from a web server"),
    ],
)
def test_logged_rows_are_counted_where_a_brought_model_has_no_baseline(source: dict[str, Any], expected: bool) -> None:
    monitor = Monitor(service(), version(**source))
    monitor.add_tick("drift-1")
    monitor.settle()

    inputs = monitor.inputs(1)

    assert ("rows" in inputs) is expected
    if expected:
        assert inputs["rows"]["folder"]["path"] == "predictions/delays/rows/"
        assert inputs["rows"]["folder"]["parts"] == inputs["counts"]["folder"]["parts"]


def test_the_artifact_of_a_version_that_was_deleted_is_remembered() -> None:
    monitor = Monitor().tick_and_run(QUIET)
    monitor.cluster.remove(Reference(MODEL_VERSION, "default", "delay-1"))
    monitor.advance(hours=1)
    monitor.add_tick("drift-2")
    monitor.settle()

    assert [each["name"] for each in monitor.params(2)["versions"]] == ["delay-1"]


def test_a_lost_status_is_made_again_from_the_job() -> None:
    monitor = Monitor()
    monitor.add_tick("drift-1")
    monitor.reconcile_and_lose_status()
    monitor.settle()

    assert len(monitor.runs) == 1
    assert monitor.status.run.number == 1


def test_a_job_that_somebody_deleted_is_made_again() -> None:
    monitor = Monitor()
    monitor.add_tick("drift-1")
    monitor.settle()
    monitor.cluster.remove(Reference(JOB, "default", monitor.runs[0]))
    monitor.settle()
    monitor.advance(seconds=11)
    monitor.settle()

    assert monitor.status.run.number == 2
    assert monitor.status.run.reason == "JobVanished"


def test_a_pod_that_cannot_start_is_diagnosed() -> None:
    monitor = Monitor()
    monitor.add_tick("drift-1")
    monitor.settle()
    [name] = monitor.runs
    monitor.put(
        unschedulable_pod(monitor.resource, f"{name}-pod", "0/1 nodes are available: 1 Insufficient memory.", job=name)
    )
    monitor.advance(seconds=16)

    assert monitor.settle().reason == "Unschedulable"


def test_a_forbidden_placement_starts_no_run() -> None:
    monitor = Monitor(placement={"priorityClassName": "system-node-critical"})
    monitor.restart_with(Settings(placement=AllowedPlacement(priority_class_names=("batch",))))
    monitor.add_tick("drift-1")
    plan = monitor.settle()

    assert (plan.reason, monitor.runs) == ("PlacementNotAllowed", [])


def test_a_service_that_goes_away_while_a_run_is_under_way_lets_it_end() -> None:
    monitor = Monitor()
    monitor.add_tick("drift-1")
    monitor.settle()
    monitor.cluster.remove(Reference(INFERENCE_SERVICE, "default", "delays"))
    monitor.settle()
    assert len(monitor.runs) == 1
    assert any(isinstance(each, ExistingChild) for each in monitor.plan.children or ())

    monitor.end(1, QUIET)
    monitor.settle()
    assert monitor.condition["Ready"] == ("False", "ServiceNotFound")


def test_facts_that_cannot_be_read_are_left_out_and_harm_nothing() -> None:
    odd = {
        **QUIET,
        "completeness": "much",
        "signals": {"drift": {"state": "False", "reason": "no word", "message": "x"}, "dataQuality": "?"},
        "findings": [{"subject": "x"}, "?", {"signal": "featureDrift", "subject": "y" * 400, "since": "yesterday"}],
        "budget": {"alarms": "none"},
        "features": [["a"], ["b", None], ["c", 0.5]],
    }
    monitor = Monitor().tick_and_run(odd)

    assert monitor.condition["Ready"] == ("True", "Monitoring")
    assert monitor.condition["NoDrift"] == ("Unknown", "NotReported")
    assert [each.name for each in monitor.status.features] == ["c"]
    assert (monitor.status.findings, monitor.status.budget) == ((), None)


def test_several_findings_are_named_and_the_rest_is_counted() -> None:
    first = {**DRIFT["findings"][0], "measure": "missing", "signal": "dataQuality"}
    found = [{**first, "subject": name} for name in "abcd"]
    monitor = Monitor().tick_and_run({**DRIFT, "findings": found, "findingCount": 9})

    assert monitor.status.summary is not None
    assert monitor.status.summary.startswith("dataQuality of a (missing 0.4219), 8 more; ")
    assert "dataQuality (missing) of 'c' of version delay-1 is 0.4219" in monitor.plan.message
    assert monitor.plan.message.endswith("6 more are in the report.")


LABELLED: dict[str, Any] = {"groundTruth": {}, "performance": {"metric": "roc_auc"}}


def test_labelled_performance_has_its_condition_if_it_is_asked_for() -> None:
    said = {"state": "False", "message": "roc_auc of labelled predictions is 0.2 worse"}
    monitor = Monitor(**LABELLED).tick_and_run({**QUIET, "signals": {**QUIET["signals"], "performance": said}})

    assert monitor.condition["Performing"] == ("False", "ThresholdExceeded")
    assert Monitor(**LABELLED).tick_and_run(QUIET).condition["Performing"] == ("Unknown", "NotReported")
    assert "Performing" not in Monitor().tick_and_run(QUIET).condition

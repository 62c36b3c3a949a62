"""What a Dataset does in every situation: one thing differs in each."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from flywheel.core.diagnosis.outcome import Outcome
from flywheel.core.diagnosis.workload_diagnosis import Diagnosis
from flywheel.core.pods.cron_job import Tick
from flywheel.core.resource.api import CRON_JOB
from flywheel.core.resource.plan import Child, ExistingChild, Plan
from flywheel.core.settings import AllowedPlacement, Settings
from flywheel.kinds.dataset.children import REQUEST_ANNOTATION, Dataset
from flywheel.kinds.dataset.decide import decide
from flywheel.kinds.dataset.kind import KIND
from flywheel.kinds.dataset.observe import CheckJob, Seen
from flywheel.kinds.dataset.progress import check_after, next_check
from flywheel.kinds.dataset.schema.status import DatasetStatus, LastCheck
from tests.simulation import NOON, resource
from tests.simulation.simulator import Simulator

SPEC: dict[str, Any] = {"source": {"s3": {"uri": "s3://flywheel/demo/flights/"}}, "target": "late"}
SCHEDULED = {**SPEC, "schedule": {"cron": "0 2 * * *"}}
FACTS = {
    "content": "sha256:3f9a1c2e" + "0" * 56,
    "rows": 327346,
    "splits": {"train": 229142, "validation": 49102, "test": 49102},
    "task": "Classification",
    "classes": 2,
    "warnings": ["NewCategory: carrier has 'ZZ'"],
    "testDigest": "sha256:" + "7" * 64,
}
PASSED = Outcome("Succeeded", "Succeeded", "", {"data": "sha256:" + "d" * 64}, {}, FACTS)
OTHER = replace(
    PASSED, outputs={"data": "sha256:" + "e" * 64}, facts={**FACTS, "content": "sha256:" + "5" * 64, "rows": 9}
)
EMPTY = Outcome("Invalid", "EmptyFile", "flights.csv has no rows.")
NO_FILE = Outcome(
    "Invalid", "SourceMissing", "No object at s3://flywheel/demo/flights/; put it there or correct spec.source.s3.uri."
)
OUR_FAULT = Outcome("Infrastructure", "InternalError", "KeyError: 'x'.")
STORE_DOWN = Outcome("Infrastructure", "StoreUnreachable", "The store does not answer.")
NO_SECRET = Diagnosis(
    "SecretNotFound", "Waiting for Secret 's3-read' in namespace 'default'; create it or correct its name in the spec."
)

NOTHING = Seen(now=NOON, settings=Settings())


def dataset(spec: dict[str, Any] = SPEC, **more: Any) -> Dataset:
    found: Dataset = resource(KIND, "flights", spec, **more)
    return found


def check(number: int = 1, outcome: Outcome | None = None, **more: Any) -> CheckJob:
    cause = {field: more.pop(field) for field in ("generation", "request", "tick") if field in more}
    started = LastCheck.model_validate({"generation": 1, **cause, "number": number, "result": "Running", "retries": 0})
    return CheckJob(name=f"flights-check-{number}-uid", check=started, outcome=outcome, **more)


def seen(*checks: CheckJob, **more: Any) -> Seen:
    return replace(NOTHING, checks=checks, **more)


def after(start: Dataset, *looks: Seen) -> Dataset:
    """The Dataset as it stands after these looks."""
    for look in looks:
        status = decide(start, look).status
        assert isinstance(status, DatasetStatus)
        start = replace(start, status=status)
    return start


def jobs(plan: Plan) -> list[str]:
    return [child.name for child in plan.children or () if isinstance(child, Child) and child.manifest["kind"] == "Job"]


def kept(plan: Plan) -> list[str]:
    return [child.name for child in plan.children or () if isinstance(child, ExistingChild)]


GOOD = after(dataset(), NOTHING, seen(check(outcome=PASSED)))
EDITED = replace(GOOD, generation=2)
ASKED = replace(GOOD, annotations={REQUEST_ANNOTATION: "today"})
SUSPENDED_AFTER_FAILURE = replace(
    after(dataset(SCHEDULED), NOTHING, seen(check(outcome=EMPTY))),
    spec=dataset({**SCHEDULED, "suspend": True}).spec,
    generation=2,
)


@pytest.mark.parametrize(
    ("start", "look", "ready", "reason", "stalled", "new_jobs"),
    [
        pytest.param(dataset(), NOTHING, False, "Checking", False, 1, id="a new Dataset is checked"),
        pytest.param(dataset(), seen(check()), False, "Checking", False, 0, id="one check at a time"),
        pytest.param(
            dataset(),
            seen(check(diagnosis=NO_SECRET)),
            False,
            "SecretNotFound",
            False,
            0,
            id="a missing secret is named",
        ),
        pytest.param(dataset(), seen(check(outcome=PASSED)), True, "Checked", False, 0, id="good data is ready"),
        pytest.param(dataset(), seen(check(outcome=EMPTY)), False, "EmptyFile", True, 0, id="bad data stalls"),
        pytest.param(
            dataset(SCHEDULED),
            seen(check(outcome=EMPTY)),
            False,
            "EmptyFile",
            False,
            0,
            id="bad data with a schedule does not stall",
        ),
        pytest.param(
            dataset(),
            seen(check(outcome=NO_FILE)),
            False,
            "SourceMissing",
            False,
            0,
            id="a file that is not there yet is waited for",
        ),
        pytest.param(
            dataset(), seen(check(outcome=STORE_DOWN)), False, "StoreUnreachable", False, 0, id="a store that is down"
        ),
        pytest.param(dataset({**SPEC, "suspend": True}), NOTHING, False, "Suspended", False, 0, id="suspended"),
        pytest.param(
            SUSPENDED_AFTER_FAILURE,
            NOTHING,
            False,
            "Suspended",
            False,
            0,
            id="a failed check of an earlier spec does not hide that the present one is suspended",
        ),
        pytest.param(
            replace(SUSPENDED_AFTER_FAILURE, generation=1),
            NOTHING,
            False,
            "Suspended",
            False,
            0,
            id="nor does one of the same spec",
        ),
        pytest.param(GOOD, NOTHING, True, "Checked", False, 0, id="good data stays ready"),
        pytest.param(EDITED, NOTHING, False, "Checking", False, 1, id="a new spec is not ready before its own check"),
        pytest.param(ASKED, NOTHING, True, "Checked", False, 1, id="a check on request leaves the version ready"),
        pytest.param(
            ASKED,
            seen(check(2, EMPTY, request="today")),
            True,
            "CheckFailed",
            False,
            0,
            id="the last good version stands when a later look fails",
        ),
        pytest.param(
            ASKED,
            seen(check(2, request="today", diagnosis=NO_SECRET)),
            True,
            "SecretNotFound",
            False,
            0,
            id="the last good version stands when a later look cannot run",
        ),
        pytest.param(
            EDITED,
            seen(check(2, EMPTY, generation=2)),
            False,
            "EmptyFile",
            True,
            0,
            id="an older version does not make a new spec ready",
        ),
        pytest.param(
            after(dataset(), NOTHING),
            NOTHING,
            False,
            "JobVanished",
            False,
            0,
            id="a check whose Job was deleted is tried again",
        ),
    ],
)
def test_decide(start: Dataset, look: Seen, ready: bool, reason: str, stalled: bool, new_jobs: int) -> None:
    plan = decide(start, look)

    assert (plan.ready, plan.reason, plan.stalled, len(jobs(plan))) == (ready, reason, stalled, new_jobs)


def test_a_version_reads_well() -> None:
    plan = decide(GOOD, NOTHING)

    assert plan.summary == "327,346 rows, version flights-3f9a1c2e, 1 warning"
    assert plan.message == (
        "Version flights-3f9a1c2e has 327,346 rows (229,142 to train, 49,102 to validate, 49,102 to test) and passed "
        "its check. Warnings: NewCategory: carrier has 'ZZ'."
    )


def test_the_message_about_bad_data_has_a_next_step() -> None:
    plan = decide(dataset(), seen(check(outcome=EMPTY)))

    assert plan.message == (
        "flights.csv has no rows. Change the spec; or correct the data, and then request another check with 'kubectl "
        'annotate fwds flights -n default --overwrite flywheel.ml/check-requested="$(date)"\'.'
    )


def test_a_suspended_dataset_whose_check_failed_says_what_starts_the_next_one() -> None:
    plan = decide(SUSPENDED_AFTER_FAILURE, seen(check(outcome=EMPTY)))

    assert plan.message == "Dataset 'flights' is suspended and its spec is not checked yet; set spec.suspend to false."
    assert (plan.progressing, kept(plan)) == (False, ["flights-check-1-uid"])


def test_the_message_of_a_retry_has_its_time_and_number() -> None:
    plan = decide(dataset(), seen(check(1, STORE_DOWN)))

    assert plan.message == "The store does not answer. Trying again at 12:00:10 UTC (check 2)."


def test_a_later_check_that_fails_is_one_event() -> None:
    failed = seen(check(2, EMPTY, request="today"))
    first = decide(ASKED, failed)

    assert [(event.reason, event.type) for event in first.events] == [("CheckFailed", "Warning")]
    assert decide(after(ASKED, failed), failed).events == ()


def test_a_job_goes_only_after_status_knows_how_it_ended() -> None:
    first = decide(dataset(), seen(check(outcome=PASSED)))
    second = decide(GOOD, seen(check(outcome=PASSED)))

    assert (kept(first), kept(second)) == (["flights-check-1-uid"], [])
    assert first.requeue_after is not None


def test_the_job_of_a_failed_check_stays_for_its_logs() -> None:
    failed = after(dataset(), NOTHING, seen(check(outcome=EMPTY)))

    assert kept(decide(failed, seen(check(outcome=EMPTY)))) == ["flights-check-1-uid"]


def test_a_request_is_answered_once() -> None:
    answered = after(ASKED, NOTHING, seen(check(2, PASSED, request="today")))

    assert jobs(decide(answered, NOTHING)) == []


def test_pauses_grow_and_the_next_check_has_the_next_number() -> None:
    start = after(dataset(), NOTHING)
    pauses = []
    for number in range(1, 9):
        start = after(start, seen(check(number, STORE_DOWN)))
        assert start.status.check is not None
        again = start.status.check.not_before
        assert again is not None
        pauses.append(int((again - NOON).total_seconds()))
        due = replace(NOTHING, now=again)
        assert jobs(decide(start, replace(due, now=again - timedelta(seconds=1)))) == []
        assert [f"-check-{number + 1}-" in name for name in jobs(decide(start, due))] == [True]
        start = after(start, due)

    assert pauses == [10, 20, 40, 80, 160, 320, 600, 600]


def test_a_spec_that_changes_meanwhile_overtakes_the_running_check() -> None:
    running = after(dataset(), NOTHING)

    plan = decide(replace(running, generation=2), seen(check()))

    assert [f"-check-{2}-" in name for name in jobs(plan)] == [True]
    assert kept(plan) == []


def test_a_job_that_status_missed_is_taken_in() -> None:
    """The operator died between making the Job and writing the status."""
    plan = decide(dataset(), seen(check(outcome=PASSED)))

    assert isinstance(plan.status, DatasetStatus)
    assert plan.status.version == "flights-3f9a1c2e"


def test_the_same_content_is_the_same_version() -> None:
    asked = after(ASKED, NOTHING)
    again = after(asked, seen(check(2, replace(PASSED, outputs={"data": "sha256:" + "f" * 64}), request="today")))

    assert again.status.versions == GOOD.status.versions
    assert again.status.digest == GOOD.status.digest


def test_other_content_is_another_version_and_the_old_one_is_remembered() -> None:
    plan = decide(after(ASKED, NOTHING), seen(check(2, OTHER, request="today")))

    assert isinstance(plan.status, DatasetStatus)
    assert [version.name for version in plan.status.versions] == ["flights-55555555", "flights-3f9a1c2e"]
    assert [event.reason for event in plan.events] == ["NewVersion"]


@pytest.mark.parametrize(
    ("cited", "remembered"),
    [
        pytest.param(frozenset[str](), ["flights-55555555"], id="beyond retention it is forgotten"),
        pytest.param(
            frozenset(["flights-3f9a1c2e"]), ["flights-55555555", "flights-3f9a1c2e"], id="unless it is cited"
        ),
    ],
)
def test_retention(cited: frozenset[str], remembered: list[str]) -> None:
    short = replace(GOOD, spec=dataset({**SPEC, "retention": {"versions": 1}}).spec, annotations=ASKED.annotations)

    plan = decide(after(short, NOTHING), seen(check(2, OTHER, request="today"), cited=cited))

    assert isinstance(plan.status, DatasetStatus)
    assert [version.name for version in plan.status.versions] == remembered


def test_a_lost_artifact_is_not_asked_for_again() -> None:
    lost = Outcome("Invalid", "ArtifactMissing", "The store has lost the artifact.")
    retrying = after(ASKED, NOTHING, seen(check(2, lost, request="today")))
    assert retrying.status.check is not None
    assert retrying.status.check.not_before is not None

    plan = decide(retrying, replace(NOTHING, now=retrying.status.check.not_before))

    assert "previous" not in str(plan.children)


def test_the_artifact_replaces_the_lost_one_even_if_the_status_missed_the_retry() -> None:
    """The operator died between making the Job of the retry and writing the status."""
    lost = Outcome("Invalid", "ArtifactMissing", "The store has lost the artifact.")
    retrying = after(ASKED, NOTHING, seen(check(2, lost, request="today")))
    rebuilt = replace(PASSED, outputs={"data": "sha256:" + "f" * 64})

    healed = after(retrying, seen(check(3, rebuilt, request="today")))

    assert healed.status.digest == "sha256:" + "f" * 64


def test_a_fault_of_ours_after_a_long_wait_for_the_store_is_tried_again() -> None:
    last = LastCheck(
        number=9, generation=1, request=None, tick=None, result="Running", reason="StoreUnreachable", retries=8
    )
    results = []
    for outcome in (OUR_FAULT, STORE_DOWN, OUR_FAULT, STORE_DOWN, OUR_FAULT, OUR_FAULT, STORE_DOWN, OUR_FAULT):
        last = check_after(last.model_copy(update={"result": "Running"}), outcome, NOON)
        results.append(last.result)

    assert results == [*["Retrying"] * 7, "Failed"]
    assert (last.internal_errors, last.retries) == (5, 15)


@pytest.mark.parametrize(("generation", "counted"), [(1, 3), (2, None)])
def test_faults_of_ours_are_counted_for_one_spec(generation: int, counted: int | None) -> None:
    started = LastCheck(number=3, generation=1, result="Running", retries=3, internal_errors=2)
    retrying = resource(KIND, "flights", SPEC, status=DatasetStatus(check=check_after(started, OUR_FAULT, NOON)))
    due = next_check(
        replace(retrying, generation=generation), retrying.status.check, replace(NOTHING, now=NOON + timedelta(hours=1))
    )

    assert due is not None
    assert due.internal_errors == counted


def test_a_rebuilt_artifact_is_described_as_it_is() -> None:
    """Another release may have built the lost one, with other test rows: versions are compared by their digest."""
    lost = Outcome("Invalid", "ArtifactMissing", "The store has lost the artifact.")
    retrying = after(ASKED, NOTHING, seen(check(2, lost, request="today")))
    splits = {"train": 229141, "validation": 49102, "test": 49103}
    facts = {**FACTS, "splits": splits, "testDigest": "sha256:" + "8" * 64}
    rebuilt = replace(PASSED, outputs={"data": "sha256:" + "f" * 64}, facts=facts)

    (version,) = after(retrying, seen(check(3, rebuilt, request="today"))).status.versions

    assert version.splits is not None
    assert (version.test_digest, version.splits.test) == (facts["testDigest"], 49103)
    assert (version.name, version.checked_at) == (GOOD.status.version, GOOD.status.versions[0].checked_at)


TICK_1, TICK_2 = Tick("flights-29000001", NOON), Tick("by-hand", NOON + timedelta(hours=1))
TICKING = replace(GOOD, spec=dataset(SCHEDULED).spec)
REPLACING = replace(
    GOOD, spec=dataset({**SPEC, "schedule": {"cron": "0 2 * * *", "concurrencyPolicy": "Replace"}}).spec
)


def test_a_tick_is_answered_by_a_check_and_finished_when_that_has_ended() -> None:
    starts = decide(TICKING, seen(ticks=(TICK_1,)))
    running = after(TICKING, seen(ticks=(TICK_1,)))
    runs = decide(running, seen(check(2, tick=TICK_1.created), ticks=(TICK_1,)))
    ends = decide(running, seen(check(2, PASSED, tick=TICK_1.created), ticks=(TICK_1,)))

    assert len(jobs(starts)) == 1
    assert (starts.completed_ticks, runs.completed_ticks) == ((), ())
    assert ends.completed_ticks == (TICK_1.name,)


def test_a_check_that_is_tried_again_leaves_its_tick_open() -> None:
    running = after(TICKING, seen(ticks=(TICK_1,)))

    assert decide(running, seen(check(2, STORE_DOWN, tick=TICK_1.created), ticks=(TICK_1,))).completed_ticks == ()


def test_a_finished_tick_starts_nothing_while_its_status_is_on_the_way() -> None:
    ended = after(TICKING, seen(ticks=(TICK_1,)), seen(check(2, PASSED, tick=TICK_1.created), ticks=(TICK_1,)))

    assert jobs(decide(ended, seen(ticks=(TICK_1,)))) == []


@pytest.mark.parametrize(
    ("start", "new_jobs"),
    [
        pytest.param(TICKING, 0, id="Forbid and Allow wait for the running check"),
        pytest.param(REPLACING, 1, id="Replace overtakes it"),
    ],
)
def test_a_tick_during_a_check(start: Dataset, new_jobs: int) -> None:
    running = after(start, seen(ticks=(TICK_1,)))

    plan = decide(running, seen(check(2, tick=TICK_1.created), ticks=(TICK_2,)))

    assert len(jobs(plan)) == new_jobs


def test_the_cron_job_comes_and_goes_with_the_schedule() -> None:
    simulator = Simulator(KIND, dataset(SCHEDULED))
    simulator.settle()
    [cron_job] = simulator.cluster.objects(CRON_JOB)
    assert cron_job["spec"]["schedule"] == "0 2 * * *"

    simulator.patch_spec(schedule=None)
    simulator.settle()

    assert simulator.cluster.objects(CRON_JOB) == ()


APART = Settings(store_folders=("default=s3://flywheel/default/",), readable=("s3://flywheel/public/",))


@pytest.mark.parametrize(
    ("source", "refused"),
    [
        pytest.param({"uri": "s3://flywheel/demo/flights/"}, True, id="another namespace's folder"),
        pytest.param({"uri": "s3://other/default/flights/"}, True, id="another bucket"),
        pytest.param({"uri": "s3://flywheel/default/../demo/"}, True, id="a way out"),
        pytest.param({"uri": "s3://flywheel/default/flights/"}, False, id="the own folder"),
        pytest.param({"uri": "s3://flywheel/public/flights/"}, False, id="a folder that all may read"),
        pytest.param({"uri": "s3://flywheel/demo/flights/", "secretName": "mine"}, False, id="with a Secret"),
    ],
)
def test_a_check_of_what_is_not_the_namespaces_own_starts_no_pod(source: dict[str, str], refused: bool) -> None:
    start = dataset({"source": {"s3": source}})

    plan = decide(start, replace(NOTHING, settings=APART))

    assert (plan.reason == "SourceNotAllowed", plan.stalled, jobs(plan) == []) == (refused, refused, refused)
    if refused:
        assert f"'{source['uri']}' is not in this namespace's folder 's3://flywheel/default/'" in plan.message
        assert "set spec.source.s3.secretName" in plan.message
        assert decide(after(start, replace(NOTHING, settings=APART)), replace(NOTHING, settings=APART)) == plan


def test_a_version_stands_when_its_next_check_is_refused() -> None:
    start = after(dataset(SPEC), seen(), seen(check(outcome=PASSED)))
    requested = replace(start, annotations={REQUEST_ANNOTATION: "now"})

    plan = decide(requested, replace(NOTHING, settings=APART))

    assert (plan.ready, plan.reason) == (True, "SourceNotAllowed")
    assert plan.message.startswith("Version flights-3f9a1c2e stands, but the next check cannot run.")
    assert decide(start, replace(NOTHING, settings=APART)).reason == "Checked"


def test_a_check_in_flight_is_left_to_its_end() -> None:
    plan = decide(after(dataset(SPEC), seen()), seen(check(), settings=APART))

    assert (plan.reason, plan.ready) == ("Checking", False)


def test_a_forbidden_dataset_takes_in_a_check_that_ended_and_starts_no_other() -> None:
    start = dataset({**SPEC, "placement": {"priorityClassName": "system-node-critical"}})
    asked = replace(start, annotations={REQUEST_ANNOTATION: "today"})
    forbidden = Settings(placement=AllowedPlacement(()))

    plan = decide(asked, seen(check(outcome=PASSED), settings=forbidden))

    assert isinstance(plan.status, DatasetStatus)
    assert (plan.ready, plan.reason, plan.stalled, jobs(plan)) == (True, "PlacementNotAllowed", True, [])
    assert (plan.status.rows, plan.status.check and plan.status.check.result) == (FACTS["rows"], "Passed")
    assert len(jobs(decide(asked, seen(check(outcome=PASSED))))) == 1


def test_the_rows_that_the_next_check_adds_to_are_those_of_the_last_one_that_passed() -> None:
    snapshot = "sha256:" + "e" * 64
    read = after(
        dataset(), NOTHING, seen(check(outcome=replace(PASSED, outputs={**PASSED.outputs, "snapshot": snapshot})))
    )
    refused = after(
        replace(read, annotations={REQUEST_ANNOTATION: "today"}), seen(), seen(check(2, request="today", outcome=EMPTY))
    )
    without = after(
        replace(read, annotations={REQUEST_ANNOTATION: "today"}),
        seen(),
        seen(check(2, request="today", outcome=PASSED)),
    )

    assert [each.status.snapshot for each in (read, refused, without)] == [snapshot, snapshot, None]

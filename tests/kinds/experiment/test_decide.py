"""What an Experiment does before, beside and after its search; test_life.py has the search itself."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from flywheel.core.diagnosis.outcome import Outcome
from flywheel.core.diagnosis.workload_diagnosis import Diagnosis
from flywheel.core.resource.api import JOB
from flywheel.core.resource.plan import Child, ExistingChild, Plan
from flywheel.core.settings import Settings
from flywheel.kinds.experiment.children import Experiment
from flywheel.kinds.experiment.decide import decide
from flywheel.kinds.experiment.observe import DatasetState, Seen, TrialJob
from flywheel.kinds.experiment.schema.immutable import fingerprint
from flywheel.kinds.experiment.schema.status import Data, ExperimentStatus
from flywheel.kinds.experiment.trials import recall_trials
from tests.kinds.experiment.situations import experiment
from tests.simulation import NOON

DIGEST = "sha256:" + "a" * 64
FLIGHTS = Data.model_validate({"version": "flights-3f9a1c2e", "digest": DIGEST, "task": "Classification", "classes": 2})
OLDER = FLIGHTS.model_copy(update={"version": "flights-00000001"})
READY = DatasetState(True, "Checked", "All is well.", (FLIGHTS, OLDER))
UNREADY = DatasetState(False, "EmptyFile", "flights.csv has no rows.", (FLIGHTS,))
UNTARGETED = replace(READY, versions=(FLIGHTS.model_copy(update={"task": None}),))

SEEN = Seen(now=NOON, settings=Settings(), dataset=READY)
NO_GPU = Diagnosis("Unschedulable", "Pod 'p' fits on no node: 0/1 nodes are available: 1 Insufficient nvidia.com/gpu.")
STORE_DOWN = Outcome("Infrastructure", "StoreUnreachable", "The store does not answer.")


def started(start: Experiment, *looks: Seen) -> Experiment:
    """The Experiment as it stands after its first look and these."""
    for look in (SEEN, *looks):
        status = decide(start, look).status
        assert isinstance(status, ExperimentStatus)
        start = replace(start, status=status)
    return start


def trial(
    start: Experiment, number: int, outcome: Outcome | None = None, diagnosis: Diagnosis | None = None
) -> TrialJob:
    """The Job of a trial of a started Experiment."""
    record = start.status.history[number - 1]
    point = tuple(float(each) for each in record.point.strip("[]").split(","))
    return TrialJob(
        trial=number,
        attempt=1,
        name=f"trial-{number}-1",
        fingerprint=fingerprint(start.spec),
        point=point,
        outcome=outcome,
        diagnosis=diagnosis,
    )


def jobs(plan: Plan) -> list[Any]:
    return [child.manifest for child in plan.children or () if isinstance(child, Child)]


@pytest.mark.parametrize(
    ("spec", "dataset", "reason", "says"),
    [
        pytest.param({}, None, "DatasetNotFound", "create it or correct spec.dataset", id="no Dataset"),
        pytest.param({}, UNREADY, "DatasetNotReady", "(EmptyFile): flights.csv has no rows.", id="a bad Dataset"),
        pytest.param({}, UNTARGETED, "TargetMissing", "set spec.target of the Dataset", id="nothing to predict"),
        pytest.param(
            {"datasetVersion": "flights-ffffffff"},
            READY,
            "DatasetVersionNotFound",
            "(newest: 'flights-3f9a1c2e', 'flights-00000001')",
            id="a version that is not there",
        ),
        pytest.param({"suspend": True}, READY, "Suspended", "set spec.suspend to false", id="suspended from the start"),
    ],
)
def test_what_is_waited_for(spec: dict[str, Any], dataset: DatasetState | None, reason: str, says: str) -> None:
    plan = decide(experiment(spec), replace(SEEN, dataset=dataset))

    assert (plan.ready, plan.stalled, plan.reason, jobs(plan)) == (False, False, reason, [])
    assert says in plan.message


def test_the_search_keeps_the_data_it_started_with() -> None:
    searching = started(experiment())

    plan = decide(searching, replace(SEEN, dataset=UNREADY, jobs=(trial(searching, 1), trial(searching, 2))))

    assert plan.reason == "Searching"
    assert isinstance(plan.status, ExperimentStatus)
    assert plan.status.data == FLIGHTS


def test_a_pinned_version_is_taken_though_the_dataset_is_not_ready() -> None:
    plan = decide(
        experiment({"datasetVersion": "flights-00000001"}), replace(SEEN, dataset=replace(READY, ready=False))
    )

    assert isinstance(plan.status, ExperimentStatus)
    assert plan.status.data == OLDER


@pytest.mark.parametrize(
    ("task", "classes", "metric", "direction"),
    [
        pytest.param("Classification", 2, "roc_auc", "Maximize", id="two classes"),
        pytest.param("Classification", 5, "f1_macro", "Maximize", id="more classes"),
        pytest.param("Regression", None, "rmse", "Minimize", id="numbers"),
    ],
)
def test_the_metric_follows_from_the_target(task: str, classes: int | None, metric: str, direction: str) -> None:
    data = FLIGHTS.model_copy(update={"task": task, "classes": classes})

    plan = decide(experiment(), replace(SEEN, dataset=replace(READY, versions=(data,))))

    assert isinstance(plan.status, ExperimentStatus)
    assert (plan.status.metric, plan.status.direction) == (metric, direction)


def test_a_diagnosis_is_the_reason_when_no_trial_can_run() -> None:
    searching = started(experiment())
    stuck = (trial(searching, 1, diagnosis=NO_GPU), trial(searching, 2, diagnosis=NO_GPU))

    plan = decide(searching, replace(SEEN, jobs=stuck))

    assert (plan.ready, plan.stalled, plan.reason, plan.message) == (False, False, "Unschedulable", NO_GPU.message)


def test_a_diagnosis_of_one_trial_is_no_reason_while_another_runs() -> None:
    searching = started(experiment())

    plan = decide(searching, replace(SEEN, jobs=(trial(searching, 1), trial(searching, 2, diagnosis=NO_GPU))))

    assert plan.reason == "Searching"


def test_the_message_about_a_lost_attempt_has_the_time_of_the_retry() -> None:
    searching = started(experiment({"parallelism": 1}))

    plan = decide(searching, replace(SEEN, jobs=(trial(searching, 1, STORE_DOWN),)))

    assert (plan.reason, plan.stalled) == ("Retrying", False)
    assert plan.message == "Trial 1 is tried again at 12:00:10 UTC (attempt 2): The store does not answer."


def test_a_job_goes_only_after_status_knows_how_it_ended() -> None:
    searching = started(experiment({"parallelism": 1}))
    won = Outcome("Succeeded", "Succeeded", "", {"model": DIGEST}, {"roc_auc": 0.7})
    ended = replace(SEEN, jobs=(trial(searching, 1, won),))

    first = decide(searching, ended)
    assert isinstance(first.status, ExperimentStatus)
    second = decide(replace(searching, status=first.status), ended)

    assert ExistingChild(JOB, "trial-1-1") in (first.children or ())
    assert "trial-1-1" not in {child.name for child in second.children or ()}


def test_a_budget_of_time_wakes_us_in_time() -> None:
    searching = started(experiment({"budget": {"duration": "30m"}}))

    plan = decide(
        searching,
        replace(SEEN, now=NOON + timedelta(minutes=29, seconds=55), jobs=(trial(searching, 1), trial(searching, 2))),
    )

    assert plan.requeue_after == timedelta(seconds=5)


def test_time_without_a_success_stalls_until_there_is_more() -> None:
    searching = started(experiment({"budget": {"duration": "30m"}}))
    late = replace(SEEN, now=NOON + timedelta(minutes=31))

    plan = decide(searching, late)

    assert (plan.stalled, plan.reason) == (True, "TimeSpent")
    assert plan.message == "No trial succeeded within 30m; raise spec.budget.duration to go on."
    assert isinstance(plan.status, ExperimentStatus)
    assert decide(replace(searching, status=plan.status), late).stalled


def test_status_of_a_large_search_stays_small() -> None:
    """500 trials of 8 searched parameters: the most that the schema lets in."""
    search = {f"parameter_number_{each}": {"float": {"min": "1e-9", "max": "1e9", "log": True}} for each in range(8)}
    estimators = [{"name": "HistGradientBoostingClassifier", "search": search}]
    spec = {
        "trainer": {"sklearn": {"estimators": estimators}},
        "search": {"algorithm": "Random"},
        "budget": {"maxTrials": 500, "maxFailedTrials": 500},
        "parallelism": 50,
    }
    full = started(experiment(spec))
    for _ in range(9):
        running = [attempt.trial for attempt in full.status.running]
        won = [
            Outcome(
                "Succeeded",
                "Succeeded",
                "",
                {"model": DIGEST},
                {f"metric_{i}": 0.123456 for i in range(20)} | {"roc_auc": each / 7},
            )
            for each in running
        ]
        ended = tuple(trial(full, each, outcome) for each, outcome in zip(running, won, strict=True))
        status = decide(full, replace(SEEN, jobs=ended)).status
        assert isinstance(status, ExperimentStatus)
        full = replace(full, status=status)

    assert len(full.status.history) == 500
    assert len(full.status.model_dump_json(by_alias=True, exclude_none=True)) < 100_000


@pytest.mark.parametrize(
    ("running", "message"),
    [(1, "Trial 1 runs; "), (2, "Trials 1, 2 run; "), (10, "Trials 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 run; ")],
)
def test_the_message_numbers_the_trials_that_run(running: int, message: str) -> None:
    searching = started(experiment({"parallelism": running}))

    plan = decide(searching, replace(SEEN, jobs=tuple(trial(searching, each) for each in range(1, running + 1))))

    assert plan.message.startswith(message)


def test_a_repeat_that_has_ended_is_not_one_that_could_run() -> None:
    searching = started(experiment({"parallelism": 1, "repeats": 2}))
    ended = trial(searching, 1, Outcome("Succeeded", "Succeeded", "", metrics={"roc_auc": 0.7}))
    stuck = replace(trial(searching, 1, diagnosis=NO_GPU), repeat=2, name="trial-1-r2-1")

    plan = decide(searching, replace(SEEN, jobs=(ended, stuck)))

    assert (plan.reason, plan.message) == ("Unschedulable", NO_GPU.message)


def test_a_search_that_a_trial_can_never_work_in_begins_again_with_a_corrected_spec() -> None:
    searching = started(experiment({"budget": {"maxTrials": 1}}))
    refused = Outcome("Invalid", "UnknownColumn", "There is no column 'delay'.")

    plan = decide(searching, replace(SEEN, jobs=(trial(searching, 1, refused),)))

    assert (plan.stalled, plan.reason) == (True, "UnknownColumn")
    assert plan.message.endswith(
        "There is no column 'delay'. See 'kubectl logs job/trial-1-1 -c main'. Correct the spec, and the search starts again."
    )


def test_the_experiment_of_a_run_says_to_change_the_pipeline_since_the_run_takes_no_later_result() -> None:
    labels = {"flywheel.ml/kind": "TrainingRun", "flywheel.ml/name": "monthly-7"}
    searching = replace(started(experiment({"budget": {"maxTrials": 1}})), labels=labels)
    refused = Outcome("Invalid", "UnknownColumn", "There is no column 'delay'.")

    plan = decide(searching, replace(SEEN, jobs=(trial(searching, 1, refused),)))

    assert plan.message.endswith(
        "-c main'. Change the TrainingPipeline and start another run: the Experiment belongs to TrainingRun 'monthly-7', which takes no later result."
    )
    assert "Correct the spec" not in plan.message


def test_a_trial_whose_attempts_a_lost_status_does_not_name_is_at_its_first() -> None:
    start = started(experiment({"parallelism": 1}))
    [record] = start.status.history
    recalled = recall_trials(replace(start, status=start.status.model_copy(update={"running": ()})))

    assert record.state == "Running"
    assert [(each.trial, each.attempt) for each in recalled.attempts.values()] == [(record.trial, 1)]


def test_repeats_that_a_killed_operator_did_not_start_are_started() -> None:
    repeated = experiment({"parallelism": 1, "repeats": 3})

    plan = decide(repeated, replace(SEEN, jobs=(trial(started(repeated), 1),)))

    names = {child.name for child in plan.children or () if child.api == JOB}
    assert [name for name in sorted(names) if "-r2-" in name or "-r3-" in name] != []
    assert len(names) == 3


def test_a_trial_that_breaks_no_constraint_is_told_to_the_sampler_without_violation() -> None:
    searching = started(experiment({"parallelism": 1}))
    done = trial(searching, 1, Outcome("Succeeded", "Succeeded", "", metrics={"roc_auc": 0.7}))

    status = decide(searching, replace(SEEN, jobs=(done,))).status

    assert isinstance(status, ExperimentStatus)
    past = recall_trials(replace(searching, status=status)).past()
    assert (past[0].value, past[0].violation) == (0.7, 0.0)

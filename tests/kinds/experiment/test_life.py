"""Whole searches, from the first trial to the registered version, in any order and through any crash."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.core.resource.api import MODEL, MODEL_VERSION, Reference
from flywheel.kinds.experiment.children import Experiment
from flywheel.kinds.experiment.schema.status import Usage
from tests.kinds.experiment.world import Ends, World, experiment


def succeeds(trial: int, attempt: int, point: list[float]) -> Mapping[str, Any]:
    """Boosting at a rate near 0.1 is best."""
    value = 0.8 - abs(point[2] - 0.1) if len(point) > 2 else 0.6
    return {"metrics": {"roc_auc": round(value, 6)}}


def sometimes_fails(trial: int, attempt: int, point: list[float]) -> Mapping[str, Any]:
    """Trial 2 fails by its own fault; the first attempt of every third trial is lost."""
    if trial == 2:
        return {"exit": 1, "reason": "ParameterRefused", "message": "LogisticRegression refused C=-1 ('C' must be > 0)"}
    return {"lost": True} if trial % 3 == 0 and attempt == 1 else succeeds(trial, attempt, point)


def with_spec(world: World, spec: Mapping[str, Any]) -> None:
    """The user edits the spec."""
    told = world.experiment.spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    parsed: Experiment = experiment({**told, **spec})
    world.experiment = replace(world.experiment, spec=parsed.spec, generation=world.experiment.generation + 1)


def memory(world: World) -> tuple[Any, ...]:
    status = world.experiment.status
    return status.history, status.best and status.best.trial, status.best and status.best.value


def test_the_short_form_searches_and_registers() -> None:
    world = World(experiment({"register": "flight-delay"}), succeeds)

    plan = world.run()

    status = world.experiment.status
    assert (plan.ready, plan.succeeded, plan.reason) == (True, True, "BudgetSpent")
    assert status.best is not None
    assert plan.summary == f"12/12 trials, best roc_auc {float(status.best.value or 0):.3f} (trial {status.best.trial})"
    assert status.model_version is not None
    version = world.cluster.get(Reference(MODEL_VERSION, "default", status.model_version))
    assert version is not None
    assert version["spec"]["lineage"]["trial"] == status.best.trial
    assert world.cluster.get(Reference(MODEL, "default", "flight-delay")) is not None
    assert {record.state for record in status.history} == {"Succeeded"}
    assert world.jobs() == ()


def test_a_trial_tells_where_and_with_what_it_ran() -> None:
    world = World(experiment({"register": "flight-delay"}), succeeds)
    world.run()
    best = world.experiment.status.best
    assert best is not None

    assert (best.node, best.usage) == ("node-1", Usage(cpu_seconds=13, memory_peak_bytes=312000000))
    assert best.image == "flywheel.local/any@sha256:" + "0" * 64
    address = Reference(MODEL_VERSION, "default", world.experiment.status.model_version or "")
    version = world.cluster.get(address)
    assert version is not None
    assert version["spec"]["lineage"]["image"] == best.image


def test_nothing_is_written_once_it_is_over() -> None:
    world = World(experiment({"register": "flight-delay"}), succeeds)
    world.run()
    before = len(world.writes)

    world.settle()

    assert len(world.writes) == before


def test_a_deleted_version_is_not_made_again() -> None:
    world = World(experiment({"register": "flight-delay"}), succeeds)
    world.run()
    version = Reference(MODEL_VERSION, "default", world.experiment.status.model_version or "")
    world.cluster.remove(version)

    plan = world.settle()

    assert (plan.ready, world.cluster.get(version)) == (True, None)


def test_never_more_trials_than_parallelism_and_budget() -> None:
    world = World(experiment({"parallelism": 3, "budget": {"maxTrials": 7}}), succeeds)

    plan = world.settle()
    assert len(world.jobs()) == 3
    plan = world.run()

    assert plan.summary.startswith("7/7 trials")
    assert sum(write.startswith("make Job") for write in world.writes) == 7


def test_a_raised_budget_goes_on_with_what_is_known() -> None:
    world = World(experiment({"budget": {"maxTrials": 4}, "register": "m"}), succeeds)
    world.run()
    first = world.experiment.status.history

    with_spec(world, {"budget": {"maxTrials": 9}})
    plan = world.settle()
    assert (plan.ready, plan.succeeded, plan.reason) == (False, None, "Searching")
    plan = world.run()

    assert world.experiment.status.history[:4] == first
    assert plan.summary.startswith("9/9 trials")


def test_a_goal_ends_the_search_and_stops_what_runs() -> None:
    world = World(experiment({"objective": {"metric": "roc_auc", "goal": "0.55"}, "parallelism": 3}), succeeds)

    plan = world.run()

    assert plan.reason == "GoalReached"
    assert [record.state for record in world.experiment.status.history] == ["Succeeded", "Stopped", "Stopped"]
    assert world.jobs() == ()


def test_time_that_is_up_ends_the_search_with_the_best_so_far() -> None:
    world = World(experiment({"budget": {"duration": "30m"}}), succeeds)
    world.settle()
    world.end(world.jobs()[0])
    world.settle()
    world.cluster.advance(timedelta(minutes=31))

    plan = world.settle()

    assert (plan.ready, plan.reason, world.jobs()) == (True, "TimeSpent", ())


def test_lost_attempts_are_made_again_with_the_same_point_and_not_counted() -> None:
    points: dict[int, list[list[float]]] = {}

    def ends(trial: int, attempt: int, point: list[float]) -> Mapping[str, Any]:
        points.setdefault(trial, []).append(point)
        return sometimes_fails(trial, attempt, point)

    world = World(experiment(), ends)
    plan = world.run()

    assert plan.reason == "BudgetSpent"
    assert [len(points[trial]) for trial in (3, 6, 9, 12)] == [2, 2, 2, 2]
    assert all(first == each for first, *others in points.values() for each in others)
    assert plan.summary.startswith("12/12 trials, 1 failed, best")


def test_a_job_deleted_by_hand_is_made_again() -> None:
    world = World(experiment(), succeeds)
    world.settle()
    deleted = world.jobs()[0]
    world._delete(deleted)

    plan = world.run()

    assert plan.reason == "BudgetSpent"
    assert any(deleted["metadata"]["name"].replace("-1-1-", "-1-2-") in write for write in world.writes)


def test_too_many_failures_stall_and_say_how_to_go_on() -> None:
    def fails(trial: int, attempt: int, point: list[float]) -> Mapping[str, Any]:
        return {"exit": 1, "reason": "ParameterRefused", "message": "C must be > 0"}

    world = World(experiment(), fails)
    plan = world.run()

    assert (plan.stalled, plan.succeeded, plan.reason) == (True, False, "TrialsFailed")
    assert plan.message.startswith("3 of 3 allowed trials failed; the last, trial ")
    assert "C must be > 0. See 'kubectl logs job/flight-delay-trial-" in plan.message
    assert world.experiment.status.start_time is None
    assert len(world.jobs()) == 3  # their logs can be read

    world.ends = succeeds
    with_spec(world, {"budget": {"maxFailedTrials": 5}})
    assert world.run().reason == "BudgetSpent"


def test_what_can_never_work_stalls_at_once_and_a_corrected_spec_starts_again() -> None:
    def refused(trial: int, attempt: int, point: list[float]) -> Mapping[str, Any]:
        return {"exit": 2, "reason": "EstimatorNotAllowed", "message": "estimator 'Foo' is not allowed"}

    world = World(experiment({"trainer": {"sklearn": {"estimators": [{"name": "Foo"}]}}}), refused)
    plan = world.run()
    assert (plan.stalled, plan.reason) == (True, "EstimatorNotAllowed")
    assert plan.message.startswith("Trial 1 can never work: estimator 'Foo' is not allowed.")

    world.ends = succeeds
    with_spec(world, {"trainer": {"sklearn": {"estimators": [{"name": "LogisticRegression"}]}}})
    plan = world.run()

    assert plan.reason == "Trained"
    assert [(record.trial, record.state) for record in world.experiment.status.history] == [
        (1, "Stopped"),
        (2, "Succeeded"),
    ]


def test_a_missing_metric_is_the_trials_failure_and_names_those_found() -> None:
    def other(trial: int, attempt: int, point: list[float]) -> Mapping[str, Any]:
        return {"metrics": {"accuracy": 0.9}}

    world = World(experiment({"budget": {"maxFailedTrials": 1}}), other)
    plan = world.run()

    assert "It reported no metric 'roc_auc' (found: accuracy)" in plan.message


def test_suspended_lets_run_what_runs_and_starts_nothing() -> None:
    world = World(experiment(), succeeds)
    world.settle()
    with_spec(world, {"suspend": True})
    for job in world.jobs():
        world.end(job)

    plan = world.settle()

    assert (plan.reason, plan.progressing, world.jobs()) == ("Suspended", False, ())
    assert [record.state for record in world.experiment.status.history] == ["Succeeded", "Succeeded"]


WHOLE = World(experiment({"register": "m"}), sometimes_fails)
WHOLE.run()


@pytest.mark.parametrize("crash_after", range(1, len(WHOLE.writes) + 1))
def test_killed_after_any_write_the_search_ends_the_same(crash_after: int) -> None:
    world = World(experiment({"register": "m"}), sometimes_fails, crash_after=crash_after)
    world.run()

    assert memory(world) == memory(WHOLE)
    assert world.experiment.status.model_version == WHOLE.experiment.status.model_version
    assert sorted(write for write in world.writes if write.startswith("make")) == sorted(
        write for write in WHOLE.writes if write.startswith("make")
    )


@pytest.mark.parametrize("crash_after", range(1, len(WHOLE.writes) + 1))
def test_what_is_remembered_is_what_was_tried_though_trials_ended_while_nobody_looked(crash_after: int) -> None:
    tried: dict[int, list[float]] = {}

    def ends(trial: int, attempt: int, point: list[float]) -> Mapping[str, Any]:
        assert tried.setdefault(trial, point) == point
        return sometimes_fails(trial, attempt, point)

    world = World(experiment({"register": "m"}), ends, crash_after=crash_after)
    world.ends_while_dead = True
    world.run()

    assert {record.trial: json.loads(record.point) for record in world.experiment.status.history} == tried
    assert [record.trial for record in world.experiment.status.history] == list(range(1, 13))


@settings(max_examples=15, deadline=None)
@given(data=st.data(), parallelism=st.integers(1, 4))
def test_in_any_order_every_trial_ends_once_and_the_best_is_the_best(data: st.DataObject, parallelism: int) -> None:
    ends: Ends = sometimes_fails
    world = World(experiment({"parallelism": parallelism}), ends)

    world.run(order=lambda jobs: data.draw(st.sampled_from(jobs)))

    history = world.experiment.status.history
    values = [float(record.value) for record in history if record.value is not None]
    best = world.experiment.status.best
    assert best is not None
    assert [record.trial for record in history] == list(range(1, 13))
    assert float(best.value or 0) == max(values)
    assert len({record.point for record in history}) == 12

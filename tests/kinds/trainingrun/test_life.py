"""Runs from their first step to their last: order, cache, retries by cause, healing, conditions, ends, dead operators."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.core.resource.api import EVENT, JOB, TRAINING_PIPELINE, Reference
from flywheel.kinds.trainingrun.schema import TrainingRun
from flywheel.kinds.trainingrun.schema.status import StepStatus
from tests.examples import examples
from tests.kinds.trainingrun.situations import IMAGE, Ends, Runs, container, run
from tests.simulation import params

DIAMOND = {"steps": [container("a"), container("b", "a"), container("c", "a"), container("d", "b", "c")]}


def step(at: TrainingRun, name: str) -> StepStatus:
    return next(each for each in at.status.steps if each.name == name)


def warnings(runs: Runs) -> list[str]:
    """The reasons of the events that are warnings."""
    return [each["reason"] for each in runs.cluster.objects(EVENT) if each["type"] == "Warning"]


def states(at: TrainingRun) -> dict[str, str]:
    return {each.name: each.state for each in at.status.steps}


def test_what_does_not_depend_on_one_another_runs_at_the_same_time() -> None:
    runs = Runs(DIAMOND)
    at = runs.start(run())
    assert states(at) == {"a": "Running", "b": "Waiting", "c": "Waiting", "d": "Waiting"}
    runs.end(runs.running()[0])

    plan = runs.settle()
    at = runs.now

    assert states(at) == {"a": "Succeeded", "b": "Running", "c": "Running", "d": "Waiting"}
    assert "Steps 'b', 'c' run" in plan.message


def test_a_run_that_ends_says_so_once_and_leaves_nothing() -> None:
    runs = Runs(DIAMOND)
    at = runs.finish(run())
    plan = runs.settle()
    at = runs.now

    assert (plan.ready, plan.succeeded, plan.reason) == (True, True, "Succeeded")
    assert at.status.result == "Succeeded"
    assert runs.jobs() == ()
    assert warnings(runs) == []


def test_a_run_that_fails_is_a_warning() -> None:
    runs = Runs({"steps": [container("a")]}, lambda _name, _attempt: {"exit": 2})
    runs.finish(run())

    assert runs.status.reason in warnings(runs)


def test_the_second_run_is_done_in_one_look_without_a_job() -> None:
    runs = Runs(DIAMOND)
    runs.finish(run("one"))
    made = len(runs.created)

    runs.add(run("two"))
    runs.reconcile()

    at = runs.now
    assert at.status.result == "Succeeded"
    assert {each.cache for each in at.status.steps} == {"Hit"}
    assert step(at, "a").cache_reason == "done by run 'one'"
    assert len(runs.created) == made


def test_hits_are_credited_to_who_did_the_work() -> None:
    runs = Runs(DIAMOND)
    for name in ("one", "two"):
        runs.finish(run(name))

    assert step(runs.finish(run("three")), "d").cache_reason == "done by run 'one'"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"cache": "Never"}, "cache: Never"),
        ({"container": {"image": "registry.example/work:latest", "outputs": ["data"]}}, "has no digest"),
    ],
)
def test_what_is_never_taken_from_the_cache_says_why(changed: dict[str, Any], reason: str) -> None:
    runs = Runs({"steps": [container("a") | changed]})
    runs.finish(run("one"))

    found = step(runs.finish(run("two")), "a")

    assert found.cache == "Miss"
    assert reason in str(found.cache_reason)


def test_work_that_is_too_old_is_done_again() -> None:
    runs = Runs({"steps": [container("a", maxAge="1h")]})
    runs.finish(run("one"))
    runs.advance(hours=2)

    assert step(runs.finish(run("two")), "a").cache_reason == "older than maxAge 1h"


def test_an_output_that_the_store_lost_is_made_again_by_whoever_made_it() -> None:
    gone = {"b": True}

    def ends(name: str, _attempt: int) -> dict[str, Any]:
        missing = name == "b" and gone.pop("b", False)
        return {"missing": True, "exit": 1} if missing else {}

    runs = Runs({"steps": [container("a"), container("b", "a")]}, ends)

    at = runs.finish(run("one"))

    assert at.status.result == "Succeeded"
    assert step(at, "a").attempt == 2
    assert "lost" in str(step(at, "a").cache_reason)


@pytest.mark.parametrize(
    ("ending", "retry", "attempts", "result"),
    [
        ({"exit": 1}, {}, 1, "Failed"),
        ({"exit": 1}, {"user": 1}, 2, "Succeeded"),
        ({"exit": 2}, {"user": 5}, 1, "Failed"),
        ({"exit": 137, "oom": True}, {"outOfMemory": 1}, 2, "Succeeded"),
        ({"exit": 137, "oom": True}, {"user": 3}, 1, "Failed"),
        ({"lost": True}, {}, 2, "Succeeded"),
        ({"lost": True}, {"infrastructure": 0}, 1, "Failed"),
    ],
)
def test_a_step_is_tried_again_by_what_was_to_blame(
    ending: dict[str, Any], retry: dict[str, int], attempts: int, result: str
) -> None:
    runs = Runs({"steps": [container("a", retry=retry)]}, lambda _name, attempt: ending if attempt == 1 else {})

    at = runs.finish(run())

    assert (at.status.result, step(at, "a").attempt) == (result, attempts)


def test_a_job_deleted_by_hand_is_made_again_and_costs_no_attempt_of_the_users() -> None:
    runs = Runs({"steps": [container("a")]})
    runs.start(run())
    [job] = runs.running()
    runs.cluster.remove(Reference(JOB, "default", job["metadata"]["name"]))

    found = step(runs.finish(), "a")

    assert (found.state, found.attempt) == ("Succeeded", 2)
    assert found.tries is not None
    assert (found.tries.infrastructure, found.tries.user) == (1, None)


def test_more_memory_after_it_was_too_little() -> None:
    asked = {"limits": {"memory": "1Gi"}}
    ends: Ends = lambda _name, attempt: {"exit": 137, "oom": True} if attempt < 3 else {}  # noqa: E731
    runs = Runs({"steps": [container("a", retry={"outOfMemory": 2}, resources=asked)]}, ends)
    runs.add(run())
    limits = []
    for _ in range(3):
        runs.settle()
        [job] = runs.running()
        limits.append(job["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"])
        runs.end(job)

    assert limits == ["1Gi", 2 * 2**30, 4 * 2**30]


def test_what_needs_a_failed_step_is_skipped_and_the_rest_goes_on() -> None:
    runs = Runs(
        {"steps": [container("a"), container("b", "a"), container("c")]},
        lambda name, _attempt: {"exit": 2 * (name == "a")},
    )

    at = runs.finish(run())

    assert states(at) == {"a": "Failed", "b": "Skipped", "c": "Succeeded"}
    assert at.status.result == "Failed"
    assert "Step 'a' failed" in str(at.status.message)


METRIC = [{"metric": {"step": "a", "name": "loss"}, "max": "0.5"}]


@pytest.mark.parametrize(
    ("when", "metrics", "state", "reason"),
    [
        (METRIC, {"loss": 0.4}, "Succeeded", None),
        (METRIC, {"loss": 0.5}, "Succeeded", None),
        (METRIC, {"loss": 0.6}, "Skipped", "WhenNotMet"),
        (METRIC, {}, "Failed", "WhenUndefined"),
        ([{"parameter": "months", "values": ["3", "6"]}], {}, "Succeeded", None),
        ([{"parameter": "months", "min": "3", "max": "3"}], {}, "Succeeded", None),
        ([{"parameter": "months", "min": "4"}], {}, "Skipped", "WhenNotMet"),
        ([{"parameter": "name", "min": "4"}], {}, "Failed", "WhenUndefined"),
    ],
)
def test_when(when: list[dict[str, Any]], metrics: dict[str, float], state: str, reason: str | None) -> None:
    parameters = [{"name": "months", "type": "Integer", "default": "3"}, {"name": "name", "default": "x"}]
    steps = [container("a"), container("b", "a", when=when)]
    runs = Runs({"parameters": parameters, "steps": steps}, lambda _name, _attempt: {"metrics": metrics})

    found = step(runs.finish(run()), "b")

    assert (found.state, found.reason) == (state, reason)


def test_finally_is_done_however_the_steps_ended() -> None:
    template = {
        "steps": [container("a")],
        "finally": [
            {"name": "always", "container": {"image": "i"}},
            {"name": "alarm", "container": {"image": "i"}, "when": [{"run": "Failed"}]},
        ],
    }
    bad = Runs(template, lambda name, _attempt: {"exit": 2 * (name == "a")}).finish(run())
    good = Runs(template).finish(run())

    assert (bad.status.result, states(bad)) == ("Failed", {"a": "Failed", "always": "Succeeded", "alarm": "Succeeded"})
    assert (good.status.result, states(good)["alarm"]) == ("Succeeded", "Skipped")


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"month": 3}, "spec.parameters.month: the pipeline has no such parameter; it has months"),
        ({"months": "many"}, "spec.parameters.months: 'many' is no Integer"),
        ({}, "spec.parameters.months is missing and has no default"),
    ],
)
def test_wrong_parameters_end_the_run_with_a_sentence(parameters: dict[str, Any], words: str) -> None:
    runs = Runs({"parameters": [{"name": "months", "type": "Integer"}], "steps": [container("a")]})

    at = runs.start(run(parameters=parameters))
    plan = runs.plan

    assert (at.status.reason, plan.stalled) == ("ParameterInvalid", True)
    assert words in plan.message


def test_parameters_keep_their_types() -> None:
    spec = {
        "image": "i",
        "args": ["--months=$(params.months)"],
        "parameters": {"n": "$(params.months)", "t": "a $(params.months)"},
    }
    parameters = [{"name": "months", "type": "Integer", "default": "3"}]
    runs = Runs({"parameters": parameters, "steps": [{"name": "a", "container": spec}]})

    runs.start(run(parameters={"months": 6}))

    [job] = runs.running()
    main, _ = job["spec"]["template"]["spec"]["containers"]
    assert main["args"] == ["--months=6"]
    assert params(job) == {"n": 6, "t": "a 6"}


def test_a_run_keeps_the_revision_with_which_it_started() -> None:
    runs = Runs(DIAMOND)
    started_with = runs.start(run()).status.revision
    pipeline = runs.manifest(Reference(TRAINING_PIPELINE, "default", "loop"))

    runs.put({**pipeline, "status": {"revision": "1" * 8}})
    at = runs.finish()

    assert (at.status.revision, at.status.result) == (started_with, "Succeeded")


def test_a_run_without_a_start_takes_the_revision_that_its_spec_names() -> None:
    runs = Runs(DIAMOND)

    runs.start(run(revision="11111111"))

    assert runs.plan.reason == "RevisionNotFound"
    assert "TrainingPipeline 'loop' has no revision '11111111'" in runs.plan.message


def test_a_run_without_a_pipeline_waits_for_it() -> None:
    runs = Runs(DIAMOND)

    runs.start(run(pipeline="other"))

    assert runs.plan.reason == "PipelineNotFound"
    assert "Waiting for TrainingPipeline 'other'" in runs.plan.message


def test_a_run_that_is_suspended_before_its_start_makes_no_progress() -> None:
    runs = Runs(DIAMOND)

    runs.start(run(suspend=True))

    assert (runs.plan.reason, runs.plan.progressing, runs.created) == ("Suspended", False, [])


def test_cancelled_and_suspended() -> None:
    runs = Runs(DIAMOND)
    runs.start(run())
    runs.patch_spec(suspend=True)
    runs.end(runs.running()[0])
    plan = runs.settle()
    assert (plan.reason, states(runs.now)["b"]) == ("Suspended", "Waiting")

    runs.patch_spec(cancel=True)
    plan = runs.settle()

    assert (runs.status.result, plan.reason) == ("Cancelled", "Cancelled")
    assert states(runs.now) == {"a": "Succeeded", "b": "Cancelled", "c": "Cancelled", "d": "Cancelled"}
    assert runs.jobs() == ()


@st.composite
def graphs(draw: st.DrawFn) -> list[dict[str, Any]]:
    count = draw(st.integers(1, 7))
    return [
        container(f"s{n}", *(f"s{m}" for m in range(n) if draw(st.booleans())), retry={"user": draw(st.integers(0, 1))})
        for n in range(count)
    ]


@pytest.mark.integration
@settings(max_examples=examples(60, ci=10), deadline=None)
@given(graphs(), st.data(), st.integers(1, 60))
def test_any_graph_ends_with_each_step_done_once_whenever_the_operator_dies(
    steps: list[dict[str, Any]], data: st.DataObject, crash_after: int
) -> None:
    """No deadlock, no lost step, and no attempt that is made twice."""
    bad = data.draw(st.sets(st.sampled_from([each["name"] for each in steps])))

    def ends(name: str, attempt: int) -> dict[str, Any]:
        return {"exit": 1} if name in bad and attempt == 1 else {}

    calm = Runs({"steps": steps}, ends)
    expected = calm.finish(run())
    runs = Runs({"steps": steps}, ends, crash_after)

    at = runs.finish(run(), choose=lambda jobs: data.draw(st.sampled_from(jobs)))

    assert states(at) == states(expected)
    assert at.status.result == expected.status.result
    assert len(runs.created) == len(set(runs.created))
    assert sorted(runs.created) == sorted(calm.created)


def test_a_metric_that_is_asked_for_is_kept_however_many_there_are() -> None:
    when = [{"metric": {"step": "a", "name": "z_last"}, "min": "3"}]
    runs = Runs(
        {"steps": [container("a"), container("b", dependsOn=["a"], when=when)]},
        lambda _name, _attempt: {"metrics": {**{f"a_{n}": n for n in range(20)}, "z_last": 5}},
    )

    at = runs.finish(run())

    assert step(at, "a").metrics["z_last"] == "5"
    assert states(at)["b"] == "Succeeded"


@pytest.mark.exhaustive
def test_200_steps_fit_into_the_status() -> None:
    steps = [container("s0"), *(container(f"s{n}", f"s{n - 1}") for n in range(1, 200))]
    metrics = {f"a_metric_of_some_length_{n}": n / 7 for n in range(8)}
    at = Runs({"steps": steps}, lambda _name, _attempt: {"metrics": metrics}).finish(run())

    assert at.status.result == "Succeeded"
    assert len(at.status.model_dump_json(by_alias=True, exclude_none=True)) < 102_400


@pytest.mark.parametrize(
    ("again", "verdict", "words"),
    [
        ({}, "Equal", ""),
        ({"bytes": "other"}, "Different", "step 'a': output 'data' has other bytes"),
        ({"metrics": {"rows": 11.0}}, "Different", "step 'a': rows was 10, and is 11"),
        ({"exit": 1}, "Different", "step 'a': it was Succeeded, and is Failed"),
    ],
)
def test_a_repeated_run_says_whether_it_came_out_alike(again: dict[str, Any], verdict: str, words: str) -> None:
    told: dict[str, Any] = {"metrics": {"rows": 10.0}}
    runs = Runs({"steps": [container("a")]}, lambda _name, _attempt: told)
    runs.finish(run("one"))
    told |= again

    at = runs.finish(run("two", reproduceOf="one"))

    assert at.status.reproduced is not None
    assert at.status.reproduced.verdict == verdict
    assert "".join(at.status.reproduced.differs) == words
    assert step(at, "a").cache == "Miss"
    assert [each.name for each in at.status.steps] == ["a"], "only models are compared by a Job"


def test_the_cache_key_of_the_same_work_never_changes() -> None:
    """Work that was done before an upgrade is found after it."""
    runs = Runs({"steps": [container("a")]})

    assert step(runs.finish(run("one")), "a").key == "d9f67cd5a9b8e7c3dbc4fc5534154511"


@pytest.mark.parametrize(
    ("comparison", "verdict", "words"),
    [
        ({"facts": {"verdict": "Equal"}}, "Equal", ""),
        ({"facts": {"verdict": "WithinTolerance", "differs": "a time"}}, "WithinTolerance", "step 'a': a time"),
        ({"exit": 2}, "WithinTolerance", "step 'a': other bytes, the same metrics"),
    ],
)
def test_models_with_other_bytes_are_compared_by_a_job(comparison: dict[str, Any], verdict: str, words: str) -> None:
    told: dict[str, Any] = {"output": "model"}
    model = {"name": "a", "container": {"image": IMAGE, "outputs": ["model"]}}
    ended: list[tuple[str, int]] = []

    def ends(name: str, attempt: int) -> Mapping[str, Any]:
        ended.append((name, attempt))
        return told if name == "a" else comparison

    runs = Runs({"steps": [model]}, ends)
    runs.finish(run("one"))
    told["bytes"] = "other"

    at = runs.finish(run("two", reproduceOf="one"))

    assert at.status.reproduced is not None
    assert (at.status.reproduced.verdict, "".join(at.status.reproduced.differs)) == (verdict, words)
    assert step(at, "compare-a").state == ("Failed" if comparison.get("exit") else "Succeeded")
    assert ended[-1] == ("compare-a", 1)


def test_the_reason_of_a_hit_fits_into_status_whatever_the_name_of_the_run() -> None:
    runs = Runs({"steps": [container("a")]})
    runs.finish(run("a" * 200))

    assert len(str(step(runs.finish(run("two")), "a").cache_reason)) == 128

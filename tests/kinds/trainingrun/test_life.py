"""Runs from their first step to their last: order, cache, retries by cause, healing, conditions, ends, dead operators."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.core.resource.api import JOB
from flywheel.kinds.trainingrun.schema import TrainingRun
from flywheel.kinds.trainingrun.schema.status import StepStatus
from flywheel.testing import params
from tests.kinds.trainingrun.world import Ends, World, container, run

DIAMOND = {"steps": [container("a"), container("b", "a"), container("c", "a"), container("d", "b", "c")]}


def step(at: TrainingRun, name: str) -> StepStatus:
    return next(each for each in at.status.steps if each.name == name)


def states(at: TrainingRun) -> dict[str, str]:
    return {each.name: each.state for each in at.status.steps}


def test_what_does_not_depend_on_one_another_runs_at_the_same_time() -> None:
    world = World(DIAMOND)
    at, _ = world.settle(run())
    assert states(at) == {"a": "Running", "b": "Waiting", "c": "Waiting", "d": "Waiting"}
    world.end(at, world.running(at)[0])

    at, plan = world.settle(at)

    assert states(at) == {"a": "Succeeded", "b": "Running", "c": "Running", "d": "Waiting"}
    assert "Steps 'b', 'c' run" in plan.message


def test_a_run_that_ends_says_so_once_and_leaves_nothing() -> None:
    world = World(DIAMOND)
    at = world.finish(run())
    at, plan = world.settle(at)

    assert (plan.ready, plan.succeeded, plan.reason) == (True, True, "Succeeded")
    assert at.status.result == "Succeeded"
    assert world.cluster.children(at.uid, JOB) == ()


def test_the_second_run_is_done_in_one_look_without_a_job() -> None:
    world = World(DIAMOND)
    world.finish(run("one"))
    made = len(world.made)

    at, _ = world.look(run("two"))

    assert at.status.result == "Succeeded"
    assert {each.cache for each in at.status.steps} == {"Hit"}
    assert step(at, "a").cache_reason == "done by run 'one'"
    assert len(world.made) == made


def test_hits_are_credited_to_who_did_the_work() -> None:
    world = World(DIAMOND)
    for name in ("one", "two"):
        world.finish(run(name))

    assert step(world.finish(run("three")), "d").cache_reason == "done by run 'one'"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"cache": "Never"}, "cache: Never"),
        ({"container": {"image": "registry.example/work:latest", "outputs": ["data"]}}, "has no digest"),
    ],
)
def test_what_is_never_taken_from_the_cache_says_why(changed: dict[str, Any], reason: str) -> None:
    world = World({"steps": [container("a") | changed]})
    world.finish(run("one"))

    found = step(world.finish(run("two")), "a")

    assert found.cache == "Miss"
    assert reason in str(found.cache_reason)


def test_work_that_is_too_old_is_done_again() -> None:
    world = World({"steps": [container("a", maxAge="1h")]})
    world.finish(run("one"))
    world.cluster.advance(__import__("datetime").timedelta(hours=2))

    assert step(world.finish(run("two")), "a").cache_reason == "older than maxAge 1h"


def test_an_output_that_the_store_lost_is_made_again_by_whoever_made_it() -> None:
    gone = {"b": True}

    def ends(name: str, _attempt: int) -> dict[str, Any]:
        missing = name == "b" and gone.pop("b", False)
        return {"missing": True, "exit": 1} if missing else {}

    world = World({"steps": [container("a"), container("b", "a")]})
    world.finish(run("one"))
    world.cluster.remove(run("one").reference)  # so that b is no hit
    world.finish(run("two"))
    world.ends = ends
    other = World({"steps": [container("a"), container("b", "a")]}, ends)

    at = other.finish(run("one"))

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
    world = World({"steps": [container("a", retry=retry)]}, lambda _name, attempt: ending if attempt == 1 else {})

    at = world.finish(run())

    assert (at.status.result, step(at, "a").attempt) == (result, attempts)


def test_more_memory_after_it_was_too_little() -> None:
    asked = {"limits": {"memory": "1Gi"}}
    ends: Ends = lambda _name, attempt: {"exit": 137, "oom": True} if attempt < 3 else {}  # noqa: E731
    world = World({"steps": [container("a", retry={"outOfMemory": 2}, resources=asked)]}, ends)
    at = run()
    limits = []
    for _ in range(3):
        at, _plan = world.settle(at)
        [job] = world.running(at)
        limits.append(job["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"])
        world.end(at, job)

    assert limits == ["1Gi", 2 * 2**30, 4 * 2**30]


def test_what_needs_a_failed_step_is_skipped_and_the_rest_goes_on() -> None:
    world = World(
        {"steps": [container("a"), container("b", "a"), container("c")]},
        lambda name, _attempt: {"exit": 2 * (name == "a")},
    )

    at = world.finish(run())

    assert states(at) == {"a": "Failed", "b": "Skipped", "c": "Succeeded"}
    assert at.status.result == "Failed"
    assert "Step 'a' failed" in str(at.status.message)


METRIC = [{"metric": {"step": "a", "name": "loss"}, "max": "0.5"}]


@pytest.mark.parametrize(
    ("when", "metrics", "state", "reason"),
    [
        (METRIC, {"loss": 0.4}, "Succeeded", None),
        (METRIC, {"loss": 0.6}, "Skipped", "WhenNotMet"),
        (METRIC, {}, "Failed", "WhenUndefined"),
        ([{"parameter": "months", "values": ["3", "6"]}], {}, "Succeeded", None),
        ([{"parameter": "months", "min": "4"}], {}, "Skipped", "WhenNotMet"),
        ([{"parameter": "name", "min": "4"}], {}, "Failed", "WhenUndefined"),
    ],
)
def test_when(when: list[dict[str, Any]], metrics: dict[str, float], state: str, reason: str | None) -> None:
    parameters = [{"name": "months", "type": "Integer", "default": "3"}, {"name": "name", "default": "x"}]
    steps = [container("a"), container("b", "a", when=when)]
    world = World({"parameters": parameters, "steps": steps}, lambda _name, _attempt: {"metrics": metrics})

    found = step(world.finish(run()), "b")

    assert (found.state, found.reason) == (state, reason)


def test_finally_is_done_however_the_steps_ended() -> None:
    template = {
        "steps": [container("a")],
        "finally": [
            {"name": "always", "container": {"image": "i"}},
            {"name": "alarm", "container": {"image": "i"}, "when": [{"run": "Failed"}]},
        ],
    }
    bad = World(template, lambda name, _attempt: {"exit": 2 * (name == "a")}).finish(run())
    good = World(template).finish(run())

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
    world = World({"parameters": [{"name": "months", "type": "Integer"}], "steps": [container("a")]})

    at, plan = world.settle(run(parameters=parameters))

    assert (at.status.reason, plan.stalled) == ("ParameterInvalid", True)
    assert words in plan.message


def test_parameters_keep_their_types() -> None:
    spec = {
        "image": "i",
        "args": ["--months=$(params.months)"],
        "parameters": {"n": "$(params.months)", "t": "a $(params.months)"},
    }
    parameters = [{"name": "months", "type": "Integer", "default": "3"}]
    world = World({"parameters": parameters, "steps": [{"name": "a", "container": spec}]})

    at, _ = world.settle(run(parameters={"months": 6}))

    [job] = world.running(at)
    [main] = job["spec"]["template"]["spec"]["containers"]
    assert main["args"] == ["--months=6"]
    assert params(job) == {"n": 6, "t": "a 6"}


def test_cancelled_and_suspended() -> None:
    world = World(DIAMOND)
    at, _ = world.settle(run())
    from dataclasses import replace

    held = replace(at, spec=at.spec.model_copy(update={"suspend": True}))
    world.end(held, world.running(held)[0])
    held, plan = world.settle(held)
    assert (plan.reason, states(held)["b"]) == ("Suspended", "Waiting")

    stopped, plan = world.settle(replace(held, spec=held.spec.model_copy(update={"cancel": True})))

    assert (stopped.status.result, plan.reason) == ("Cancelled", "Cancelled")
    assert states(stopped) == {"a": "Succeeded", "b": "Cancelled", "c": "Cancelled", "d": "Cancelled"}
    assert world.cluster.children(stopped.uid, JOB) == ()


@st.composite
def graphs(draw: st.DrawFn) -> list[dict[str, Any]]:
    count = draw(st.integers(1, 7))
    return [
        container(f"s{n}", *(f"s{m}" for m in range(n) if draw(st.booleans())), retry={"user": draw(st.integers(0, 1))})
        for n in range(count)
    ]


@settings(max_examples=60, deadline=None)
@given(graphs(), st.data(), st.integers(1, 60))
def test_any_graph_ends_with_each_step_done_once_whenever_the_operator_dies(
    steps: list[dict[str, Any]], data: st.DataObject, crash_after: int
) -> None:
    """No deadlock, no lost step, and no attempt that is made twice."""
    bad = data.draw(st.sets(st.sampled_from([each["name"] for each in steps])))

    def ends(name: str, attempt: int) -> dict[str, Any]:
        return {"exit": 1} if name in bad and attempt == 1 else {}

    calm = World({"steps": steps}, ends)
    expected = calm.finish(run())
    world = World({"steps": steps}, ends, crash_after)

    at = world.finish(run(), order=lambda jobs: data.draw(st.sampled_from(jobs)))

    assert states(at) == states(expected)
    assert at.status.result == expected.status.result
    assert len(world.made) == len(set(world.made))
    assert sorted(world.made) == sorted(calm.made)


def test_a_metric_that_is_asked_for_is_kept_however_many_there_are() -> None:
    when = [{"metric": {"step": "a", "name": "z_last"}, "min": "3"}]
    world = World(
        {"steps": [container("a"), container("b", dependsOn=["a"], when=when)]},
        lambda _name, _attempt: {"metrics": {**{f"a_{n}": n for n in range(20)}, "z_last": 5}},
    )

    at = world.finish(run())

    assert step(at, "a").metrics["z_last"] == "5"
    assert states(at)["b"] == "Succeeded"


def test_200_steps_fit_into_the_status() -> None:
    steps = [container("s0"), *(container(f"s{n}", f"s{n - 1}") for n in range(1, 200))]
    metrics = {f"a_metric_of_some_length_{n}": n / 7 for n in range(8)}
    at = World({"steps": steps}, lambda _name, _attempt: {"metrics": metrics}).finish(run(), rounds=1000)

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
    world = World({"steps": [container("a")]}, lambda _name, _attempt: told)
    world.finish(run("one"))
    told |= again

    at = world.finish(run("two", reproduceOf="one"))

    assert at.status.reproduced is not None
    assert at.status.reproduced.verdict == verdict
    assert "".join(at.status.reproduced.differs) == words
    assert step(at, "a").cache == "Miss"

"""Steps in several pods, and steps that wait for a queue."""

from typing import Any

from flywheel.core.pods.indexed_job import INDEX_LABEL
from flywheel.core.resource.api import JOB, SERVICE, Reference
from flywheel.core.resource.plan import Kept, Plan
from flywheel.testing import pod, running
from tests.kinds.trainingrun.world import World, container, run


def in_two_pods(name: str, *needs: str, **more: Any) -> dict[str, Any]:
    step = container(name, *needs)
    group = {"distributed": {"framework": "Torch", "nodes": 2}, "checkpoint": {}, **more}
    return {**step, "container": {**step["container"], **group}}


def services(plan: Plan) -> list[str]:
    return [child.name for child in plan.children or () if child.api == SERVICE]


def test_ranks_find_one_another_while_there_are_any() -> None:
    world = World({"steps": [container("first"), in_two_pods("wide", "first"), container("last", "wide")]})
    at, plan = world.settle(run())
    assert services(plan) == []

    world.end(at, world.running(at)[0])
    at, plan = world.settle(at)
    [kept] = [child for child in plan.children or () if child.api == SERVICE]
    assert isinstance(kept, Kept)
    assert world.cluster.get(Reference(SERVICE, "default", "one-ranks")) is not None
    assert world.running(at)[0]["spec"]["completions"] == 2


def test_a_lost_rank_costs_an_attempt_that_nobody_is_blamed_for() -> None:
    world = World({"steps": [in_two_pods("wide")]})
    at, _ = world.settle(run())
    [job] = world.running(at)
    name = job["metadata"]["name"]
    lost = pod(at, f"{name}-1-abcde", job=name, main=running(), labels={INDEX_LABEL: "1"})
    world.cluster.put({**lost, "metadata": {**lost["metadata"], "deletionTimestamp": "2026-01-01T12:02:00Z"}})

    at, _ = world.look(at)

    [step] = at.status.steps
    assert (step.state, step.reason) == ("Waiting", "RankLost")
    assert step.tries is not None
    assert (step.tries.infrastructure, step.tries.user) == (1, None)


def test_how_many_pods_did_it_decides_what_was_done() -> None:
    """Two pods may find another model than three; and what is one pod is known as ever."""
    three = {"framework": "Torch", "nodes": 3}
    steps = (container("wide"), in_two_pods("wide"), in_two_pods("wide", distributed=three))

    keys = {World({"steps": [each]}).settle(run())[0].status.steps[0].key for each in steps}

    assert len(keys) == 3


def test_a_step_that_waits_in_a_queue_says_why() -> None:
    world = World({"steps": [{**container("wide"), "placement": {"queueName": "team"}}]})
    at, _ = world.settle(run())
    [job] = world.cluster.children(at.uid, JOB)
    assert job["spec"]["suspend"] is True
    world.cluster.queue(job, QuotaReserved="insufficient quota for cpu")

    at, plan = world.settle(at)

    assert plan.reason == "Queued"
    assert "insufficient quota for cpu" in plan.message

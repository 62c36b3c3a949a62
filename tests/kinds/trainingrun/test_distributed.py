"""Steps in several pods, and steps that wait for a queue."""

from typing import Any

from flywheel.core.resource.api import SERVICE, Reference
from flywheel.core.resource.names import INDEX_LABEL
from flywheel.core.resource.plan import ExistingChild, Plan
from tests.kinds.trainingrun.situations import Runs, container, run
from tests.simulation import pod, running_state


def in_two_pods(name: str, *needs: str, **more: Any) -> dict[str, Any]:
    step = container(name, *needs)
    group = {"distributed": {"framework": "Torch", "nodes": 2}, "checkpoint": {}, **more}
    return {**step, "container": {**step["container"], **group}}


def services(plan: Plan) -> list[str]:
    return [child.name for child in plan.children or () if child.api == SERVICE]


def test_ranks_find_one_another_while_there_are_any() -> None:
    runs = Runs({"steps": [container("first"), in_two_pods("wide", "first"), container("last", "wide")]})
    runs.start(run())
    plan = runs.plan
    assert services(plan) == []

    runs.end(runs.running()[0])
    plan = runs.settle()
    [kept] = [child for child in plan.children or () if child.api == SERVICE]
    assert isinstance(kept, ExistingChild)
    assert runs.cluster.get(Reference(SERVICE, "default", "one-ranks")) is not None
    assert runs.running()[0]["spec"]["completions"] == 2


def test_a_lost_rank_costs_an_attempt_that_nobody_is_blamed_for() -> None:
    runs = Runs({"steps": [in_two_pods("wide")]})
    at = runs.start(run())
    [job] = runs.running()
    name = job["metadata"]["name"]
    lost = pod(at, f"{name}-1-abcde", job=name, main=running_state(), labels={INDEX_LABEL: "1"})
    runs.cluster.put({**lost, "metadata": {**lost["metadata"], "deletionTimestamp": "2026-01-01T12:02:00Z"}})

    runs.reconcile()
    at = runs.now

    [step] = at.status.steps
    assert (step.state, step.reason) == ("Waiting", "RankLost")
    assert step.tries is not None
    assert (step.tries.infrastructure, step.tries.user) == (1, None)


def test_how_many_pods_did_it_decides_what_was_done() -> None:
    """Two pods may find another model than three; and what is one pod is known as ever."""
    three = {"framework": "Torch", "nodes": 3}
    steps = (container("wide"), in_two_pods("wide"), in_two_pods("wide", distributed=three))

    keys = {Runs({"steps": [each]}).start(run()).status.steps[0].key for each in steps}

    assert len(keys) == 3


def test_a_step_that_waits_in_a_queue_says_why() -> None:
    runs = Runs({"steps": [{**container("wide"), "placement": {"queueName": "team"}}]})
    runs.start(run())
    [job] = runs.jobs()
    assert job["spec"]["suspend"] is True
    runs.cluster.queue(job, QuotaReserved="insufficient quota for cpu")
    runs.advance(minutes=1)

    plan = runs.settle()

    assert plan.reason == "Queued"
    assert "insufficient quota for cpu" in plan.message

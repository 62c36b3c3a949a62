"""What a BatchInference sees of its cluster."""

from datetime import timedelta
from typing import Any

import pytest

from flywheel.core.resource.api import MODEL_VERSION
from flywheel.core.resource.model_reference import ResolvedVersion, UnresolvedReference
from flywheel.kinds.batchinference.children import RUN_ANNOTATION
from flywheel.kinds.batchinference.observe import observe
from flywheel.testing import oom_killed, pod, running, terminated, waiting
from flywheel.testing.resources import custom, stamp
from tests.kinds.batchinference.world import DIGEST, PLANNED, World

PINNED: dict[str, Any] = {"model": None, "version": "fraud-1"}
READY = {"type": "Ready", "status": "True", "reason": "Verified", "lastTransitionTime": "2026-01-01T00:00:00Z"}
FAILED = {**READY, "status": "False", "reason": "NotONNX", "message": "It is a pickle."}


@pytest.mark.parametrize(
    ("version", "found"),
    [
        pytest.param(None, "VersionNotFound", id="it does not exist"),
        pytest.param({"conditions": [FAILED]}, "VersionNotReady", id="it is not verified"),
        pytest.param({"conditions": [FAILED], "digest": DIGEST}, "VersionNotReady", id="it is not verified any more"),
        pytest.param(
            {"conditions": [READY], "digest": DIGEST}, ResolvedVersion("fraud-1", DIGEST), id="it is verified"
        ),
    ],
)
def test_a_pinned_version(version: Any, found: str | ResolvedVersion) -> None:
    manifests = [custom(MODEL_VERSION, "fraud-1", {"model": "fraud"}, status=version)] if version else []
    world = World(*manifests, **PINNED)

    model = observe(world.batch, world.cluster).model

    assert (model.reason if isinstance(model, UnresolvedReference) else model) == found


def test_a_quota_is_told_while_it_lasts() -> None:
    world = World()
    world.look()
    job = world.job("plan", 1)
    world.cluster.event(job, "FailedCreate", 'pods "x" is forbidden: exceeded quota: small, requested: cpu=1')
    world.cluster.put(
        {**job, "status": {}, "metadata": {**job["metadata"], "creationTimestamp": stamp(world.cluster.now)}}
    )
    world.passes(seconds=30)

    plan = world.look()

    assert (plan.ready, plan.stalled, plan.reason) == (False, False, "QuotaExceeded")
    assert world.jobs == ["plan-1"]


def test_a_model_server_without_enough_memory_is_told_with_its_limit() -> None:
    world = World(resources={"limits": {"memory": "64Mi"}})
    world.look()
    name = world.job("plan", 1)["metadata"]["name"]
    crashed = pod(
        world.batch,
        f"{name}-x",
        job=name,
        main=running(),
        init={"fetch": terminated(0), "server": waiting("CrashLoopBackOff", restarts=3, last=oom_killed())},
    )
    limited = [{**each, "resources": {"limits": {"memory": "64Mi"}}} for each in crashed["spec"]["initContainers"]]
    world.cluster.put({**crashed, "spec": {**crashed["spec"], "initContainers": limited}})

    plan = world.look()

    assert (plan.reason, plan.stalled) == ("OOMKilled", False)
    assert "container 'server'" in plan.message
    assert "its limit of 64Mi" in plan.message


def test_a_job_of_an_operator_that_wrote_otherwise_is_left_out() -> None:
    world = World()
    world.look()
    job = world.job("plan", 1)
    world.cluster.put(
        {**job, "metadata": {**job["metadata"], "annotations": {RUN_ANNOTATION: '{"phase": "Dreaming"}'}}}
    )

    assert observe(world.batch, world.cluster).jobs == ()


def test_the_speed_is_that_of_the_shards_that_are_done() -> None:
    world = World()
    world.look()
    world.ends("plan", 1, **PLANNED)
    world.look()
    world.shard_ends(2, 0, done=1, rows=5000)
    job = world.job("score", 2)
    started = world.cluster.now - timedelta(seconds=10)
    world.cluster.put({**job, "status": {**job["status"], "startTime": stamp(started)}})

    world.look()

    run = world.batch.status.run
    assert run is not None
    assert run.rows_per_second == 500
    assert world.plan.summary == "1/3 shards, 5,000 rows, 1 row error, 500 rows/s"


def test_two_pods_of_one_index_count_once() -> None:
    world = World()
    world.look()
    world.ends("plan", 1, **PLANNED)
    world.look()
    world.shard_ends(2, 0, done=1)
    world.shard_ends(2, 0, done=1, pod_name="its-replacement")
    world.shard_ends(2, 1, done=2, rows=7, errors=0)

    shards = observe(world.batch, world.cluster).jobs[-1].shards

    assert (shards.done, shards.rows, shards.errors) == (2, 107, 1)

"""What a BatchInference sees of its cluster."""

from datetime import timedelta
from typing import Any

import pytest

from flywheel.core.resource.api import MODEL_VERSION
from flywheel.core.resource.model_reference import ResolvedVersion, UnresolvedReference
from flywheel.kinds.batchinference.children import RUN_ANNOTATION
from flywheel.kinds.batchinference.observe import observe
from tests.kinds.batchinference.situations import DIGEST, PLANNED, Batch
from tests.simulation import oom_killed_state, pod, running_state, terminated_state, waiting_state
from tests.simulation.resources import custom, stamp

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
    batch = Batch(*manifests, **PINNED)

    model = observe(batch.now, batch.cluster).model

    assert (model.reason if isinstance(model, UnresolvedReference) else model) == found


def test_a_quota_is_diagnosed_while_it_lasts() -> None:
    batch = Batch()
    batch.reconcile()
    job = batch.job("plan", 1)
    batch.cluster.event(job, "FailedCreate", 'pods "x" is forbidden: exceeded quota: small, requested: cpu=1')
    batch.put({**job, "status": {}, "metadata": {**job["metadata"], "creationTimestamp": stamp(batch.cluster.now)}})
    batch.advance(seconds=30)

    plan = batch.reconcile()

    assert (plan.ready, plan.stalled, plan.reason) == (False, False, "QuotaExceeded")
    assert batch.steps == ["plan-1"]


def test_a_model_server_without_enough_memory_is_diagnosed_with_its_limit() -> None:
    batch = Batch(resources={"limits": {"memory": "64Mi"}})
    batch.reconcile()
    name = batch.job("plan", 1)["metadata"]["name"]
    crashed = pod(
        batch.now,
        f"{name}-x",
        job=name,
        main=running_state(),
        init={
            "fetch": terminated_state(0),
            "server": waiting_state("CrashLoopBackOff", restarts=3, last=oom_killed_state()),
        },
    )
    limited = [{**each, "resources": {"limits": {"memory": "64Mi"}}} for each in crashed["spec"]["initContainers"]]
    batch.put({**crashed, "spec": {**crashed["spec"], "initContainers": limited}})

    plan = batch.reconcile()

    assert (plan.reason, plan.stalled) == ("OOMKilled", False)
    assert "container 'server'" in plan.message
    assert "its limit of 64Mi" in plan.message


def test_a_job_of_an_operator_that_wrote_otherwise_is_left_out() -> None:
    batch = Batch()
    batch.reconcile()
    job = batch.job("plan", 1)
    batch.put({**job, "metadata": {**job["metadata"], "annotations": {RUN_ANNOTATION: '{"phase": "Dreaming"}'}}})

    assert observe(batch.now, batch.cluster).jobs == ()


def test_the_speed_is_that_of_the_shards_that_are_done() -> None:
    batch = Batch()
    batch.reconcile()
    batch.end("plan", 1, **PLANNED)
    batch.reconcile()
    batch.end_shard(2, 0, done=1, rows=5000)
    job = batch.job("score", 2)
    started = batch.cluster.now - timedelta(seconds=10)
    batch.put({**job, "status": {**job["status"], "startTime": stamp(started)}})

    batch.reconcile()

    run = batch.status.run
    assert run is not None
    assert run.rows_per_second == 500
    assert batch.plan.summary == "1/3 shards, 5,000 rows, 1 row error, 500 rows/s"


def test_two_pods_of_one_index_count_once() -> None:
    batch = Batch()
    batch.reconcile()
    batch.end("plan", 1, **PLANNED)
    batch.reconcile()
    batch.end_shard(2, 0, done=1)
    batch.end_shard(2, 0, done=1, pod_name="its-replacement")
    batch.end_shard(2, 1, done=2, rows=7, errors=0)

    shards = observe(batch.now, batch.cluster).jobs[-1].shards

    assert (shards.done, shards.rows, shards.errors) == (2, 107, 1)


def test_a_shard_that_ended_well_without_all_its_rows_is_not_counted() -> None:
    batch = Batch()
    batch.reconcile()
    batch.end("plan", 1, **PLANNED)
    batch.reconcile()
    batch.end_shard(2, 0, done=1)
    batch.end_shard(2, 1, done=1, rows=7, complete=False)

    assert observe(batch.now, batch.cluster).jobs[-1].shards.rows == 100

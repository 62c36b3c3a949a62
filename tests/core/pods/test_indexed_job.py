"""Steps in several pods: one Indexed Job each, with what its ranks or items must know."""

import json
from dataclasses import replace
from typing import Any

import pytest

from flywheel.core.pods import indexed_job
from flywheel.core.pods.distributed import Checkpoint, Distributed
from flywheel.core.pods.indexed_job import ItemSet
from flywheel.core.pods.job import Step, step_job
from flywheel.core.resource import names
from flywheel.core.resource.values import Duration
from flywheel.core.settings import Settings
from tests.core.toy import KIND
from tests.simulation import resource

TOY = resource(KIND, "flights", {"source": {"s3": {"uri": "s3://bucket/"}}})
STEP = Step(
    name="trial-7", attempt=2, image="i", command=("c",), params={"rate": 1}, outputs=("model",), read_only_root=False
)
TORCH = replace(STEP, indexed=Distributed(framework="Torch", nodes=3))
ITEMS = replace(STEP, indexed=ItemSet(({"month": 1}, {"month": 2}, {"month": 3}), parallelism=2))


def job(step: Step) -> Any:
    return step_job(TOY, step, Settings()).manifest


def variables(step: Step, container: str = "main") -> dict[str, Any]:
    pod = job(step)["spec"]["template"]["spec"]
    [found] = [each for each in [*pod["initContainers"], *pod["containers"]] if each["name"] == container]
    return {each["name"]: each.get("value") or each.get("valueFrom") for each in found["env"]}


INDEX = {"fieldRef": {"fieldPath": "metadata.labels['batch.kubernetes.io/job-completion-index']"}}


def test_a_group_is_one_indexed_job_whose_pods_start_together_and_fail_together() -> None:
    spec = job(TORCH)["spec"]

    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 3, 3)
    assert (spec["backoffLimit"], spec["podReplacementPolicy"]) == (0, "Failed")
    assert {rule["action"] for rule in spec["podFailurePolicy"]["rules"]} == {"FailJob"}


def test_torch_finds_what_torchrun_and_init_process_group_read() -> None:
    name = f"{job(TORCH)['metadata']['name']}-0.flights-ranks"

    found = variables(TORCH)

    assert found["PET_MASTER_ADDR"] == found["MASTER_ADDR"] == found["FLYWHEEL_MASTER_ADDR"] == name
    assert (found["PET_NNODES"], found["PET_NPROC_PER_NODE"], found["WORLD_SIZE"]) == ("3", "1", "3")
    assert found["PET_MASTER_PORT"] == found["MASTER_PORT"] == "29500"
    assert found["RANK"] == found["NODE_RANK"] == found["PET_NODE_RANK"] == found["FLYWHEEL_NODE_RANK"] == INDEX


def test_with_several_processes_a_pod_torchrun_alone_knows_each_ones_rank() -> None:
    found = variables(replace(STEP, indexed=Distributed(framework="Torch", nodes=2, processes_per_node=4)))

    assert "RANK" not in found
    assert (found["WORLD_SIZE"], found["PET_NPROC_PER_NODE"], found["PET_NODE_RANK"]) == ("8", "4", INDEX)


def test_xgboost_finds_its_tracker_in_rank_0() -> None:
    found = variables(replace(STEP, indexed=Distributed(framework="XGBoost", nodes=2)))

    assert found["DMLC_TRACKER_URI"] == found["FLYWHEEL_MASTER_ADDR"]
    assert (found["DMLC_TRACKER_PORT"], found["DMLC_NUM_WORKER"], found["DMLC_ROLE"]) == ("9091", "2", "worker")
    assert found["DMLC_TASK_ID"] == INDEX
    assert not [name for name in found if name.startswith("PET_")]


def test_plain_finds_only_its_rank_how_many_there_are_and_the_first() -> None:
    found = variables(replace(STEP, indexed=Distributed(framework="Plain", nodes=2)))

    assert found["FLYWHEEL_NODES"] == "2"
    assert not [name for name in found if name.startswith(("PET_", "DMLC_")) or name in ("RANK", "MASTER_ADDR")]


def test_fetch_waits_for_every_rank_and_collect_knows_the_leader() -> None:
    assert len(json.loads(variables(TORCH, "fetch")["FLYWHEEL_PEERS"])) == 3
    assert json.loads(variables(TORCH, "collect")["FLYWHEEL_COLLECT"])["leader"] == 0
    assert "FLYWHEEL_PEERS" not in variables(TORCH)


def test_ranks_have_names_before_they_are_ready() -> None:
    service = indexed_job.headless_service(TOY).manifest
    pod = job(TORCH)["spec"]["template"]

    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert pod["spec"]["subdomain"] == service["metadata"]["name"]
    assert pod["metadata"]["labels"][names.INDEXED_LABEL] == service["spec"]["selector"][names.INDEXED_LABEL]


@pytest.mark.parametrize("nodes", [1, 10, 11, 256])
def test_every_ranks_host_name_fits(nodes: int) -> None:
    long = resource(KIND, "a" * 52, {"source": {"s3": {"uri": "s3://bucket/"}}})
    name = step_job(long, replace(STEP, indexed=Distributed(framework="Plain", nodes=nodes)), Settings()).name

    assert len(f"{name}-{nodes - 1}") <= 63


def test_items_run_so_many_at_once_and_one_that_fails_stops_no_other() -> None:
    spec = job(ITEMS)["spec"]

    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 3, 2)
    assert spec["backoffLimitPerIndex"] == 0
    assert "backoffLimit" not in spec


def test_each_item_adds_its_parameters_to_the_steps() -> None:
    found = variables(ITEMS, "fetch")

    assert json.loads(found["FLYWHEEL_PARAMS"]) == {"rate": 1}
    assert json.loads(found["FLYWHEEL_EACH"]) == [{"month": 1}, {"month": 2}, {"month": 3}]
    assert found["FLYWHEEL_INDEX"] == INDEX
    assert "leader" not in json.loads(variables(ITEMS, "collect")["FLYWHEEL_COLLECT"])


def test_another_attempt_does_only_what_is_left_and_keeps_its_numbers() -> None:
    again = replace(STEP, indexed=ItemSet(({"month": 1}, {"month": 2}, {"month": 3}), parallelism=9, items=(0, 2)))

    assert (job(again)["spec"]["completions"], job(again)["spec"]["parallelism"]) == (2, 2)
    assert json.loads(variables(again, "fetch")["FLYWHEEL_EACH"]) == [{"month": 1}, {"month": 3}]
    assert (
        variables(again, "collect")["FLYWHEEL_ITEMS"] == job(again)["metadata"]["annotations"][names.ITEMS_ANNOTATION]
    )


def test_parameters_too_long_for_a_variable_are_refused() -> None:
    with pytest.raises(ValueError, match="may have 100000"):
        ItemSet(tuple({"text": "x" * 1000} for _ in range(200)), parallelism=1)


def test_a_checkpoint_has_a_folder_that_main_writes_and_watch_opens_for_collect() -> None:
    step = replace(STEP, checkpoint=Checkpoint(every=Duration("1m")))
    pod = job(step)["spec"]["template"]["spec"]
    mounted = [each["name"] for each in [*pod["initContainers"], *pod["containers"]] if _has_checkpoints(each)]

    assert mounted == ["collect", "main", "watch"]
    assert variables(step)["FLYWHEEL_CHECKPOINT"] == "/flywheel/inputs/checkpoint"
    assert json.loads(variables(step, "collect")["FLYWHEEL_COLLECT"])["checkpoint"] == {"everySeconds": 60}


def _has_checkpoints(container: dict[str, Any]) -> bool:
    return any(each["mountPath"] == "/flywheel/checkpoints" for each in container["volumeMounts"])


def test_a_queued_job_is_suspended_and_has_its_queue() -> None:
    manifest = job(replace(STEP, queue="team"))

    assert manifest["spec"]["suspend"] is True
    assert manifest["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team"


def test_an_absent_option_changes_no_job() -> None:
    told = json.dumps(job(STEP))

    for word in ("suspend", "Indexed", "INDEX", "CHECKPOINT", "checkpoints", "PEERS", "leader", "subdomain", "spread"):
        assert word not in told

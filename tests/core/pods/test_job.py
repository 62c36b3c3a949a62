"""Step pods as the contract wants them."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from flywheel.core.pods import job, pod_spec
from flywheel.core.pods.distributed import Checkpoint
from flywheel.core.pods.fetch import Input
from flywheel.core.pods.indexed_job import ItemSet
from flywheel.core.pods.job import Step
from flywheel.core.pods.sidecar_config import TrackConfig
from flywheel.core.resource.schema import Placement, PullSecret, Resources, SecretKey, Toleration, Variable
from flywheel.core.resource.values import Duration, ObjectName
from flywheel.core.settings import Settings
from flywheel_runtime.commands.collect import main_observer
from tests.core.toy import KIND
from tests.simulation import resource

TOY = resource(KIND, "flights", {"source": {"s3": {"uri": "s3://bucket/"}}})
STEP = Step(
    name="trial-7",
    attempt=2,
    image="registry.example/bert:1",
    command=("torchrun", "train.py"),
    params={"lr": 0.1},
    inputs=(
        Input("data", artifact=f"sha256:{'0' * 64}"),
        Input("more", volume="a", claim="disk"),
        Input("far", s3={"uri": "s3://x/y"}, secret="acme"),
    ),
    outputs=("model",),
    timeout=timedelta(minutes=10),
    resources=Resources(requests={"cpu": 1}, limits={"nvidia.com/gpu": 1, "ephemeral-storage": "1Gi"}),
    placement=Placement(
        node_selector={"gpu": "a100"},
        tolerations=(Toleration(key="gpu", operator="Exists"),),
        priority_class_name=ObjectName("batch"),
    ),
    env=(Variable(name="B", value="2"), Variable(name="A", secret=SecretKey(name=ObjectName("hf"), key="token"))),
    pull_secrets=(PullSecret(name=ObjectName("registry")),),
    shared_memory="8Gi",
    read_only_root=False,
)


def pod(step: Step = STEP) -> dict[str, Any]:
    spec: dict[str, Any] = job.step_job(TOY, step, Settings()).manifest["spec"]["template"]["spec"]
    return spec


def containers() -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in [*pod()["initContainers"], *pod()["containers"]]}


def test_collect_comes_first_as_a_sidecar_then_fetch_then_main_then_watch() -> None:
    assert [each["name"] for each in pod()["initContainers"]] == ["collect", "fetch"]
    assert pod()["initContainers"][0]["restartPolicy"] == "Always"
    assert [each["name"] for each in pod()["containers"]] == ["main", "watch"]
    assert pod()["shareProcessNamespace"] is True


def test_a_step_without_inputs_has_no_fetch_and_collect_has_the_parameters() -> None:
    bare = Step(name="check", attempt=1, image="i", command=("c",), params={"n": 1})

    [collect] = pod(bare)["initContainers"]

    assert collect["name"] == "collect"
    assert {"name": "FLYWHEEL_PARAMS", "value": '{"n": 1}'} in collect["env"]
    assert "FLYWHEEL_PARAMS" not in json.dumps(pod()["initContainers"][0]["env"])


@pytest.mark.parametrize(
    "more",
    [
        {"pre_commands": ("quantize",)},
        {"indexed": ItemSet(({"n": 1},), 1)},
        {"checkpoint": Checkpoint(every=Duration("60s"))},
    ],
    ids=["pre-commands", "items", "checkpoint"],
)
def test_whatever_comes_before_main_keeps_fetch(more: dict[str, Any]) -> None:
    step = Step(name="check", attempt=1, image="i", command=("c",), params={}, **more)

    assert "fetch" in [each["name"] for each in pod(step)["initContainers"]]


def test_collect_knows_its_job_by_the_label_that_the_jobs_controller_sets() -> None:
    path = "metadata.labels['batch.kubernetes.io/controller-uid']"

    assert {"name": "FLYWHEEL_JOB", "valueFrom": {"fieldRef": {"fieldPath": path}}} in containers()["collect"]["env"]
    assert "FLYWHEEL_JOB" not in json.dumps([containers()["fetch"], containers()["main"]])


@pytest.mark.parametrize(
    ("age", "known"),
    [(timedelta(seconds=1), True), (timedelta(0), False), (-timedelta(seconds=1), False)],
    ids=["older than the upgrade", "of its second", "newer"],
)
def test_results_of_earlier_releases_count_for_older_resources(age: timedelta, known: bool) -> None:
    upgraded_at = (TOY.created + age).isoformat()

    text = json.dumps(job.step_job(TOY, STEP, Settings(upgraded_at=upgraded_at)).manifest)

    assert (f'{{"name": "FLYWHEEL_UPGRADED_AT", "value": "{upgraded_at}"}}' in text) is known


def test_main_and_watch_are_another_user_than_what_has_credentials() -> None:
    step = Step(name="check", attempt=1, image="i", command=("c",), params={}, pre_commands=("quantize",))
    spec = pod(step)
    users = {
        each["name"]: tuple(
            {**spec["securityContext"], **each["securityContext"]}[key] for key in ("runAsUser", "runAsGroup")
        )
        for each in [*spec["initContainers"], *spec["containers"]]
    }

    assert (users["collect"], users["fetch"]) == ((65531, 65531), (65531, 65531))
    assert (users["main"], users["watch"]) == ((65532, 65532), (65532, 65532))
    assert users["quantize"] == (65532, 65531), "the group tells it from main"
    assert spec["securityContext"]["fsGroup"] == 65532


def test_a_workload_identity_is_only_for_the_containers_with_credentials() -> None:
    step = Step(name="check", attempt=1, image="i", command=("c",), params={}, pre_commands=("quantize",))
    template = job.step_job(TOY, step, Settings()).manifest["spec"]["template"]

    assert template["metadata"]["annotations"] == {"eks.amazonaws.com/skip-containers": "quantize,main,watch"}


def test_watch_has_no_credentials_and_writes_its_own_folder_alone() -> None:
    watch = containers()["watch"]
    mounts = {each["mountPath"]: each.get("readOnly", False) for each in watch["volumeMounts"]}

    assert "envFrom" not in watch
    assert [each["name"] for each in watch["env"]] == ["FLYWHEEL_WATCH"]
    assert mounts == {"/flywheel": True, "/flywheel/watch": False, "/flywheel/outputs": False}


def test_the_kubelet_ends_a_main_that_watch_could_not_stop() -> None:
    probe = containers()["main"]["livenessProbe"]

    assert probe["initialDelaySeconds"] == 600 + 10 + pod_spec.PROBE_MARGIN_SECONDS
    assert (probe["failureThreshold"], probe["httpGet"]["port"]) == (1, main_observer.PROBE_PORT)


def test_a_step_without_a_timeout_has_no_probe() -> None:
    bare = Step(name="check", attempt=1, image="i", command=("c",), params={})

    assert "livenessProbe" not in pod(bare)["containers"][0]


def test_nothing_starts_before_collect_is_closed() -> None:
    [hook] = pod()["initContainers"][0]["lifecycle"]["postStart"].values()

    assert "/flywheel/run/collecting" in hook["command"][-1]


def test_a_job_is_one_attempt_and_its_name_has_the_number() -> None:
    manifest = job.step_job(TOY, STEP, Settings()).manifest

    assert manifest["metadata"]["name"] == f"flights-trial-7-2-{TOY.uid.replace('-', '')[:8]}"
    assert manifest["spec"]["backoffLimit"] == 0
    assert manifest["spec"]["podReplacementPolicy"] == "Failed"
    assert "ttlSecondsAfterFinished" not in manifest["spec"]


def test_the_jobs_own_deadline_is_only_a_backstop() -> None:
    assert job.step_job(TOY, STEP, Settings()).manifest["spec"]["activeDeadlineSeconds"] > 600 + job.GRACE_SECONDS


def test_only_fetch_and_collect_see_the_stores_secret() -> None:
    mounted = {name for name, each in containers().items() if "store" in [m["name"] for m in each["volumeMounts"]]}

    assert mounted == {"fetch", "collect"}
    assert {"name": "store", "secret": {"secretName": "flywheel-store"}} in pod()["volumes"]
    assert "flywheel-store" not in json.dumps([each.get("envFrom", []) for each in containers().values()])


def test_a_foreign_secret_is_mounted_into_fetch_alone() -> None:
    mount = {"name": "source-credentials", "mountPath": "/etc/flywheel/source", "readOnly": True}

    assert {"name": "source-credentials", "secret": {"secretName": "acme"}} in pod()["volumes"]
    assert [name for name, each in containers().items() if mount in each["volumeMounts"]] == ["fetch"]
    assert {"name": "FLYWHEEL_SOURCE_FOLDER", "value": "/etc/flywheel/source"} in containers()["fetch"]["env"]
    assert "acme" not in json.dumps([containers()["collect"], containers()["main"]])


TRACKED = replace(STEP, track=TrackConfig(kind="Experiment", name="delays"))


def test_only_collect_of_a_tracked_step_has_a_token() -> None:
    mounted = [
        each["name"]
        for step in (STEP, TRACKED)
        for each in [*pod(step)["initContainers"], *pod(step)["containers"]]
        if any(mount["name"] == "account" for mount in each["volumeMounts"])
    ]
    projected = [volume for step in (STEP, TRACKED) for volume in pod(step)["volumes"] if "projected" in volume]

    assert mounted == ["collect"]
    assert [volume["name"] for volume in projected] == ["account"]
    assert pod(TRACKED)["automountServiceAccountToken"] is False
    assert pod(TRACKED)["serviceAccountName"] == "flywheel-runner"


def test_collect_has_the_values_that_it_masks_and_main_alone_needs_them() -> None:
    collect = pod(TRACKED)["initContainers"][0]
    mask = {"secretKeyRef": {"name": "hf", "key": "token", "optional": True}}
    config = next(json.loads(each["value"]) for each in collect["env"] if each["name"] == "FLYWHEEL_COLLECT")

    assert {"name": "FLYWHEEL_MASK_0", "valueFrom": mask} in collect["env"]
    assert config["track"]["logs"] == {"maskedVariables": ["FLYWHEEL_MASK_0"]}
    assert not any(each["name"].startswith("FLYWHEEL_MASK") for each in pod(TRACKED)["containers"][0]["env"])


@pytest.mark.parametrize("name", ["collect", "fetch", "main", "watch"])
def test_every_container_is_restricted(name: str) -> None:
    security = containers()[name]["securityContext"]

    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert pod()["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}


def test_main_reads_flywheel_and_writes_outputs_alone() -> None:
    mounts = {each["mountPath"]: each.get("readOnly", False) for each in containers()["main"]["volumeMounts"]}

    assert mounts["/flywheel"] is True
    assert mounts["/flywheel/outputs"] is False
    assert mounts["/flywheel/volumes/more"] is True


def test_fetch_has_the_pods_own_limit() -> None:
    told = {each["name"]: each.get("value") for each in containers()["fetch"]["env"]}

    assert json.loads(told["FLYWHEEL_FETCH"])["limitBytes"] == 1024**3
    assert json.loads(told["FLYWHEEL_PARAMS"]) == {"lr": 0.1}


def test_variables_of_main_are_sorted_and_the_users_win() -> None:
    users = [each for each in containers()["main"]["env"] if each["name"] in ("A", "B")]

    assert users == [
        {"name": "A", "valueFrom": {"secretKeyRef": {"name": "hf", "key": "token"}}},
        {"name": "B", "value": "2"},
    ]


def test_placement_pull_secrets_and_shared_memory_arrive() -> None:
    assert pod()["nodeSelector"] == {"gpu": "a100"}
    assert pod()["tolerations"] == [{"key": "gpu", "operator": "Exists"}]
    assert pod()["priorityClassName"] == "batch"
    assert pod()["imagePullSecrets"] == [{"name": "registry"}]
    assert {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}} in pod()["volumes"]


def test_an_absent_option_is_not_written() -> None:
    bare = Step(name="check", attempt=1, image="i", command=("c",), params={})

    assert not {"nodeSelector", "tolerations", "imagePullSecrets", "priorityClassName"} & pod(bare).keys()
    assert "resources" not in pod(bare)["containers"][0]


def test_collect_requires_every_output_and_gets_what_a_metric_must_reach() -> None:
    keep = {"metric": "roc_auc", "maximize": True, "reach": 0.7}

    [collect] = pod(
        Step(name="trial-1", attempt=1, image="i", command=("c",), params={}, outputs=("model",), keep=keep)
    )["initContainers"]
    config = json.loads(next(each["value"] for each in collect["env"] if each["name"] == "FLYWHEEL_COLLECT"))

    assert config["outputs"] == [{"name": "model", "required": True}]
    assert config["keep"] == keep

"""An upgrade from the build of 22 November with every kind present: nothing moves, nothing restarts, and what begins afterwards obeys the new rules."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import botocore.exceptions
import pytest

import flywheel
from e2e import deploy, earlier_release, kube
from e2e.bad_input import dataset, resource, trial
from e2e.cluster import cluster
from e2e.cluster.progress import Failure
from e2e.manifests import GOOD_ROWS
from e2e.namespace import Namespace, store_account
from e2e.onnx_models import linear
from e2e.reader_access import bind, wait_for_reader
from e2e.traffic import Traffic
from e2e.waiting import wait_until

pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(earlier_release.is_shallow(), reason="this clone has no history; run 'git fetch --unshallow'"),
]

OTHER_TEAM = deploy.TEAMS[1]
SERVICE = "fraud"
PLANTED_ROWS = 424_242
# Goes on until a file says that the upgrade is over.
WAITING_TRAINER = (
    "import pathlib, time; out = pathlib.Path('/flywheel/outputs'); (out / 'model').mkdir(); "
    "[time.sleep(0.2) for _ in iter(pathlib.Path('/tmp/go').exists, True)]; "
    "(out / 'model/model.onnx').write_bytes(b'x'); (out / 'metrics.json').write_text('{\"loss\": 1}')"
)
STEP = "from flywheel_runtime import run; (run.output('data') / 'a.txt').write_text('a'); run.finish({'size': 1})"
UPGRADED_CONFIG_MAP = "flywheel-bound-results"


@dataclass
class Snapshot:
    """What there is of the team: its objects in the store by key and ETag, its servers, and its key of the store."""

    objects: dict[str, str]
    servers: dict[str, tuple[str, int]]
    account: tuple[str, str]


@dataclass
class Upgrade:
    """The team before and after the upgrade, and what the clients of its service saw meanwhile."""

    team: Namespace
    before: Snapshot
    after: Snapshot
    training: str  # the uid of the pod that trained through it
    refusal: str
    failures: dict[str, int] = field(default_factory=dict)
    answers: dict[str, int] = field(default_factory=dict)


def take_snapshot(team: Namespace) -> Snapshot:
    """What there is now."""
    pages = kube.store().get_paginator("list_objects_v2").paginate(Bucket=kube.bucket(), Prefix=f"{team.name}/")
    objects = {each["Key"]: str(each["ETag"]) for page in pages for each in page.get("Contents", [])}
    return Snapshot(objects, servers(team), store_account(team.name))


def servers(team: Namespace) -> dict[str, tuple[str, int]]:
    """The uid of each server and how often its containers restarted."""
    pods = kube.list_objects("pods", team.name, "flywheel.ml/role=server")
    return {
        pod["metadata"]["name"]: (
            pod["metadata"]["uid"],
            sum(each["restartCount"] for each in pod["status"]["containerStatuses"]),
        )
        for pod in pods
    }


def install_earlier_release(team: str) -> None:
    """Replace this checkout's release by that of 22 November, as it came: without a trace of what is newer in the cluster."""
    picked, tags = cluster.chosen(), earlier_release.image_names()
    picked.helm("uninstall", deploy.RELEASE, "--namespace", deploy.NAMESPACE, "--wait", "--ignore-not-found")
    kube.kubectl("--namespace", deploy.NAMESPACE, "delete", "configmap", UPGRADED_CONFIG_MAP, "--ignore-not-found")
    values = deploy.values()
    del values["watchNamespaces"]  # none meant all
    values["images"] = image_values(tags)
    values["namespaces"] = [*deploy.TEAMS, team]
    deploy.install(picked, earlier_release.chart(), values)


def image_values(names: dict[str, str]) -> dict[str, dict[str, str]]:
    """The chart's value `images`."""
    return {short: dict(zip(("repository", "tag"), name.rsplit(":", 1), strict=True)) for short, name in names.items()}


def upgrade_as_a_user_would() -> str:
    """`helm upgrade` to this checkout's chart; what it refuses first, since the value of the namespaces has another meaning now."""
    picked, changed = cluster.chosen(), {"images": deploy.values()["images"]}
    with pytest.raises(Failure) as refused:
        deploy.install(picked, deploy.CHART, changed, "--reset-then-reuse-values")
    deploy.install(picked, deploy.CHART, {**changed, "watchNamespaces": ["*"]}, "--reset-then-reuse-values")
    return str(refused.value)


@pytest.fixture(scope="module")
def team() -> Iterator[Namespace]:
    """A namespace that the chart of 22 November makes for a team; afterwards the installed chart comes back."""
    namespace = Namespace("upgrade")
    namespace.delete()
    install_earlier_release(namespace.name)
    namespace.empty_folder()
    try:
        yield namespace
    finally:
        namespace.delete(wait=False)
        kube.store().delete_object(Bucket=kube.bucket(), Key=f"{OTHER_TEAM}/upgrade/rows.csv")
        deploy.deploy(cluster.chosen())


def every_kind(team: Namespace) -> list[dict[str, Any]]:
    """Resources of every kind, among them two that this build would refuse."""
    model, runtime = linear([1.0, 2.0]), earlier_release.image_names()["runtime"]
    rows = kube.store()
    rows.put_object(Bucket=kube.bucket(), Key=f"{OTHER_TEAM}/upgrade/rows.csv", Body=GOOD_ROWS.encode())
    source = {
        "s3": {"uri": team.upload("fraud-1.onnx", model)},
        "sha256": hashlib.sha256(model).hexdigest(),
    }
    sklearn = {"sklearn": {"estimators": [{"name": "LogisticRegression"}]}}
    scored = {
        "model": SERVICE,
        "input": {"s3": {"uri": team.upload("batch.csv", "id,a,b\n1,1,2\n2,3,4\n")}, "features": ["a", "b"]},
        "output": {"s3": {"uri": f"s3://{kube.bucket()}/{team.name}/scored/"}, "format": "JSONL", "include": ["id"]},
    }
    container = {"image": runtime, "command": ["python3", "-c", STEP], "outputs": ["data"]}
    variable = {"name": "TZ", "value": "Etc/UTC"}  # not in this build's list for servers
    return [
        dataset("rows", team.upload("rows.csv", GOOD_ROWS)),
        dataset("counted", team.upload("counted.csv", GOOD_ROWS)),
        dataset("borrowed", f"s3://{kube.bucket()}/{OTHER_TEAM}/upgrade/rows.csv"),
        resource("Model", SERVICE, {}),
        resource("ModelVersion", "fraud-1", {"model": SERVICE, "source": source}),
        resource("InferenceService", SERVICE, {"model": SERVICE, "auth": {"none": {}}}),
        resource("InferenceService", "zoned", {"model": SERVICE, "auth": {"none": {}}, "env": [variable]}),
        resource("BatchInference", "scored", scored),
        resource("TrainingPipeline", "nightly", {"steps": [{"name": "make", "container": container}]}),
        resource("Experiment", "late", {"dataset": "rows", "trainer": sklearn, "budget": {"maxTrials": 1}, "register": "late"}),
        trial("through", runtime, WAITING_TRAINER),
        trial("evicted", runtime, WAITING_TRAINER),
    ]  # fmt: skip


READY = (
    ("fwds", "rows"), ("fwds", "counted"), ("fwds", "borrowed"), ("fwmodel", SERVICE), ("fwmodel", "late"), ("fwver", "fraud-1"),
    ("fwsvc", SERVICE), ("fwsvc", "zoned"), ("fwbatch", "scored"), ("fwpipe", "nightly"), ("fwrun", "first"), ("fwexp", "late"),
)  # fmt: skip


def plant_result(team: Namespace, name: str) -> None:
    """Write, as the earlier build's collect would, the result of the next check of a Dataset. Every team had the key to do so."""
    found = team.get("fwds", name) or {}
    uid, status = found["metadata"]["uid"], found["status"]
    number = status["check"]["number"]
    folder = f"{team.name}/results/{uid}/check"
    text = kube.store().get_object(Bucket=kube.bucket(), Key=f"{folder}/{number}.json")["Body"].read()
    planted = json.loads(text)
    planted["facts"] |= {"rows": PLANTED_ROWS, "content": f"sha256:{'0' * 64}"}
    kube.store().put_object(Bucket=kube.bucket(), Key=f"{folder}/{number + 1}.json", Body=json.dumps(planted).encode())


def check_again(team: Namespace, name: str) -> int:
    """The number of rows that the next check of a Dataset reports."""
    number = (team.get("fwds", name) or {})["status"]["check"]["number"]
    team.kubectl("annotate", "fwds", name, "flywheel.ml/check-requested=after-the-upgrade")

    def done() -> dict[str, Any] | None:
        status: dict[str, Any] = (team.get("fwds", name) or {})["status"]
        return status if status["check"]["number"] > number and status["check"]["result"] == "Passed" else None

    return int(wait_until(done, 120, lambda: str(team.get("fwds", name)))["rows"])


def finish_training(team: Namespace, name: str, pod: str) -> str:
    """Let a waiting trainer end, and return the Job of its trial."""
    team.kubectl("exec", pod, "--container", "main", "--", "touch", "/tmp/go")
    team.wait("fwexp", name)
    return str((team.get("fwexp", name) or {})["status"]["best"]["job"])


@pytest.fixture(scope="module")
def upgrade(team: Namespace) -> Upgrade:
    """The upgrade, with clients of a service and a training that go on meanwhile."""
    team.apply(*every_kind(team))
    team.wait("fwpipe", "nightly", reason="Live")
    team.apply(resource("TrainingRun", "first", {"pipeline": "nightly"}))
    for kind, name in READY:
        team.wait(kind, name, seconds=240)
    [training] = kube.list_objects("pods", team.name, "flywheel.ml/name=through")
    team.running_pod("evicted")
    plant_result(team, "counted")
    before = take_snapshot(team)
    with (
        kube.port_forward(f"service/{SERVICE}", 8080, team.name) as port,
        Traffic(port, SERVICE, [1.0, 1.0], clients=2) as clients,
    ):
        refusal = upgrade_as_a_user_would()
        for kind, name in READY:
            team.wait(kind, name)
        after = take_snapshot(team)
    return Upgrade(
        team, before, after, training["metadata"]["uid"], refusal, dict(clients.failures), dict(clients.answers)
    )


def test_it_is_refused_until_the_values_name_the_namespaces(upgrade: Upgrade) -> None:
    assert "set watchNamespaces={*} to go on" in upgrade.refusal


def test_no_object_of_the_store_moves(upgrade: Upgrade) -> None:
    assert len(upgrade.before.objects) > 20
    assert upgrade.before.objects.items() <= upgrade.after.objects.items()


def test_no_server_restarts_and_every_request_is_answered(upgrade: Upgrade) -> None:
    assert len(upgrade.before.servers) == 2
    assert upgrade.after.servers == upgrade.before.servers
    assert (upgrade.failures, set(upgrade.answers)) == ({}, {"fraud-1: 3.0"})
    assert sum(upgrade.answers.values()) > 100


def test_the_team_has_a_key_of_its_own_for_its_folder_alone(upgrade: Upgrade) -> None:
    name = upgrade.team.name
    assert upgrade.before.account[0] == "flywheel"  # the root account, which each team had
    assert upgrade.after.account[0] == f"{name}.1"

    client = kube.store(upgrade.after.account)
    assert client.list_objects_v2(Bucket=kube.bucket(), Prefix=f"{name}/")["KeyCount"] > 0
    with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
        client.list_objects_v2(Bucket=kube.bucket(), Prefix=f"{OTHER_TEAM}/")


def test_a_training_that_went_on_ends_as_it_began(upgrade: Upgrade) -> None:
    team = upgrade.team
    [pod] = kube.list_objects("pods", team.name, "flywheel.ml/name=through")
    assert pod["metadata"]["uid"] == upgrade.training
    assert [each["name"] for each in pod["spec"]["containers"]] == ["main"]  # a pod of today would have watch

    assert finish_training(team, "through", pod["metadata"]["name"]).startswith("through-trial-1-1-")


def test_a_pod_that_a_job_of_before_starts_afterwards_obeys_its_rules_with_the_new_key(upgrade: Upgrade) -> None:
    team = upgrade.team
    first = team.running_pod("evicted")
    team.evict(first)

    second = team.running_pod("evicted", other_than=first)

    assert finish_training(team, "evicted", second).startswith("evicted-trial-1-1-")  # the Job of before


def test_a_result_of_before_counts(upgrade: Upgrade) -> None:
    assert check_again(upgrade.team, "counted") == PLANTED_ROWS


def test_the_same_result_does_not_count_if_it_is_written_after_the_upgrade(upgrade: Upgrade) -> None:
    plant_result(upgrade.team, "rows")

    assert check_again(upgrade.team, "rows") == 300


def test_a_service_that_the_new_rules_refuse_goes_on_and_says_so(upgrade: Upgrade) -> None:
    condition = upgrade.team.wait("fwsvc", "zoned", reason="EnvNotAllowed")

    assert "TZ" in condition["message"]
    assert any(name.startswith("zoned-") for name in upgrade.after.servers)


def test_data_that_the_new_rules_refuse_stays_and_says_so_at_the_next_check(upgrade: Upgrade) -> None:
    team = upgrade.team
    version = (team.get("fwds", "borrowed") or {})["status"]["version"]
    team.kubectl("annotate", "fwds", "borrowed", "flywheel.ml/check-requested=after-the-upgrade")

    condition = team.wait("fwds", "borrowed", reason="SourceNotAllowed")

    assert version in condition["message"]
    assert (team.get("fwds", "borrowed") or {})["status"]["version"] == version


def test_a_trial_that_was_tracked_by_the_last_build_is_read_through_the_reader(
    upgrade: Upgrade, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(cluster.chosen().kubeconfig))
    bind(upgrade.team, "scientist", "flywheel-view")
    workspace = flywheel.connect(upgrade.team.name, service_account="scientist")
    wait_for_reader(workspace)

    [record] = workspace.trials(experiment="late").records

    assert (record["recorded"], record["state"], record["trial"]) == (False, "Succeeded", 1)
    assert record["estimator"] == "LogisticRegression"
    assert record["metrics"]["roc_auc"] > 0.5


def test_new_work_is_done_with_the_new_key(upgrade: Upgrade) -> None:
    team = upgrade.team
    sklearn = {"sklearn": {"estimators": [{"name": "LogisticRegression"}]}}
    team.apply(
        dataset("newer", team.upload("newer.csv", GOOD_ROWS)),
        resource("Experiment", "newer", {"dataset": "newer", "trainer": sklearn, "budget": {"maxTrials": 1}, "register": "late"}),
    )  # fmt: skip

    team.wait("fwexp", "newer", seconds=180)

    keys = set(take_snapshot(team).objects) - set(upgrade.after.objects)
    uid = (team.get("fwds", "newer") or {})["metadata"]["uid"]
    assert any(key.startswith(f"{team.name}/results/{uid}/check/1/") for key in keys)  # bound to its Job

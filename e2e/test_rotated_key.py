"""The keys of the store are rotated while a training runs: it goes on, nothing restarts, and in the end the old key opens nothing."""

import json
from collections.abc import Iterator
from typing import Any

import botocore.exceptions
import pytest

from e2e import deploy, kube
from e2e.bad_input import dataset, slow_trainer, trial
from e2e.cluster import cluster
from e2e.manifests import GOOD_ROWS
from e2e.namespace import store_account
from e2e.waiting import wait_until

pytestmark = pytest.mark.alone

TENANT = deploy.TEAMS[1]
LONG_SECONDS = 100  # enough for the kubelet to bring the new key into the running pod


def upgrade(generation: int) -> None:
    """Upgrade the release to that generation of keys, and wait for the store."""
    values = deploy.values()
    values["store"]["embedded"]["keyGeneration"] = generation
    picked = cluster.chosen()
    words = ("upgrade", deploy.RELEASE, str(deploy.CHART), "--namespace", deploy.NAMESPACE, "--values", "-")
    picked.helm(*words, given=json.dumps(values))
    deploy.wait_for_deployment(picked, "flywheel-store")


@pytest.fixture
def rows() -> Iterator[None]:
    """The tenant's data; afterwards the installed chart comes back."""
    key = f"{TENANT}/rotated-key/rows.csv"
    kube.store().put_object(Bucket=kube.bucket(), Key=key, Body=GOOD_ROWS.encode())
    kube.apply(dataset("rows", f"s3://{kube.bucket()}/{key}"), TENANT)
    wait("fwds", "rows", 120)
    try:
        yield
    finally:
        kube.kubectl("--namespace", TENANT, "delete", "fwexp,fwds", "--all", "--wait=false")
        kube.store().delete_object(Bucket=kube.bucket(), Key=key)
        deploy.deploy(cluster.chosen())


def wait(kind: str, name: str, seconds: float) -> None:
    def ready() -> bool:
        return kube.condition(kube.get(kind, name, TENANT)).get("status") == "True"

    wait_until(ready, seconds, lambda: f"{kind}/{name}: {kube.condition(kube.get(kind, name, TENANT))}")


def status_of_list(key: tuple[str, str]) -> int:
    """The HTTP status with which the store responds to a request for the tenant's objects."""
    client = kube.store(key)
    try:
        response: dict[str, Any] = client.list_objects_v2(Bucket=kube.bucket(), Prefix=f"{TENANT}/")
    except botocore.exceptions.ClientError as error:
        response = error.response
    return int(response["ResponseMetadata"]["HTTPStatusCode"])


def wait_for_statuses(expected: dict[tuple[str, str], tuple[int, ...]]) -> None:
    """Wait until the store responds to each account with one of these statuses."""

    def found() -> dict[str, int]:
        return {key[0]: status_of_list(key) for key in expected}

    wait_until(lambda: all(status_of_list(key) in codes for key, codes in expected.items()), 60, lambda: str(found()))


def training_pod() -> dict[str, Any] | None:
    """The pod whose training runs, or None. A pod that still fetches its data may meet the store between two keys, and is tried again."""
    for pod in kube.list_objects("pods", TENANT, "flywheel.ml/name=rotated"):
        containers = pod["status"].get("containerStatuses") or []
        if any(each["name"] == "main" and "running" in each["state"] for each in containers):
            return pod
    return None


def test_a_training_goes_on_with_the_new_key(rows: None, image: str) -> None:
    first = store_account(TENANT)
    kube.apply(trial("rotated", image, slow_trainer(LONG_SECONDS)), TENANT)
    pod = wait_until(training_pod, 60)

    upgrade(2)
    second = store_account(TENANT)
    wait_for_statuses({first: (200,), second: (200,)})
    upgrade(3)
    third = store_account(TENANT)
    # versitygw responds 404 for an account that it does not know.
    wait_for_statuses({first: (403, 404), second: (200,), third: (200,)})

    wait("fwexp", "rotated", 240)
    pods = kube.list_objects("pods", TENANT, "flywheel.ml/name=rotated")
    assert [each["metadata"]["uid"] for each in pods] in ([pod["metadata"]["uid"]], [])
    best = (kube.get("fwexp", "rotated", TENANT) or {})["status"]["best"]
    assert best["job"].startswith("rotated-trial-1-1-")  # the first attempt

"""The keys of the store are rotated while a training runs: it goes on, nothing restarts, and in the end the old key opens nothing."""

import json
from collections.abc import Iterator
from typing import Any

import botocore.exceptions
import pytest

from e2e import deploy, kube
from e2e.bad_input import dataset, password, trial
from e2e.cluster import cluster
from e2e.manifests import GOOD_ROWS
from e2e.namespace import STORE_SECRET
from e2e.waiting import wait_until

pytestmark = pytest.mark.alone

TENANT = deploy.TEAMS[1]
# Long enough for the kubelet to bring the new key into the running pod.
LONG = "import pathlib, time; time.sleep(100); out = pathlib.Path('/flywheel/outputs'); (out / 'model').mkdir(exist_ok=True); (out / 'model/model.onnx').write_bytes(b'x'); (out / 'metrics.json').write_text('{\"loss\": 1}')"


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


def account() -> tuple[str, str]:
    """The account of the tenant's Secret and its key."""
    secret = kube.get("secret", STORE_SECRET, TENANT) or {}
    return password(secret, "AWS_ACCESS_KEY_ID"), password(secret, "AWS_SECRET_ACCESS_KEY")


def status_of_list(key: tuple[str, str]) -> int:
    """The HTTP status with which the store responds to a request for the tenant's objects."""
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=kube.store_environment()["AWS_ENDPOINT_URL"],
        aws_access_key_id=key[0],
        aws_secret_access_key=key[1],
        region_name="us-east-1",
    )
    try:
        response: dict[str, Any] = client.list_objects_v2(Bucket=kube.bucket(), Prefix=f"{TENANT}/")
    except botocore.exceptions.ClientError as error:
        response = error.response
    except botocore.exceptions.ConnectionError:
        return 0  # the node's port does not lead to the new pod yet
    return int(response["ResponseMetadata"]["HTTPStatusCode"])


def wait_for_statuses(expected: dict[tuple[str, str], tuple[int, ...]]) -> None:
    """Wait until the store responds to each account with one of these statuses."""

    def found() -> dict[str, int]:
        return {key[0]: status_of_list(key) for key in expected}

    wait_until(lambda: all(status_of_list(key) in codes for key, codes in expected.items()), 60, lambda: str(found()))


def test_a_training_goes_on_with_the_new_key(rows: None) -> None:
    image = next(
        each["value"]
        for each in (kube.get("deployment", "flywheel-operator", deploy.NAMESPACE) or {})["spec"]["template"]["spec"][
            "containers"
        ][0]["env"]
        if each["name"] == "FLYWHEEL_RUNTIME_IMAGE"
    )
    first = account()
    kube.apply(trial("rotated", image, LONG), TENANT)
    [pod] = wait_until(lambda: kube.list_objects("pods", TENANT, "flywheel.ml/name=rotated"), 60)

    upgrade(2)
    second = account()
    wait_for_statuses({first: (200,), second: (200,)})
    upgrade(3)
    third = account()
    # versitygw responds 404 for an account that it does not know.
    wait_for_statuses({first: (403, 404), second: (200,), third: (200,)})

    wait("fwexp", "rotated", 240)
    pods = kube.list_objects("pods", TENANT, "flywheel.ml/name=rotated")
    assert [each["metadata"]["uid"] for each in pods] in ([pod["metadata"]["uid"]], [])
    trials = (kube.get("fwexp", "rotated", TENANT) or {})["status"]["trials"]
    assert json.dumps(trials).count('"attempt": 2') == 0

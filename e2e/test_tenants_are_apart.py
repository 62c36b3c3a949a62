"""Two tenants in one store: what belongs to one, the other can neither read, list, change nor forge, by a resource or by its key."""

import base64
from collections.abc import Iterator
from typing import Any

import botocore.exceptions
import pytest

from e2e import kube
from e2e.bad_input import dataset, resource
from e2e.deploy import TEAMS
from e2e.manifests import GOOD_ROWS
from e2e.namespace import STORE_SECRET
from e2e.waiting import wait_until

VICTIM, TENANT = TEAMS
SECRET_KEY = f"{VICTIM}/tenants-are-apart/salaries.csv"
NAMES = ("by-uri", "by-dots", "own")


@pytest.fixture(scope="module", autouse=True)
def objects() -> Iterator[None]:
    """An object of each tenant, and none of either afterwards."""
    store, bucket = kube.store(), kube.bucket()
    keys = (SECRET_KEY, f"{TENANT}/tenants-are-apart/rows.csv")
    for key in keys:
        store.put_object(Bucket=bucket, Key=key, Body=GOOD_ROWS.encode())
    yield
    for key in keys:
        store.delete_object(Bucket=bucket, Key=key)
    kube.kubectl("--namespace", TENANT, "delete", "fwds,fwbatch", "--all", "--wait=false")


def ready(kind: str, name: str, reason: str) -> dict[str, Any]:
    """The condition Ready of the tenant's resource, once it has that reason."""

    def found() -> dict[str, Any] | None:
        condition = kube.condition(kube.get(kind, name, TENANT))
        return condition if condition.get("reason") == reason else None

    return wait_until(found, 120, lambda: f"{kind}/{name}: {kube.condition(kube.get(kind, name, TENANT))}")


@pytest.fixture(scope="module")
def tenant() -> Any:
    """A client of the store with the key that the tenant's pods have."""
    import boto3

    secret = kube.get("secret", STORE_SECRET, TENANT) or {}
    key, value = (
        base64.b64decode(secret["data"][name]).decode() for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    )
    return boto3.client(
        "s3",
        endpoint_url=kube.store_environment()["AWS_ENDPOINT_URL"],
        aws_access_key_id=key,
        aws_secret_access_key=value,
        region_name="us-east-1",
    )


@pytest.mark.parametrize(
    ("name", "key"), [("by-uri", SECRET_KEY), ("by-dots", f"{TENANT}/../{SECRET_KEY}")], ids=["its key", "two dots"]
)
def test_a_dataset_of_anothers_folder_is_refused_before_a_pod_starts(name: str, key: str) -> None:
    kube.apply(dataset(name, f"s3://{kube.bucket()}/{key}"), TENANT)

    condition = ready("fwds", name, "SourceNotAllowed")

    assert f"s3://{kube.bucket()}/{TENANT}/" in condition["message"]
    assert kube.list_objects("jobs", TENANT, f"flywheel.ml/name={name}") == []


def test_a_batch_does_not_write_into_anothers_folder() -> None:
    spec = {
        "version": "absent",
        "input": {"s3": {"uri": f"s3://{kube.bucket()}/{TENANT}/tenants-are-apart/"}},
        "output": {"s3": {"uri": f"s3://{kube.bucket()}/{VICTIM}/results/"}},
    }
    kube.apply(resource("BatchInference", "forges", spec), TENANT)

    condition = ready("fwbatch", "forges", "OutputNotAllowed")

    assert f"s3://{kube.bucket()}/{TENANT}/" in condition["message"]
    assert kube.list_objects("jobs", TENANT, "flywheel.ml/name=forges") == []


def test_the_own_folder_is_read() -> None:
    kube.apply(dataset("own", f"s3://{kube.bucket()}/{TENANT}/tenants-are-apart/rows.csv"), TENANT)

    assert ready("fwds", "own", "Checked")["status"] == "True"


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("get_object", {"Key": SECRET_KEY}),
        ("head_object", {"Key": SECRET_KEY}),
        ("put_object", {"Key": f"{VICTIM}/results/uid/check/1.json", "Body": b"{}"}),
        ("delete_object", {"Key": SECRET_KEY}),
        ("list_objects_v2", {"Prefix": f"{VICTIM}/"}),
        ("list_objects_v2", {"Prefix": ""}),
        ("get_bucket_policy", {}),
    ],
)
def test_the_tenants_key_opens_nothing_of_anothers(tenant: Any, operation: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        getattr(tenant, operation)(Bucket=kube.bucket(), **arguments)

    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert kube.store().get_object(Bucket=kube.bucket(), Key=SECRET_KEY)["Body"].read() == GOOD_ROWS.encode()


def test_no_team_has_the_root_key() -> None:
    root = kube.get("secret", "flywheel-store-server", "flywheel-system") or {}

    for team in TEAMS:
        secret = kube.get("secret", STORE_SECRET, team) or {}
        assert secret["data"]["AWS_SECRET_ACCESS_KEY"] != root["data"]["ROOT_SECRET_KEY"]
        assert base64.b64decode(secret["data"]["AWS_ACCESS_KEY_ID"]).decode().startswith(f"{team}.")

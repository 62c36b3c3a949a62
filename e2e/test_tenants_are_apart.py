"""Two tenants in one store: what belongs to one, the other can neither read, list, change nor forge, by a resource or by its key."""

from collections.abc import Iterator
from typing import Any

import botocore.exceptions
import pytest

from e2e import kube
from e2e.bad_input import dataset, resource
from e2e.deploy import TEAMS
from e2e.manifests import GOOD_ROWS
from e2e.namespace import ROOT_SECRET, store_account
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
    return kube.store(store_account(TENANT))


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
    root = kube.secret_values(ROOT_SECRET, "flywheel-system")

    for team in TEAMS:
        key_id, secret = store_account(team)
        assert secret != root["ROOT_SECRET_KEY"]
        assert key_id.startswith(f"{team}.")

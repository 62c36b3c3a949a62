"""The reader in the chart: its rights, its keys of the store, and that it can be left out."""

import json
from typing import Any

import pytest
import yaml

from tests.rendered_chart import CHART, KEY, one, template

pytestmark = pytest.mark.apiserver  # helm is one of the Go programs that this floor builds

TEAMS = ("--set", "namespaces={shop,bakery}")
EXTERNAL = ("--set", "store.embedded.enabled=false", "--set", "store.endpoint=https://s3.example.org")


def reader_objects(*values: str) -> dict[tuple[str, str, str], dict[str, Any]]:
    """By kind, namespace and name."""
    found = template(*KEY, *values)
    ours = [each for each in found if each["metadata"]["name"].startswith(("flywheel-reader", "flywheel-data-reader"))]
    return {(each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]): each for each in ours}


@pytest.mark.parametrize(
    ("kind", "namespace", "name", "table"),
    [
        ("ClusterRole", "", "flywheel-reader-reviews", "readerReviews"),
        ("Role", "shop", "flywheel-reader", "reader"),
        ("Role", "flywheel-system", "flywheel-reader-proxy", "readerProxy"),
        ("ClusterRole", "", "flywheel-data-reader", "dataReader"),
    ],
)
def test_rights_are_the_generated_ones(kind: str, namespace: str, name: str, table: str) -> None:
    generated = yaml.safe_load((CHART / "files" / "rules.yaml").read_text())

    assert reader_objects(*TEAMS)[kind, namespace, name]["rules"] == generated[table]


def test_read_data_is_in_no_role_that_others_include() -> None:
    for each in template(*KEY, *TEAMS):
        if each["kind"] in ("Role", "ClusterRole") and each["metadata"]["name"] != "flywheel-data-reader":
            assert "read-data" not in json.dumps(each)
    labels = reader_objects(*TEAMS)["ClusterRole", "", "flywheel-data-reader"]["metadata"]["labels"]
    assert not [name for name in labels if "aggregate" in name]


@pytest.mark.parametrize(
    ("watched", "secrets"),
    [
        ((), {"flywheel-reader-store-bakery", "flywheel-reader-store-shop"}),
        (
            ("--set", "watchNamespaces={*}"),
            {"flywheel-reader-store", "flywheel-reader-store-bakery", "flywheel-reader-store-shop"},
        ),
    ],
    ids=["named namespaces", "all namespaces"],
)
def test_each_namespace_has_a_key_of_the_reader_that_only_reads(watched: tuple[str, ...], secrets: set[str]) -> None:
    objects = template(*KEY, *TEAMS, *watched)
    found = reader_objects(*TEAMS, *watched)
    keys = {name: each["stringData"] for (kind, _, name), each in found.items() if kind == "Secret"}
    policy = json.loads(one(objects, "ConfigMap", "flywheel-store-policy")["data"]["policy.json"])

    assert set(keys) == secrets
    for name, values in keys.items():
        account = values["AWS_ACCESS_KEY_ID"]
        statements = [each for each in policy["Statement"] if account in each["Principal"]["AWS"]]
        assert sorted(action for each in statements for action in each["Action"]) == ["s3:GetObject", "s3:ListBucket"]
        folder = name.removeprefix("flywheel-reader-store").removeprefix("-")
        resource = next(each["Resource"] for each in statements if each["Action"] == ["s3:GetObject"])
        assert resource == [f"arn:aws:s3:::flywheel/{folder}{'/' if folder else ''}*"]


def test_an_external_store_has_the_keys_of_the_values_or_none() -> None:
    values = (
        *EXTERNAL,
        "--set",
        "reader.store.namespaces.shop.accessKey=AKIAREAD",
        "--set",
        "reader.store.namespaces.shop.secretKey=x",
    )
    keys = ("--set", "store.namespaces.shop.accessKey=AKIAWRITE", "--set", "store.namespaces.shop.secretKey=y")
    found = reader_objects(*TEAMS, *values, *keys)

    shop = found["Secret", "flywheel-system", "flywheel-reader-store-shop"]["stringData"]
    bakery = found["Secret", "flywheel-system", "flywheel-reader-store-bakery"]["stringData"]
    assert (shop["AWS_ACCESS_KEY_ID"], shop["AWS_ENDPOINT_URL"]) == ("AKIAREAD", "https://s3.example.org")
    assert "AWS_ACCESS_KEY_ID" not in bakery  # its workload identity


def test_the_volume_has_a_folder_for_each_secret_that_is_there_or_comes_later() -> None:
    pod = reader_objects(*TEAMS)["Deployment", "flywheel-system", "flywheel-reader"]["spec"]["template"]["spec"]
    sources = next(each for each in pod["volumes"] if each["name"] == "stores")["projected"]["sources"]

    folders = {each["secret"]["name"]: each["secret"]["items"][0]["path"].partition("/")[0] for each in sources}
    assert folders == {
        "flywheel-reader-store-shop": "shop",
        "flywheel-reader-store-bakery": "bakery",
        "flywheel-reader-store": "_all",
    }
    assert all(each["secret"]["optional"] for each in sources)


@pytest.mark.parametrize(
    ("value", "gone"),
    [
        ("reader.enabled=false", {"Deployment", "Service", "ServiceAccount", "Secret", "ClusterRole"}),
        ("reader.store.createSecrets=false", {"Secret"}),
    ],
)
def test_it_can_be_left_out(value: str, gone: set[str]) -> None:
    found = {kind for kind, _, _ in reader_objects(*TEAMS, "--set", value)}

    assert not found & gone
    if value == "reader.enabled=false":
        assert found == set()
        accounts = one(template(*KEY, *TEAMS, "--set", value), "Secret", "flywheel-store-accounts")
        assert ".reader." not in accounts["stringData"]["users.json"]


def test_access_through_the_api_server_can_be_withheld() -> None:
    kinds = reader_objects(*TEAMS, "--set", "reader.proxyAccess=false")

    assert ("Role", "flywheel-system", "flywheel-reader-proxy") not in kinds

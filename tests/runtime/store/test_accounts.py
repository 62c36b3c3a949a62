"""The accounts and the policy that the chart writes, in the store that it runs: each namespace has its own folder alone."""

import json
import subprocess
from collections.abc import Callable, Iterator

import pytest
import yaml

from e2e.cluster import golang
from e2e.cluster.paths import CHECKOUT
from flywheel_runtime.contract.errors import AccessDenied, ObjectMissing, PreconditionFailed
from flywheel_runtime.store.access import Access
from flywheel_runtime.store.s3 import Bucket
from tests.runtime.s3_server import KEY, SECRET, Server, running

pytestmark = pytest.mark.integration  # the other side is a real S3 server

Open = Callable[[str], Bucket]


def rendered(*values: str) -> dict[str, dict[str, str]]:
    """The data of each Secret and ConfigMap of the chart, by namespace and name."""
    words = (
        "template",
        "flywheel",
        str(CHECKOUT / "charts/flywheel"),
        "--namespace",
        "system",
        "--set",
        "crds.install=false",
    )
    settings = [word for value in values for word in ("--set", value)]
    text = subprocess.run(
        [golang.build(golang.HELM), *words, *settings], capture_output=True, text=True, check=True
    ).stdout
    found = [each for each in yaml.safe_load_all(text) if each and each["kind"] in ("Secret", "ConfigMap")]
    return {
        f"{each['metadata']['namespace']}/{each['metadata']['name']}": each.get("stringData") or each.get("data", {})
        for each in found
    }


@pytest.fixture(scope="module")
def chart() -> dict[str, dict[str, str]]:
    return rendered(
        "namespaces={shop,shop-2}", "store.readable={s3://flywheel/public/}", "store.embedded.keyGeneration=2"
    )


@pytest.fixture(scope="module")
def server(chart: dict[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("accounts")
    (folder / "iam").mkdir()
    (folder / "iam" / "users.json").write_text(chart["system/flywheel-store-accounts"]["users.json"])
    (folder / "metadata" / "flywheel" / "meta").mkdir(parents=True)
    policy = chart["system/flywheel-store-policy"]["policy.json"]
    (folder / "metadata" / "flywheel" / "meta" / "policy").write_text(policy)
    (folder / "buckets" / "flywheel").mkdir(parents=True)
    with running(folder, folder / "iam") as found:
        yield found


@pytest.fixture(scope="module")
def open_as(chart: dict[str, dict[str, str]], server: Server) -> Open:
    """The bucket, as the pods of a namespace open it, or as `root`, or with the `shop.1` of the generation before."""
    users = json.loads(chart["system/flywheel-store-accounts"]["users.json"])["accessAccounts"]

    def open_as(who: str) -> Bucket:
        data = chart.get(f"{who}/flywheel-store", {})
        key = data.get("AWS_ACCESS_KEY_ID", who)
        secret = data.get("AWS_SECRET_ACCESS_KEY") or users.get(who, {}).get("secret", "")
        if who == "root":
            key, secret = KEY, SECRET
        return Bucket(Access("flywheel", server.endpoint, "us-east-1", key, secret, None))

    return open_as


def test_a_namespace_does_all_its_work_in_its_own_folder(open_as: Open) -> None:
    shop = open_as("shop")
    shop.put("shop/a", b"a")
    shop.put("shop/once", b"1", only_new=True)
    with pytest.raises(PreconditionFailed):
        shop.put("shop/once", b"2", only_new=True)
    upload = shop.create_multipart("shop/big")
    etags = [shop.upload_part("shop/big", upload, number, b"x" * (5 << 20)) for number in (1, 2)]
    shop.complete_multipart("shop/big", upload, etags)
    shop.abort_multipart("shop/other", shop.create_multipart("shop/other"))

    assert (shop.get("shop/a", limit=9), shop.head("shop/big").size) == (b"a", 10 << 20)
    assert [each.key for each in shop.list("shop/")] == ["shop/a", "shop/big", "shop/once"]
    with pytest.raises(ObjectMissing):
        shop.get("shop/absent", limit=9)
    shop.delete("shop/a")
    assert not shop.exists("shop/a", 1)


@pytest.mark.parametrize(
    "attempt",
    [
        pytest.param(lambda bucket: bucket.get("shop/secret", limit=9), id="read"),
        pytest.param(lambda bucket: bucket.head("shop/secret"), id="measure"),
        pytest.param(lambda bucket: bucket.put("shop/secret", b"forged"), id="write"),
        pytest.param(
            lambda bucket: bucket.put("shop/results/uid/check/1.json", b"{}", only_new=True), id="plant a result"
        ),
        pytest.param(lambda bucket: bucket.delete("shop/secret"), id="delete"),
        pytest.param(lambda bucket: bucket.create_multipart("shop/secret"), id="begin an upload"),
        pytest.param(lambda bucket: list(bucket.list("shop/")), id="list"),
        pytest.param(lambda bucket: list(bucket.list("")), id="list all"),
        pytest.param(lambda bucket: bucket.get("shop-2/../shop/secret", limit=9), id="read through dots"),
        pytest.param(lambda bucket: bucket.put("public/x", b"forged"), id="write what all may read"),
    ],
)
def test_another_namespace_does_none_of_it_there(attempt: Callable[[Bucket], object], open_as: Open) -> None:
    open_as("root").put("shop/secret", b"secret")

    with pytest.raises(AccessDenied):
        attempt(open_as("shop-2"))

    assert open_as("root").get("shop/secret", limit=9) == b"secret"


def test_what_all_may_read_is_read_by_each(open_as: Open) -> None:
    open_as("root").put("public/table.csv", b"x")

    for who in ("shop", "shop-2", "shop.1"):
        assert open_as(who).get("public/table.csv", limit=9) == b"x"
        assert [each.key for each in open_as(who).list("public/")] == ["public/table.csv"]


def test_the_key_before_the_rotated_one_is_still_good(open_as: Open) -> None:
    open_as("shop.1").put("shop/late", b"of a pod in flight")

    assert open_as("shop").get("shop/late", limit=99) == b"of a pod in flight"


@pytest.mark.parametrize("account", ["shop.reader.2", "shop.reader.1"], ids=["the newest", "of the generation before"])
def test_the_readers_account_reads_and_lists_its_folder(account: str, open_as: Open) -> None:
    open_as("root").put("shop/row", b"x")
    reader = open_as(account)

    assert reader.get("shop/row", limit=9) == b"x"
    assert "shop/row" in [each.key for each in reader.list("shop/")]
    with pytest.raises(ObjectMissing):
        reader.get("shop/absent", limit=9)


@pytest.mark.parametrize("account", ["shop.reader.2", "shop-2.reader.2", "reader.all.2"])
@pytest.mark.parametrize(
    "attempt",
    [
        pytest.param(lambda bucket: bucket.put("shop/row", b"forged"), id="write"),
        pytest.param(lambda bucket: bucket.put("shop/tracking/log/1.json", b"{}", only_new=True), id="plant a record"),
        pytest.param(lambda bucket: bucket.delete("shop/row"), id="delete"),
        pytest.param(lambda bucket: bucket.create_multipart("shop/row"), id="begin an upload"),
        pytest.param(lambda bucket: list(bucket.list("")), id="list all"),
        pytest.param(lambda bucket: bucket.get("public/../shop-3/row", limit=9), id="read through dots"),
    ],
)
def test_the_readers_account_does_nothing_else(
    attempt: Callable[[Bucket], object], account: str, open_as: Open
) -> None:
    open_as("root").put("shop/row", b"x")

    with pytest.raises(AccessDenied):
        attempt(open_as(account))

    assert open_as("root").get("shop/row", limit=9) == b"x"


@pytest.mark.parametrize("account", ["shop-2.reader.2", "reader.all.2"])
def test_the_readers_account_reads_no_other_folder(account: str, open_as: Open) -> None:
    """`reader.all` exists where the operator watches all namespaces alone."""
    open_as("root").put("shop/row", b"x")

    with pytest.raises(AccessDenied):
        open_as(account).get("shop/row", limit=9)

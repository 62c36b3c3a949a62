"""The installation's credentials: for which places they are used, and how their Secret is read."""

import json
from pathlib import Path
from typing import Any

import pytest

from flywheel_runtime.audit import records
from flywheel_runtime.contract.errors import Failure, SecretIncomplete
from flywheel_runtime.contract.paths import Attempt
from flywheel_runtime.store.credentials import read_store_secret, store_access
from flywheel_runtime.store.installation import RESERVED_FOLDERS, is_inside, open_readable, open_writable

ENV = {
    "FLYWHEEL_BUCKET": "flywheel",
    "FLYWHEEL_NAMESPACE": "shop",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_ACCESS_KEY_ID": "shop",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "FLYWHEEL_READABLE": "s3://flywheel/public/ s3://reference/",
}

# The operator has the same rule before a pod starts, and reads the same document (tests/core/pods/test_store_access.py).
PLACES = json.loads((Path(__file__).parents[2] / "contracts" / "store" / "places.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("place", PLACES, ids=[each["case"] for each in PLACES])
def test_a_place_is_inside_a_folder_by_whole_parts_of_its_key(place: dict[str, Any]) -> None:
    assert is_inside(place["uri"], place["folder"]) is place["inside"]


@pytest.mark.parametrize("uri", ["s3://flywheel/shop/raw/", "s3://flywheel/public/a.csv", "s3://reference/a/b.csv"])
def test_the_own_folder_and_those_of_all_are_read(uri: str) -> None:
    assert open_readable(uri, ENV).access.bucket == uri.split("/")[2]


@pytest.mark.parametrize("uri", ["s3://flywheel/bakery/a.csv", "s3://flywheel/a.csv", "s3://elsewhere/shop/a.csv"])
def test_other_places_are_not_read(uri: str) -> None:
    with pytest.raises(Failure) as failed:
        open_readable(uri, ENV)

    assert failed.value.reason == "SourceNotAllowed"
    assert uri in failed.value.message
    assert "s3://flywheel/shop/" in failed.value.message
    assert "s3://flywheel/public/" in failed.value.message


def test_a_prefix_of_the_installation_comes_before_the_namespace() -> None:
    prefixed = {**ENV, "FLYWHEEL_PREFIX": "/ml/"}

    open_readable("s3://flywheel/ml/shop/a.csv", prefixed)
    with pytest.raises(Failure):
        open_readable("s3://flywheel/shop/a.csv", prefixed)


@pytest.mark.parametrize("below", ["shop/out/", "shop/results-of-may/"])
def test_outputs_are_written_into_the_own_folder(below: str) -> None:
    open_writable(f"s3://flywheel/{below}", ENV)


@pytest.mark.parametrize(
    "uri",
    [
        "s3://flywheel/public/out/",
        "s3://reference/out/",
        *(f"s3://flywheel/shop/{name}/x/" for name in RESERVED_FOLDERS),
    ],
)
def test_outputs_are_written_nowhere_else(uri: str) -> None:
    with pytest.raises(Failure) as failed:
        open_writable(uri, ENV)

    assert failed.value.reason == "OutputNotAllowed"


def test_every_folder_of_the_products_own_is_reserved() -> None:
    attempt = Attempt("shop", "uid", "train", "1")

    keys = (attempt.result_key, attempt.checkpoint_key, records.records_folder("delay"))

    assert {key.partition("/")[0] for key in keys} <= set(RESERVED_FOLDERS)


@pytest.mark.parametrize(
    ("change", "reason", "finding"),
    [
        pytest.param({"FLYWHEEL_BUCKET": ""}, "BucketMissing", "has no FLYWHEEL_BUCKET", id="no bucket"),
        pytest.param(
            {"AWS_SECRET_ACCESS_KEY": ""}, "StoreSecretIncomplete", "no AWS_SECRET_ACCESS_KEY", id="half a pair"
        ),
        pytest.param({"AWS_ACCESS_KEY_ID": " "}, "StoreSecretIncomplete", "no AWS_ACCESS_KEY_ID", id="the other half"),
        pytest.param({"AWS_ENDPOINT_URL": "http://[::1"}, "StoreUnreachable", "is no URL", id="no URL"),
        pytest.param({"AWS_ENDPOINT_URL": "http://a:99999"}, "StoreUnreachable", "is no URL", id="no port"),
        pytest.param({"AWS_REGION": b"\xff"}, "StoreSecretIncomplete", "cannot be read", id="no text"),
    ],
)
def test_what_is_wrong_with_the_secret_is_named(
    change: dict[str, str | bytes], reason: str, finding: str, tmp_path: Path
) -> None:
    for name, value in {**ENV, **change}.items():
        (tmp_path / name).write_bytes(value if isinstance(value, bytes) else value.encode())

    with pytest.raises(SecretIncomplete) as failed:
        read_store_secret({"FLYWHEEL_STORE_FOLDER": str(tmp_path)})

    assert failed.value.reason == reason
    assert finding in failed.value.finding


def test_a_secret_is_replaced_as_the_kubelet_does_it(tmp_path: Path) -> None:
    for version, key in (("..1", "old"), ("..2", "new")):
        (tmp_path / version).mkdir()
        for name, value in {**ENV, "AWS_SECRET_ACCESS_KEY": key}.items():
            (tmp_path / version / name).write_text(value)
    (tmp_path / "..data").symlink_to("..1")
    find = store_access({"FLYWHEEL_STORE_FOLDER": str(tmp_path)})
    before = find().secret

    (tmp_path / "..next").symlink_to("..2")
    (tmp_path / "..next").rename(tmp_path / "..data")

    assert (before, find().secret) == ("old", "new")


def test_a_rotated_key_counts_from_the_next_request_on(tmp_path: Path) -> None:
    for name, value in ENV.items():
        (tmp_path / name).write_text(value)
    find = store_access({"FLYWHEEL_STORE_FOLDER": str(tmp_path), "AWS_ACCESS_KEY_ID": "of the environment"})
    before = find().secret

    (tmp_path / "AWS_SECRET_ACCESS_KEY").write_text("rotated")

    assert (before, find().secret, find().key_id) == ("secret", "rotated", "shop")

"""fetch brings inputs from stores and volumes, and says in the golden messages' words what stands in its way."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from flywheel_runtime.commands.fetch.from_store import target_of
from flywheel_runtime.commands.fetch.item import Item
from flywheel_runtime.commands.fetch.main import check_disk, main
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.paths import Paths
from flywheel_runtime.store.artifacts import Store
from flywheel_runtime.store.s3 import Listed
from flywheel_runtime.store.upload import blob_key
from tests.runtime.pods import IMPATIENT, Pod, golden

pytestmark = pytest.mark.integration  # the other side is a real S3 server

STORE = "http://store.flywheel:7070"


@pytest.fixture(autouse=True)
def readable_buckets(pod: Pod, bucket: str) -> None:
    """Sources may be anywhere in these buckets; tests/runtime/store/test_installation.py has the rule."""
    pod.env["FLYWHEEL_READABLE"] = f"s3://{bucket}/ s3://raw/"


@pytest.fixture
def artifact(store: Store, tmp_path: Path) -> str:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.parquet").write_bytes(b"train")
    (tmp_path / "data" / "schema.json").write_bytes(b"{}")
    return store.put((file.name, file) for file in (tmp_path / "data").iterdir()).digest


def s3(uri: str, **more: Any) -> dict[str, Any]:
    return {"name": "source", "s3": {"uri": uri, **more}}


def told(pod: Pod, name: str, **names: str) -> None:
    """The message is the golden one, with the test's own names in place of the contract's."""
    expected = golden(f"fetch_{name}")["message"]
    text = expected["message"].replace(STORE, pod.env.get("AWS_ENDPOINT_URL", STORE))
    for there, here in names.items():
        text = text.replace(there, here)
    assert pod.message == {**expected, "message": text}


def test_an_artifact_is_brought_with_its_parameters(pod: Pod, artifact: str) -> None:
    assert pod.fetch({"name": "data", "artifact": artifact}) == 0

    assert pod.files("data") == {"train.parquet": b"train", "schema.json": b"{}"}
    assert (pod.root / "params.json").read_text() == '{"rate": 0.1}'
    assert pod.message == {**golden("fetch_fetched")["message"], "message": "1 input, 2 files, 7 B"}
    assert Paths.from_env(pod.env).fetched.exists()


def test_of_an_artifact_only_the_named_files_are_brought(pod: Pod, store: Store, tmp_path: Path) -> None:
    written = []
    for name in ("model.onnx", "sitecustomize.py", "libevil.so", "sub/model.onnx"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
        written.append((name, path))
    digest = store.put(written).digest

    assert pod.fetch({"name": "model", "artifact": digest, "files": ["model.onnx", "golden.json"]}) == 0
    folder = pod.root / "inputs" / "model"
    assert [path.relative_to(folder).as_posix() for path in folder.rglob("*")] == ["model.onnx"]


def test_nothing_to_bring_is_done_without_a_store(pod: Pod) -> None:
    assert pod.fetch(AWS_ENDPOINT_URL="http://127.0.0.1:9") == 0


def test_a_folder_of_objects_keeps_its_paths(pod: Pod, store: Store) -> None:
    for key in ("raw/a.csv", "raw/2026/b.csv", "raw/empty-folder/", "rawer/c.csv"):
        store.bucket.put(key, b"" if key.endswith("/") else key.encode())

    assert pod.fetch(s3(f"s3://{store.bucket.access.bucket}/raw/")) == 0
    assert pod.files("source") == {"a.csv": b"raw/a.csv", "2026/b.csv": b"raw/2026/b.csv"}


def hours(*names: str, path: str = "predictions/delays/counts/") -> dict[str, Any]:
    return {"name": "counts", "folder": {"path": path, "parts": [f"hour={each}/" for each in names]}}


def test_parts_of_a_folder_of_the_namespace_are_brought_and_empty_ones_are_none(pod: Pod, store: Store) -> None:
    for hour in ("07", "08", "09"):
        store.bucket.put(f"{store.root}predictions/delays/counts/hour={hour}/a.json", hour.encode())

    assert pod.fetch(hours("06", "07", "08")) == 0
    assert pod.files("counts") == {"hour=07/a.json": b"07", "hour=08/a.json": b"08"}


def test_a_folder_of_the_namespace_without_any_object_is_no_failure(pod: Pod) -> None:
    assert pod.fetch(hours("06")) == 0
    assert pod.message["message"] == "1 input, 0 files, 0 B"


@pytest.mark.parametrize("path", ["../other/", "/", "predictions", "a//b/"])
def test_a_folder_outside_of_the_namespace_is_refused(pod: Pod, path: str) -> None:
    assert pod.fetch(hours("06", path=path)) == 2
    assert pod.message["reason"] == "InternalError"


def test_an_artifact_that_may_be_missing_is_left_out(pod: Pod, artifact: str) -> None:
    lost = {"name": "state", "artifact": "sha256:" + "3f9a1c" + "0" * 58, "optional": True}

    assert pod.fetch(lost, {"name": "data", "artifact": artifact, "optional": True}) == 0
    assert not (pod.root / "inputs" / "state").exists()
    assert len(pod.files("data")) == 2


def keep_model_alone(store: Store, folder: Path) -> str:
    """The digest of an artifact whose golden rows the store has lost."""
    for name in ("model.onnx", "golden.json"):
        (folder / name).write_text(name)
    digest = str(store.put([(name, folder / name) for name in ("model.onnx", "golden.json")]).digest)
    store.bucket.delete(blob_key(store.root, hashlib.sha256(b"golden.json").hexdigest()))
    return digest


def test_golden_rows_that_are_gone_are_named_by_their_file(pod: Pod, store: Store, tmp_path: Path) -> None:
    digest = keep_model_alone(store, tmp_path)

    assert pod.fetch({"name": "model", "artifact": digest}) == 2
    assert pod.message["reason"] == "ArtifactMissing"
    assert pod.message["message"].startswith(f"golden.json of input 'model' ({digest}) is not in the store; run what")


def test_a_lost_file_of_an_artifact_that_may_be_missing_is_left_out(pod: Pod, store: Store, tmp_path: Path) -> None:
    digest = keep_model_alone(store, tmp_path)

    assert pod.fetch({"name": "model", "artifact": digest, "optional": True}) == 0
    assert list(pod.files("model")) == ["model.onnx"]


@pytest.mark.parametrize("place", ["gone/", "gone.csv"])
def test_objects_that_may_be_missing_are_left_out_and_others_are_not(pod: Pod, store: Store, place: str) -> None:
    gone = s3(f"s3://{store.bucket.access.bucket}/{place}")

    assert pod.fetch({**gone, "optional": True}) == 0
    assert pod.files("source") == {}
    assert pod.fetch(gone) != 0


def test_one_object_keeps_its_name_and_is_checked(pod: Pod, store: Store) -> None:
    store.bucket.put("models/fraud.onnx", b"weights")
    entry = s3(f"s3://{store.bucket.access.bucket}/models/fraud.onnx")

    assert pod.fetch({**entry, "sha256": hashlib.sha256(b"weights").hexdigest()}) == 0
    assert pod.files("source") == {"fraud.onnx": b"weights"}


def test_a_foreign_store_is_read_with_its_own_credentials(pod: Pod, store: Store) -> None:
    store.bucket.put("a.csv", b"x")
    access = store.bucket.access
    foreign = s3(f"s3://{access.bucket}/a.csv", foreign=True, endpoint=access.endpoint)
    pod.env |= {"SOURCE_AWS_ACCESS_KEY_ID": str(access.key_id), "SOURCE_AWS_SECRET_ACCESS_KEY": str(access.secret)}

    assert pod.fetch(foreign, AWS_ACCESS_KEY_ID="wrong") == 0
    assert pod.files("source") == {"a.csv": b"x"}


def test_the_credentials_of_a_foreign_store_are_read_from_its_mounted_secret(
    pod: Pod, store: Store, tmp_path: Path
) -> None:
    store.bucket.put("a.csv", b"x")
    access = store.bucket.access
    folder = tmp_path / "secret"
    folder.mkdir()
    (folder / "AWS_ENDPOINT_URL").write_text(f"{access.endpoint}\n")
    (folder / "AWS_ACCESS_KEY_ID").write_text(str(access.key_id))
    (folder / "AWS_SECRET_ACCESS_KEY").write_text(str(access.secret))
    foreign = s3(f"s3://{access.bucket}/a.csv", foreign=True)

    assert pod.fetch(foreign, FLYWHEEL_SOURCE_FOLDER=str(folder), AWS_ACCESS_KEY_ID="wrong") == 0
    assert pod.files("source") == {"a.csv": b"x"}


def test_an_endpoint_in_the_secret_that_is_no_url_is_named(pod: Pod, tmp_path: Path) -> None:
    (tmp_path / "AWS_ENDPOINT_URL").write_text("store:7070")

    assert pod.fetch(s3("s3://acme/a.csv", foreign=True, secret="acme"), FLYWHEEL_SOURCE_FOLDER=str(tmp_path)) == 2
    assert "AWS_ENDPOINT_URL in Secret 'acme' is no URL" in pod.message["message"]


def test_a_foreign_store_that_wants_credentials_says_so(pod: Pod, store: Store) -> None:
    store.bucket.put("a.csv", b"x")
    access = store.bucket.access

    assert pod.fetch(s3(f"s3://{access.bucket}/a.csv", foreign=True, endpoint=access.endpoint)) == 1
    assert pod.message["reason"] == "CredentialsRefused"
    assert pod.message["message"].endswith("without credentials (AccessDenied); give the source a Secret")


def test_a_missing_object_is_reported_to_collect_too(pod: Pod, store: Store) -> None:
    (pod.root / "run").mkdir(exist_ok=True)

    assert pod.fetch(s3(f"s3://{store.bucket.access.bucket}/flights.csv")) == 2
    told(pod, "source_missing", raw=store.bucket.access.bucket)
    assert json.loads((pod.root / "run" / "fetch-failure").read_bytes()) == pod.message


def test_a_missing_bucket(pod: Pod) -> None:
    assert pod.fetch(s3("s3://raw/flights.csv")) == 1
    told(pod, "bucket_missing")


def test_an_empty_folder_of_objects(pod: Pod, store: Store) -> None:
    assert pod.fetch(s3(f"s3://{store.bucket.access.bucket}/flights/")) == 2
    told(pod, "empty_source", raw=store.bucket.access.bucket)


def test_an_object_without_bytes(pod: Pod, store: Store) -> None:
    store.bucket.put("empty.csv", b"")

    assert pod.fetch(s3(f"s3://{store.bucket.access.bucket}/empty.csv")) == 2
    assert pod.message["reason"] == "EmptySource"


@pytest.mark.parametrize(
    "key", ["bakery/secret.csv", "shop-2/x.csv", "shop/../bakery/secret.csv", "shop/%2e%2e/bakery/x.csv"]
)
def test_the_installations_credentials_read_no_folder_of_another_namespace(key: str, pod: Pod, store: Store) -> None:
    store.bucket.put("bakery/secret.csv", b"x")
    uri = f"s3://{store.bucket.access.bucket}/{key}"

    assert pod.fetch(s3(uri), FLYWHEEL_READABLE="s3://raw/shared/") == 2
    own = f"s3://{store.bucket.access.bucket}/shop/"
    told(pod, "source_not_allowed", **{"s3://flywheel/bakery/orders.csv": uri, "s3://flywheel/shop/": own})


def test_the_credentials_are_read_from_the_mounted_secret_at_each_request(
    pod: Pod, artifact: str, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    for name in ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "FLYWHEEL_BUCKET"):
        (secret / name).write_text(pod.env.pop(name) + "\n")
    (secret / "AWS_SECRET_ACCESS_KEY").rename(secret / "kept")

    assert pod.fetch({"name": "data", "artifact": artifact}, FLYWHEEL_STORE_FOLDER=str(secret)) == 1
    told(pod, "store_secret_incomplete")
    (secret / "kept").rename(secret / "AWS_SECRET_ACCESS_KEY")
    assert pod.fetch({"name": "data", "artifact": artifact}, FLYWHEEL_STORE_FOLDER=str(secret)) == 0


def test_refused_credentials(pod: Pod, artifact: str) -> None:
    assert pod.fetch({"name": "data", "artifact": artifact}, AWS_ACCESS_KEY_ID="nobody") == 1
    told(pod, "credentials_refused", InvalidAccessKeyId="XAdminUserNotFound")


def test_a_wrong_secret(pod: Pod, artifact: str) -> None:
    assert pod.fetch({"name": "data", "artifact": artifact}, AWS_SECRET_ACCESS_KEY="wrong") == 1
    told(pod, "credentials_refused", InvalidAccessKeyId="SignatureDoesNotMatch")


def test_a_store_that_does_not_answer(pod: Pod, artifact: str) -> None:
    there = pod.env["AWS_ENDPOINT_URL"]

    assert pod.fetch({"name": "data", "artifact": artifact}, AWS_ENDPOINT_URL="http://127.0.0.1:9") == 1
    pod.env["AWS_ENDPOINT_URL"] = "http://127.0.0.1:9"
    told(pod, "store_unreachable")
    pod.env["AWS_ENDPOINT_URL"] = there


def test_an_artifact_that_is_not_there(pod: Pod) -> None:
    digest = "sha256:" + "3f9a1c" + "0" * 58

    assert pod.fetch({"name": "data", "artifact": digest}) == 2
    told(pod, "artifact_missing")


def test_a_flipped_byte_in_the_store_is_named_with_both_digests(pod: Pod, store: Store, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"weights")
    digest = store.put([("model.onnx", tmp_path / "model.onnx")]).digest
    right, wrong = (hashlib.sha256(content).hexdigest() for content in (b"weights", b"weighty"))
    store.bucket.put(blob_key(store.root, right), b"weighty")

    assert pod.fetch({"name": "model", "artifact": digest}) == 2
    told(pod, "digest_mismatch", **{"aa" * 32: wrong, "bb" * 32: right})
    assert pod.files("model") == {}


def test_a_limit_is_checked_before_the_first_byte(pod: Pod, store: Store) -> None:
    store.bucket.put("raw/a.csv", b"x" * 3000)
    store.bucket.put("raw/b.csv", b"x" * 3000)

    assert pod.fetch(s3(f"s3://{store.bucket.access.bucket}/raw/"), limit=5000) == 2
    told(pod, "too_large", **{"2.0 GiB": "5.9 KiB", "1.0 GiB": "4.9 KiB"})
    assert pod.files("source") == {}


def test_a_full_disk_is_found_before_the_first_byte(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"the inputs need 1024\.0 TiB and the node's disk has") as caught:
        check_disk([Item(2**50, lambda: None)], tmp_path)

    assert getattr(caught.value, "reason", None) == "DiskFull"


def test_what_stays_on_its_volume_needs_no_disk(tmp_path: Path) -> None:
    check_disk([Item(2**50, lambda: None, copied=False)], tmp_path)


@pytest.mark.parametrize("path", ["../../escape", "/etc/passwd", "back\\slash", ""])
def test_an_object_whose_key_is_no_plain_path_is_refused(path: str, tmp_path: Path) -> None:
    with pytest.raises(Failure, match="cannot be a file"):
        target_of(Listed(f"raw/{path}", 1, "etag"), "raw/", tmp_path)


# the user's volume


@pytest.fixture
def volume(pod: Pod) -> Path:
    folder = pod.root / "volumes" / "source"
    (folder / "raw" / "2026").mkdir(parents=True)
    (folder / "raw" / "a.csv").write_bytes(b"a")
    (folder / "raw" / "2026" / "b.csv").write_bytes(b"b")
    (folder / "raw" / ".hidden").write_bytes(b"h")
    (folder / "empty.csv").write_bytes(b"")
    (folder / "out").symlink_to("/etc")
    return folder


def on_volume(path: str) -> dict[str, Any]:
    return {"name": "source", "volume": {"path": path}}


def test_files_of_a_volume_are_linked(pod: Pod, volume: Path) -> None:
    assert pod.fetch(on_volume("raw")) == 0
    assert pod.files("source") == {"a.csv": b"a", "2026/b.csv": b"b"}
    assert (pod.root / "inputs" / "source" / "a.csv").is_symlink()


def test_one_file_of_a_volume(pod: Pod, volume: Path) -> None:
    assert pod.fetch(on_volume("raw/a.csv")) == 0
    assert pod.files("source") == {"a.csv": b"a"}


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        pytest.param("../secrets", "SourceInvalid", id="a path that leaves the volume"),
        pytest.param("/etc/passwd", "SourceInvalid", id="an absolute path"),
        pytest.param("out/passwd", "SourceInvalid", id="a link that leaves the volume"),
        pytest.param("raw/c.csv", "SourceMissing", id="a file that is not there"),
        pytest.param("empty.csv", "EmptySource", id="a file without bytes"),
    ],
)
def test_what_a_volume_does_not_give(path: str, reason: str, pod: Pod, volume: Path) -> None:
    assert pod.fetch(on_volume(path)) == 2
    assert pod.message["reason"] == reason
    if path == "../secrets":
        assert pod.message == golden("fetch_source_invalid")["message"]


# what collect found before


def test_a_repeated_attempt_ends_with_3(pod: Pod) -> None:
    (pod.root / "run").mkdir()
    (pod.root / "run" / "repeated").touch()

    assert pod.fetch() == golden("fetch_repeated")["exitCode"] == 3
    assert pod.message == golden("fetch_repeated")["message"]


def test_a_store_that_cannot_take_the_results_stops_the_pod_before_main(pod: Pod) -> None:
    (pod.root / "run").mkdir()
    refusal = {"reason": "StoreRefused", "message": "the store refuses", "retry": True}
    (pod.root / "run" / "refused").write_text(json.dumps(refusal))

    assert pod.fetch() == 1
    assert pod.message == {"v": 1, "reason": "CredentialsRefused", "message": "the store refuses", "retry": True}


def test_an_order_that_cannot_be_read_is_told(pod: Pod) -> None:
    assert main({**pod.env, "FLYWHEEL_FETCH": "{"}, IMPATIENT) == 2
    assert pod.message["reason"] == "InternalError"


def test_fetch_lets_main_start_and_leaves_inputs_that_its_group_may_change(
    pod: Pod, store: Store, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x")
    digest = store.put([("deep/model.onnx", file)]).digest

    assert pod.fetch({"name": "model", "artifact": digest}) == 0

    assert Paths.from_env(pod.env).fetched.exists()
    for each in ("inputs/model/deep", "inputs/model/deep/model.onnx"):
        assert (pod.root / each).stat().st_mode & 0o060 == 0o060

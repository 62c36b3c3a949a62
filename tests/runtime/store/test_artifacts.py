"""Artifacts in a real S3 server, and in one that is cut off, busy or corrupted on the way."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import flywheel_runtime
from e2e.waiting import wait_until
from flywheel_runtime.contract.errors import (
    AccessDenied,
    ArtifactMissing,
    BucketMissing,
    DigestMismatch,
    PreconditionFailed,
    StoreUnreachable,
)
from flywheel_runtime.store import upload
from flywheel_runtime.store.artifacts import Store
from flywheel_runtime.store.download import download
from flywheel_runtime.store.manifest import Manifest
from flywheel_runtime.store.s3 import Bucket
from tests.runtime.faulty_proxy import SLOW_DOWN, Fault, Proxy
from tests.runtime.s3_server import Server

pytestmark = pytest.mark.integration  # the other side is a real S3 server

SOURCES = Path(flywheel_runtime.__file__).parents[1]
BIG = upload.PART_BYTES * 2 + 12345  # three parts


def files(folder: Path, **contents: bytes) -> list[tuple[str, Path]]:
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [(name, folder / name) for name in contents]


def bring_all(store: Store, manifest: Manifest, folder: Path) -> dict[str, bytes]:
    for file in manifest.files:
        store.download_file(file, folder)
    return {file.path: (folder / file.path).read_bytes() for file in manifest.files}


def blob(store: Store, server: Server, content: bytes) -> Path:
    key = upload.blob_key(store.root, hashlib.sha256(content).hexdigest())
    return server.folder / store.bucket.access.bucket / key


def test_what_was_put_comes_back_by_its_digest(store: Store, tmp_path: Path) -> None:
    content = {"small": b"hello", "empty": b"", "big": os.urandom(BIG)}

    digest = store.put(files(tmp_path / "in", **content)).digest

    assert bring_all(store, store.manifest(digest), tmp_path / "out") == content


def test_the_digest_depends_on_paths_and_bytes_alone(store: Store, tmp_path: Path) -> None:
    one = files(tmp_path / "one", a=b"1", b=b"2")
    other = files(tmp_path / "other", b=b"2", a=b"1")

    assert store.put(one).digest == store.put(other).digest
    assert store.put(one).digest != store.put([("c", one[0][1]), one[1]]).digest


def test_the_layout_is_the_contracts(store: Store, server: Server, tmp_path: Path) -> None:
    manifest = store.put(files(tmp_path / "in", a=b"1"))

    root = server.folder / store.bucket.access.bucket / "shop"
    sha = hashlib.sha256(b"1").hexdigest()
    assert (root / "blobs/sha256" / sha[:2] / sha).read_bytes() == b"1"
    text = (root / "manifests/sha256" / f"{manifest.digest.removeprefix('sha256:')}.json").read_bytes()
    assert text == f'{{"files":[{{"path":"a","sha256":"{sha}","size":1}}],"v":1}}'.encode()


def test_bytes_that_are_there_are_not_sent_again(through: Callable[[Proxy], Store], tmp_path: Path) -> None:
    proxy = Proxy()
    store = through(proxy)
    content = files(tmp_path / "in", big=os.urandom(BIG))
    store.put(content)
    sent = proxy.bytes_up

    store.put(content)

    assert sent > BIG
    assert proxy.bytes_up - sent < 10_000


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param([Fault(cut_up=100_000)], id="a cut in a small file"),
        pytest.param([Fault(cut_up=upload.PART_BYTES + 100_000)], id="a cut in a large file's second part"),
        pytest.param([Fault(answer=SLOW_DOWN), Fault(answer=SLOW_DOWN)], id="a store that is busy twice"),
        pytest.param([Fault(cut_down=50)], id="a lost answer"),
        pytest.param([Fault(flip_up=500_000)], id="a byte flipped on the way to the store"),
    ],
)
def test_an_upload_survives(
    faults: list[Fault], through: Callable[[Proxy], Store], store: Store, tmp_path: Path
) -> None:
    content = {"big": os.urandom(BIG), "small": os.urandom(600_000)}
    proxy = Proxy(list(faults))

    manifest = through(proxy).put(files(tmp_path / "in", **content))

    assert not proxy.faults
    assert bring_all(store, manifest, tmp_path / "out") == content


@pytest.mark.parametrize(
    ("faults", "again"),
    [
        pytest.param([Fault(cut_down=2_000_000)], False, id="a body that is cut is continued, not begun again"),
        pytest.param([Fault(flip_down=700_000)], True, id="a byte flipped on the way is brought again"),
        pytest.param([Fault(answer=SLOW_DOWN)], False, id="a busy store is asked again"),
    ],
)
def test_a_download_survives(
    faults: list[Fault], again: bool, through: Callable[[Proxy], Store], store: Store, tmp_path: Path
) -> None:
    content = {"big": os.urandom(4_000_000)}
    manifest = store.put(files(tmp_path / "in", **content))
    proxy = Proxy(list(faults))

    assert bring_all(through(proxy), manifest, tmp_path / "out") == content
    assert not proxy.faults
    assert (proxy.bytes_down > 6_000_000) is again


def test_a_download_goes_on_where_a_killed_one_stopped(
    through: Callable[[Proxy], Store], store: Store, tmp_path: Path
) -> None:
    content = os.urandom(4_000_000)
    manifest = store.put(files(tmp_path / "in", big=content))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "big.part").write_bytes(content[:3_000_000])
    proxy = Proxy()

    assert bring_all(through(proxy), manifest, tmp_path / "out") == {"big": content}
    assert proxy.bytes_down < 2_000_000


PUT_FOLDER = """
import os, pathlib, sys
from flywheel_runtime.store.artifacts import Store
from flywheel_runtime.store.retry import Retry
Store.from_env(os.environ, "shop", Retry()).put([(file.name, file) for file in pathlib.Path(sys.argv[1]).iterdir()])
"""


def test_an_upload_that_was_killed_is_done_by_the_next(
    through: Callable[[Proxy], Store], store: Store, env: dict[str, str], tmp_path: Path
) -> None:
    content = {"first": os.urandom(1_000_000), "second": os.urandom(BIG)}
    put = files(tmp_path / "in", **content)
    holding = Proxy([Fault(hold_up=5_000_000)] * 20)
    through(holding)
    variables = {**os.environ, **env, "AWS_ENDPOINT_URL": holding.endpoint, "PYTHONPATH": str(SOURCES)}
    with subprocess.Popen([sys.executable, "-c", PUT_FOLDER, str(tmp_path / "in")], env=variables) as child:
        held = holding.held.wait(30)  # in the middle of a part of the second file
        first = upload.blob_key("shop/", hashlib.sha256(content["first"]).hexdigest())
        wait_until(lambda: not held or store.bucket.exists(first, 1_000_000))
        child.kill()
    assert held
    proxy = Proxy()

    manifest = through(proxy).put(put)

    assert bring_all(store, manifest, tmp_path / "out") == content
    assert BIG < proxy.bytes_up < BIG + 500_000  # the first file was there already


def test_a_changed_blob_is_named_with_both_digests(store: Store, server: Server, tmp_path: Path) -> None:
    manifest = store.put(files(tmp_path / "in", a=b"right"))
    blob(store, server, b"right").write_bytes(b"wrong")

    with pytest.raises(DigestMismatch) as caught:
        store.download_file(manifest.files[0], tmp_path / "out")

    assert caught.value.found == hashlib.sha256(b"wrong").hexdigest()
    assert caught.value.expected == hashlib.sha256(b"right").hexdigest()
    assert list((tmp_path / "out").iterdir()) == []


def test_a_changed_manifest_is_refused(store: Store, server: Server, tmp_path: Path) -> None:
    digest = store.put(files(tmp_path / "in", a=b"1")).digest
    (path,) = (server.folder / store.bucket.access.bucket).glob("shop/manifests/sha256/*.json")
    path.write_bytes(path.read_bytes().replace(b'"a"', b'"b"'))

    with pytest.raises(DigestMismatch):
        store.manifest(digest)


def test_a_blob_that_is_gone_is_missing(store: Store, server: Server, tmp_path: Path) -> None:
    manifest = store.put(files(tmp_path / "in", a=b"1"))
    blob(store, server, b"1").unlink()

    with pytest.raises(ArtifactMissing, match="a"):
        store.download_file(manifest.files[0], tmp_path / "out")


def test_the_first_result_of_an_attempt_holds(store: Store) -> None:
    assert store.result("results/u/s/1.json") is None

    assert store.commit("results/u/s/1.json", b"first") == b"first"
    assert store.commit("results/u/s/1.json", b"second") == b"first"
    assert store.result("results/u/s/1.json") == b"first"


def test_an_object_that_changes_while_it_is_read_is_not_mixed(store: Store) -> None:
    store.bucket.put("data", b"a" * 100)
    etag = store.bucket.head("data").etag
    store.bucket.put("data", b"b" * 100)

    with pytest.raises(PreconditionFailed):
        list(store.bucket.stream("data", start=50, etag=etag))


def test_every_page_of_a_long_list_comes(store: Store) -> None:
    for number in range(1005):
        store.bucket.put(f"many/{number}", b"x")

    assert len(list(store.bucket.list("many/"))) == 1005


@pytest.mark.parametrize(
    ("change", "error"),
    [
        pytest.param({"bucket": "no-such-bucket"}, BucketMissing, id="a bucket that does not exist"),
        pytest.param({"key_id": "nobody"}, AccessDenied, id="a key that nobody has"),
        pytest.param({"secret": "wrong"}, AccessDenied, id="a wrong secret"),
        pytest.param({"endpoint": "http://127.0.0.1:9"}, StoreUnreachable, id="a port where nobody listens"),
        pytest.param({"endpoint": "http://no-such-host.invalid"}, StoreUnreachable, id="a name that is not known"),
    ],
)
@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda bucket: bucket.get("k", limit=9), id="get"),
        pytest.param(lambda bucket: bucket.head("k"), id="head"),
        pytest.param(lambda bucket: bucket.put("k", b"v"), id="put"),
        pytest.param(lambda bucket: list(bucket.list("")), id="list"),
    ],
)
def test_what_stands_in_the_way_is_told_apart(
    change: dict[str, str], error: type[Exception], ask: Callable[[Bucket], object], store: Store
) -> None:
    bucket = Bucket(replace(store.bucket.access, **change))  # type: ignore[arg-type]

    with pytest.raises(error):
        ask(bucket)


def test_a_file_that_has_no_digest_is_brought_from_the_start(store: Store, tmp_path: Path) -> None:
    store.bucket.put("k", b"right")
    (tmp_path / "k.part").write_bytes(b"wro")

    download(tmp_path / "k", lambda start: store.bucket.stream("k", start=start), store.retry)

    assert (tmp_path / "k").read_bytes() == b"right"


def test_a_manifest_reads_as_json(store: Store, tmp_path: Path) -> None:
    manifest = store.put(files(tmp_path / "in", **{"é": b"1"}))

    assert json.loads(manifest.encode())["files"][0]["path"] == "é"
    assert store.manifest(manifest.digest) == manifest


def test_a_part_of_an_object_is_those_bytes(store: Store) -> None:
    store.bucket.put("numbers", bytes(range(200)))
    listed = store.bucket.head("numbers")

    assert store.bucket.read_range("numbers", 0, 2, listed.etag) == b"\x00\x01"
    assert store.bucket.read_range("numbers", 150, 200, listed.etag) == bytes(range(150, 200))
    with pytest.raises(PreconditionFailed):
        store.bucket.read_range("numbers", 0, 2, '"another"')


def test_what_is_deleted_is_gone_and_may_be_deleted_again(store: Store) -> None:
    store.bucket.put("short-lived", b"1")

    store.bucket.delete("short-lived")
    store.bucket.delete("short-lived")

    assert list(store.bucket.list("short-lived")) == []


@pytest.mark.parametrize("key", ["a b+c", "é/ü", "100%", "a&b=c;d", "quote'\"", "<tag>", "~tilde!*()"])
def test_an_object_may_have_any_name(key: str, store: Store) -> None:
    store.bucket.put(f"odd/{key}", b"content")

    assert store.bucket.get(f"odd/{key}", limit=9) == b"content"
    assert [(found.key, found.size) for found in store.bucket.list("odd/")] == [(f"odd/{key}", 7)]
    assert store.bucket.head(f"odd/{key}") == next(store.bucket.list(f"odd/{key}"))

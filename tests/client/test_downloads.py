"""Files on the disk: verified, resumed, never outside the folder, never over another file."""

import hashlib
from pathlib import Path

import pytest

from flywheel.client.downloads import PARTIAL_SUFFIX, RemoteFile, confine, remote_file, save_files
from flywheel.client.errors import FlywheelError
from tests.client.local_cluster import LocalCluster, Reply

CONTENT = bytes(range(256)) * 5000
FILE = RemoteFile("/model.onnx", "model.onnx", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


def save(cluster: LocalCluster, folder: Path, *files: RemoteFile, force: bool = False) -> list[Path]:
    return save_files(cluster.workspace().session.reader, files or (FILE,), folder, force=force)


def test_a_file_is_written_below_the_folder(cluster: LocalCluster, tmp_path: Path) -> None:
    cluster.reader["/model.onnx"] = Reply(CONTENT, is_file=True)

    (path,) = save(cluster, tmp_path, RemoteFile(FILE.path, "a/b/model.onnx", FILE.sha256, FILE.size))

    assert path == tmp_path / "a/b/model.onnx"
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]


def test_a_download_goes_on_where_the_connection_ended(cluster: LocalCluster, tmp_path: Path) -> None:
    cluster.reader["/model.onnx"] = Reply(CONTENT, is_file=True, cut_at=300_000)
    with pytest.raises(FlywheelError, match="the response ended too early"):
        save(cluster, tmp_path)
    partial = tmp_path / f"model.onnx{PARTIAL_SUFFIX}"
    arrived = partial.stat().st_size
    cluster.reader["/model.onnx"] = Reply(CONTENT, is_file=True)

    save(cluster, tmp_path)

    assert 0 < arrived <= 300_000
    assert cluster.calls[-1].headers["Range"] == f"bytes={arrived}-"
    assert (tmp_path / "model.onnx").read_bytes() == CONTENT
    assert not partial.exists()


def test_a_file_that_is_called_as_the_partial_one_of_another_stays(cluster: LocalCluster, tmp_path: Path) -> None:
    other = b"another file"
    cluster.reader |= {"/a": Reply(CONTENT, is_file=True), "/a.partial": Reply(other, is_file=True)}
    partial = RemoteFile("/a.partial", "a.partial", hashlib.sha256(other).hexdigest(), len(other))

    save(cluster, tmp_path, partial, RemoteFile("/a", "a", FILE.sha256, FILE.size))

    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {"a": CONTENT, "a.partial": other}


def test_a_server_without_ranges_sends_it_all_again(cluster: LocalCluster, tmp_path: Path) -> None:
    (tmp_path / f"model.onnx{PARTIAL_SUFFIX}").write_bytes(CONTENT[:1000])
    cluster.reader["/model.onnx"] = Reply(CONTENT)

    save(cluster, tmp_path)

    assert (tmp_path / "model.onnx").read_bytes() == CONTENT


@pytest.mark.parametrize("found", [CONTENT[:-1] + b"?", CONTENT + b"?"], ids=["another byte", "one more"])
def test_wrong_bytes_do_not_stay(cluster: LocalCluster, tmp_path: Path, found: bytes) -> None:
    cluster.reader["/model.onnx"] = Reply(found, is_file=True)

    with pytest.raises(FlywheelError, match=r"'model.onnx' does not have the SHA-256") as caught:
        save(cluster, tmp_path)

    assert caught.value.reason == "DigestMismatch"
    assert not (tmp_path / "model.onnx").exists()


def test_a_damaged_partial_file_is_not_gone_on_with_twice(cluster: LocalCluster, tmp_path: Path) -> None:
    (tmp_path / f"model.onnx{PARTIAL_SUFFIX}").write_bytes(b"?" * 1000)
    cluster.reader["/model.onnx"] = Reply(CONTENT, is_file=True)
    with pytest.raises(FlywheelError, match="does not have the SHA-256"):
        save(cluster, tmp_path)

    save(cluster, tmp_path)

    assert (tmp_path / "model.onnx").read_bytes() == CONTENT


def test_another_file_is_overwritten_with_force_alone(cluster: LocalCluster, tmp_path: Path) -> None:
    cluster.reader["/model.onnx"] = Reply(CONTENT, is_file=True)
    (tmp_path / "model.onnx").write_text("mine")

    with pytest.raises(FlywheelError, match="exists with other content; --force"):
        save(cluster, tmp_path)
    assert (tmp_path / "model.onnx").read_text() == "mine"

    save(cluster, tmp_path, force=True)
    assert (tmp_path / "model.onnx").read_bytes() == CONTENT


def test_a_complete_file_is_not_requested_again(cluster: LocalCluster, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(CONTENT)

    save(cluster, tmp_path)

    assert cluster.calls == []


def test_a_refusal_of_one_target_writes_none(cluster: LocalCluster, tmp_path: Path) -> None:
    cluster.reader["/model.onnx"] = Reply(CONTENT, is_file=True)

    with pytest.raises(FlywheelError, match="nothing was written"):
        save(cluster, tmp_path, FILE, RemoteFile("/x", "../x", FILE.sha256, 1))

    assert list(tmp_path.iterdir()) == []
    assert cluster.calls == []


@pytest.mark.parametrize(
    "name",
    ["../x", "/etc/x", "a/../../x", "", "a//b", "a/./b", "..", "a\\..\\b", "C:x", "a\x1b[2Jb", "a\nb", "x" * 300],
)
def test_no_name_leaves_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(FlywheelError, match="nothing was written"):
        confine(tmp_path, name)


@pytest.mark.parametrize("name", ["link/x", "link"])
def test_no_link_is_followed(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/link").symlink_to(tmp_path)

    with pytest.raises(FlywheelError, match="is a link"):
        confine(tmp_path / "folder", name)


def test_a_file_without_a_digest_is_refused() -> None:
    with pytest.raises(FlywheelError, match="the reader gave no SHA-256 of 'a'"):
        remote_file("/a", {"path": "a", "size": 1})

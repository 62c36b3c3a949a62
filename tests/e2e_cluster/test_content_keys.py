"""A key changes when the content may, and only then: too rarely gives stale images, too often gives slow ones."""

from pathlib import Path

import pytest

from e2e.cluster import golang, images
from e2e.cluster.progress import Failure


def package(folder: Path) -> Path:
    (folder / "flywheel").mkdir()
    (folder / "flywheel" / "a.py").write_text("a = 1\n")
    (folder / "flywheel" / "b.py").write_text("b = 2\n")
    return folder / "flywheel"


def test_bytecode_and_modification_times_are_no_content(tmp_path: Path) -> None:
    code = package(tmp_path)
    before = images.content_key([code])
    (code / "__pycache__").mkdir()
    (code / "__pycache__" / "a.cpython-311.pyc").write_bytes(b"\0")
    (code / "a.py").touch()

    assert images.content_key([code]) == before


def test_an_edit_and_a_rename_are_new_content(tmp_path: Path) -> None:
    code = package(tmp_path)
    keys = [images.content_key([code])]
    (code / "a.py").write_text("a = 2\n")
    keys.append(images.content_key([code]))
    (code / "b.py").rename(code / "c.py")
    keys.append(images.content_key([code]))
    keys.append(images.content_key([code], "another base"))

    assert len(set(keys)) == 4


def test_a_missing_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="operator/flywheel does not exist; create it"):
        images.content_key([tmp_path / "operator" / "flywheel"])


def test_a_binary_is_built_anew_for_another_compiler(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module x\n")

    assert golang.content_key(tmp_path, "go1.26.8") != golang.content_key(tmp_path, "go1.27.0")


@pytest.mark.parametrize(
    ("text", "version"),
    [
        pytest.param("go1.26.8", (1, 26), id="a release"),
        pytest.param("go1.27rc1", (1, 27), id="a candidate"),
        pytest.param("devel", (0, 0), id="no version is older than any"),
    ],
)
def test_parse_version(text: str, version: tuple[int, int]) -> None:
    assert golang.parse_version(text) == version

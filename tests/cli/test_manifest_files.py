"""Manifests are read as kubectl reads them: files, folders, lists, JSON, and what editors leave at the beginning of a file."""

import io
from pathlib import Path

import pytest

from flywheel.cli.dry_run import read_manifests
from flywheel.cli.errors import CommandError

ONE, TWO = ("{kind: Dataset, metadata: {name: %s}}" % name for name in ("one", "two"))  # noqa: UP031


def names(name: Path | str, *, recursive: bool = False) -> list[str]:
    return [each["metadata"]["name"] for each in read_manifests(str(name), recursive=recursive)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "b.yaml").write_text(f"{ONE}\n---\n---\n{TWO}\n")
    (tmp_path / "a.json").write_text('{"kind": "Model", "metadata": {"name": "json"}}')
    (tmp_path / "README.md").write_text("no manifest")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "c.yml").write_text("{kind: Model, metadata: {name: below}}")
    return tmp_path


def test_a_folder_is_its_manifests_by_name_of_the_file(folder: Path) -> None:
    assert names(folder) == ["json", "one", "two"]
    assert names(folder, recursive=True) == ["json", "one", "two", "below"]


def test_the_items_of_a_list_are_manifests(tmp_path: Path) -> None:
    (tmp_path / "list.yaml").write_text(f"kind: List\napiVersion: v1\nitems: [{ONE}, {TWO}]\n")

    assert names(tmp_path / "list.yaml") == ["one", "two"]


def test_a_byte_order_mark_is_no_content(tmp_path: Path) -> None:
    (tmp_path / "bom.yaml").write_text(ONE, encoding="utf-8-sig")

    assert names(tmp_path / "bom.yaml") == ["one"]


def test_a_dash_is_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(ONE))

    assert names("-") == ["one"]


@pytest.mark.parametrize("content", ["", "- a", "kind: Dataset", "a: [", "kind: List\nitems: [text]"])
def test_what_is_no_manifest_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.yaml").write_text(content)

    with pytest.raises(CommandError, match=r"x\.yaml"):
        read_manifests(str(tmp_path / "x.yaml"))

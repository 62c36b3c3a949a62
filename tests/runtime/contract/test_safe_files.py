"""Files below a folder that others change: no link is followed, whenever it appears."""

import os
from pathlib import Path

import pytest

from flywheel_runtime.contract.errors import UnsafeFile
from flywheel_runtime.contract.safe_files import ConfinedPath, open_regular_file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "volume"
    (made / "day" / "raw").mkdir(parents=True)
    (made / "day" / "raw" / "a").write_bytes(b"mine")
    (made / "day" / "b").write_bytes(b"b")
    (made / "day" / ".hidden").write_bytes(b"h")
    (tmp_path / "secret" / "raw").mkdir(parents=True)
    (tmp_path / "secret" / "raw" / "a").write_bytes(b"key")
    return made


def replace_by_link(path: Path, target: Path) -> None:
    path.rename(path.with_name(path.name + "-before"))
    path.symlink_to(target)


def test_files_are_found_in_order_and_read(folder: Path) -> None:
    day = ConfinedPath(folder, "day")

    found = list(day.regular_files(skip=lambda name: name.startswith(".")))

    assert [file.relative_to(day) for file in found] == ["b", "raw/a"]
    for file, content in zip(found, (b"b", b"mine"), strict=True):
        with open_regular_file(file) as stream:
            assert stream.read() == content


@pytest.mark.parametrize(("part", "target"), [("day/raw/a", "raw/a"), ("day/raw", "raw"), ("day", "")])
def test_what_becomes_a_link_after_it_was_listed_is_not_opened(part: str, target: str, folder: Path) -> None:
    found = list(ConfinedPath(folder, "day").regular_files(skip=lambda name: name != "raw" and name != "a"))
    (folder.parent / "secret" / "day").symlink_to(".")
    replace_by_link(folder / part, folder.parent / "secret" / target)

    with pytest.raises(UnsafeFile, match="a link"):
        open_regular_file(found[0])


def test_links_are_not_listed(folder: Path) -> None:
    (folder / "day" / "out").symlink_to(folder.parent / "secret")

    found = list(ConfinedPath(folder, "day").regular_files(skip=lambda _: False))

    assert [file.path for file in found] == ["day/.hidden", "day/b", "day/raw/a"]
    with pytest.raises(UnsafeFile, match="a link"):
        (ConfinedPath(folder, "day") / "out").entries()


@pytest.mark.parametrize("path", ["..", "day/../..", "./day", "/etc", "day//b"])
def test_a_path_that_leaves_the_folder_or_is_not_in_its_simplest_form_is_refused(path: str, folder: Path) -> None:
    with pytest.raises(UnsafeFile):
        ConfinedPath(folder, path)


def test_a_link_is_resolved_inside_of_the_folder_alone(folder: Path) -> None:
    (folder / "latest").symlink_to("day")
    (folder / "out").symlink_to("../secret")

    assert ConfinedPath.resolve(folder, "latest/b").path == "day/b"
    for path in ("out/raw/a", "../secret", str(folder / "day")):
        with pytest.raises(UnsafeFile, match="leaves its folder"):
            ConfinedPath.resolve(folder, path)


def test_pipes_are_neither_opened_nor_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "day" / "pipe")

    with pytest.raises(UnsafeFile, match="not a regular file"):
        ConfinedPath(folder, "day/pipe").open()

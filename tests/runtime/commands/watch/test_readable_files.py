"""What main left is made readable to the group, without following a link."""

import os
from pathlib import Path

from flywheel_runtime.commands.watch.readable_files import make_readable


def modes(folder: Path) -> dict[str, int]:
    return {str(each.relative_to(folder)): each.lstat().st_mode & 0o777 for each in sorted(folder.rglob("*"))}


def test_private_files_and_closed_folders_are_opened(tmp_path: Path) -> None:
    (tmp_path / "model" / "deep").mkdir(parents=True)
    (tmp_path / "model" / "deep" / "weights").write_bytes(b"x")
    (tmp_path / "model" / "public").write_bytes(b"x")
    (tmp_path / "model" / "deep" / "weights").chmod(0o600)
    (tmp_path / "model" / "public").chmod(0o644)
    (tmp_path / "model" / "deep").chmod(0)
    (tmp_path / "model").chmod(0o700)

    changed = make_readable(tmp_path)

    assert changed == 3
    assert modes(tmp_path) == {"model": 0o750, "model/deep": 0o550, "model/deep/weights": 0o640, "model/public": 0o644}


def test_links_pipes_and_what_they_lead_to_are_left_alone(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    secret.chmod(0o600)
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    (outputs / "link").symlink_to(secret)
    (outputs / "folder").symlink_to(tmp_path)
    os.mkfifo(outputs / "pipe", 0o600)

    assert make_readable(outputs) == 0
    assert secret.stat().st_mode & 0o777 == 0o600
    assert (outputs / "pipe").stat().st_mode & 0o777 == 0o600


def test_two_hundred_folders_inside_each_other_end_nothing(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(200):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)

    make_readable(tmp_path)


def test_a_folder_that_is_not_there_has_nothing_to_open(tmp_path: Path) -> None:
    assert make_readable(tmp_path / "checkpoints") == 0

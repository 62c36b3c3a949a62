"""Files on disk are what the code generates, and whoever forgot is told which file and which command."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from flywheel.cli.yaml_text import dump_yaml
from flywheel.engine import discover
from generator import files
from tests.core.toy import KIND

WANTED = files.generated_files((KIND,))


@pytest.fixture(scope="module", autouse=True)
def generated_once() -> Iterator[None]:
    """Generate the files of all kinds once for all tests, since it takes half a second."""
    generated = files.generated_files(discover.kinds())
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(files, "generated_files", lambda _kinds: generated)
        yield


def test_nothing_is_stale_in_this_checkout() -> None:
    assert files.stale_files(files.generated_files(discover.kinds()), files.CHECKOUT) == [], (
        f"run '{files.COMMAND}' and commit the result"
    )


def test_what_was_written_is_not_stale_and_not_written_again(tmp_path: Path) -> None:
    assert sorted(files.write_files(WANTED, tmp_path)) == sorted(WANTED)
    assert files.stale_files(WANTED, tmp_path) == []
    assert files.write_files(WANTED, tmp_path) == []


def test_a_file_changed_by_hand_is_stale(tmp_path: Path) -> None:
    files.write_files(WANTED, tmp_path)
    (tmp_path / "docs/reference.md").write_text("mine")

    assert files.stale_files(WANTED, tmp_path) == ["docs/reference.md"]


def test_the_crd_of_a_kind_that_is_no_more_is_removed(tmp_path: Path) -> None:
    files.write_files(WANTED, tmp_path)
    left = {path: text for path, text in WANTED.items() if "toys" not in path}

    assert files.write_files(left, tmp_path) == [
        "charts/flywheel/files/crds/toys.flywheel.ml.yaml",
        "crds/toys.flywheel.ml.yaml",
    ]
    assert not (tmp_path / "crds/toys.flywheel.ml.yaml").exists()


def test_check_names_the_file_and_the_command(tmp_path: Path) -> None:
    said: list[str] = []

    code = files.main(["--check", "--root", str(tmp_path)], said.append)

    assert code == 1
    assert "docs/reference.md is not what the code generates; run 'make generate' and commit the result\n" in said
    assert list(tmp_path.iterdir()) == []


def test_generating_twice_says_nothing_the_second_time(tmp_path: Path) -> None:
    said: list[str] = []
    files.main(["--root", str(tmp_path)])

    assert files.main(["--root", str(tmp_path)], said.append) == 0
    assert said == []


def test_no_yaml_anchor_is_written() -> None:
    shared = {"a": 1}

    assert dump_yaml({"one": shared, "two": shared}) == "one:\n  a: 1\ntwo:\n  a: 1\n"


def test_the_reference_names_every_field_with_its_default() -> None:
    page = WANTED["docs/reference/toy.md"]

    assert "| `spec.budget.maxTrials` | integer, at least 1, at most 1000 | `20` |  | Trials at most. |" in page
    assert "- `spec.source`: give exactly one of s3 and pvc" in page

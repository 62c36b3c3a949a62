"""The input on a PersistentVolumeClaim, which others may change while a pod with the store's key reads it."""

from pathlib import Path

import pytest

from flywheel_runtime.commands.batch.storage.locations import Volume
from flywheel_runtime.contract.errors import Failure


@pytest.fixture
def claim(tmp_path: Path) -> Path:
    (tmp_path / "claim" / "day").mkdir(parents=True)
    (tmp_path / "claim" / "day" / "a.csv").write_bytes(b"id\n1\n")
    (tmp_path / "secret" / "day").mkdir(parents=True)
    for name in ("a.csv", "day/a.csv"):
        (tmp_path / "secret" / name).write_bytes(b"the key of the store")
    return tmp_path / "claim"


@pytest.mark.parametrize(
    "link", [pytest.param("out", id="the path is a link"), pytest.param("out/day", id="a folder above it is a link")]
)
@pytest.mark.parametrize("file", ["", "/a.csv"])
def test_a_link_that_leaves_the_volume_is_not_followed(link: str, file: str, claim: Path) -> None:
    (claim / "out").symlink_to(claim.parent / "secret")

    with pytest.raises(Failure, match="leaves its folder") as refused:
        Volume(link + file, claim).files()

    assert (refused.value.reason, refused.value.retry) == ("SourceInvalid", False)


@pytest.mark.parametrize("path", ["day", "day/a.csv"])
def test_what_becomes_a_link_after_it_was_listed_is_not_read(path: str, claim: Path) -> None:
    volume = Volume(path, claim)
    (file,) = volume.files()
    (claim / "day").rename(claim / "before")
    (claim / "day").symlink_to(claim.parent / "secret")

    with pytest.raises(Failure, match="leaves its folder"):
        volume.read_range(file, 0, 8)


def test_a_link_between_the_check_of_a_path_and_its_opening_is_not_followed(
    claim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = Volume("day", claim)
    (file,) = volume.files()
    resolve = Path.resolve

    def resolve_then_replace(path: Path, strict: bool = False) -> Path:
        found = resolve(path, strict)
        if path.name == "day":
            (claim / "day").rename(claim / "before")
            (claim / "day").symlink_to(claim.parent / "secret")
        return found

    monkeypatch.setattr(Path, "resolve", resolve_then_replace)

    with pytest.raises(Failure, match="leads to, a link"):
        volume.read_range(file, 0, 8)


@pytest.mark.parametrize("path", ["latest", "latest/a.csv"])
def test_a_link_inside_of_the_volume_is_followed(path: str, claim: Path) -> None:
    (claim / "latest").symlink_to("day")
    volume = Volume(path, claim)

    (file,) = volume.files()

    assert (file.path, volume.read_range(file, 0, 3)) == ("a.csv", b"id\n")


def test_a_path_that_does_not_exist_is_tried_again(claim: Path) -> None:
    with pytest.raises(Failure, match="'night' does not exist on the volume") as refused:
        Volume("night", claim).files()

    assert (refused.value.reason, refused.value.retry) == ("SourceMissing", True)

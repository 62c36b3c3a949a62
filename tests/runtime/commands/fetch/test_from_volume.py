"""What fetch finds on a user's volume that is closed to it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from flywheel_runtime.commands.fetch import from_volume
from flywheel_runtime.contract.config.fetch import VolumeSource
from flywheel_runtime.contract.errors import Failure


@contextmanager
def another_user() -> Iterator[None]:
    """The user of fetch, whom file modes stop; they do not stop root."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65531)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.mark.parametrize("path", ["private/a.csv", "private"])
def test_a_private_folder_of_a_volume_is_named(path: str) -> None:
    with TemporaryDirectory() as folder:
        volume = Path(folder)
        volume.chmod(0o755)
        (volume / "private").mkdir()
        (volume / "private" / "a.csv").write_bytes(b"a")
        (volume / "private").chmod(0)
        with another_user(), pytest.raises(Failure, match="cannot be read by user 65531") as refused:
            from_volume.items("source", VolumeSource(path), None, Path("inputs"), volume)
        (volume / "private").chmod(0o700)

    assert (refused.value.reason, refused.value.retry) == ("SourceInvalid", False)


def test_a_file_that_becomes_a_link_is_not_hashed(tmp_path: Path) -> None:
    """The message would tell the SHA-256 of what it leads to."""
    volume, secret = tmp_path / "volume", tmp_path / "secret"
    (volume / "day").mkdir(parents=True)
    (volume / "day" / "a.csv").write_bytes(b"a")
    secret.mkdir()
    (secret / "a.csv").write_bytes(b"the key of the store")
    (item,) = from_volume.items("source", VolumeSource("day/a.csv"), "0" * 64, tmp_path / "inputs", volume)
    (volume / "day").rename(volume / "before")
    (volume / "day").symlink_to(secret)

    with pytest.raises(Failure, match="became a link") as refused:
        item.download()

    assert refused.value.reason == "SourceInvalid"

"""A store that a source names: its credentials are those of its Secret as they are now."""

from contextlib import suppress
from pathlib import Path

import pytest

from flywheel_runtime.contract.config.fetch import S3Source
from flywheel_runtime.contract.errors import Failure, StoreError
from flywheel_runtime.store.foreign import open_foreign

PLACE = S3Source("s3://acme/a.csv", endpoint="http://127.0.0.1:9", foreign=True, secret="acme")  # nothing listens there


def mount(folder: Path, version: str, **keys: str) -> None:
    """Write a Secret as the kubelet does: each version in a folder, and a link that leads to the newest."""
    (folder / version).mkdir()
    for key, value in keys.items():
        (folder / version / key).write_text(value)
    (folder / "..new").symlink_to(version)
    (folder / "..new").rename(folder / "..data")


def test_a_rotated_key_counts_from_the_next_request(tmp_path: Path) -> None:
    mount(tmp_path, "1", AWS_ACCESS_KEY_ID="first", AWS_SECRET_ACCESS_KEY="x")
    bucket, owner = open_foreign(PLACE, "OUTPUT", {"FLYWHEEL_OUTPUT_FOLDER": str(tmp_path)}, "spec.output.s3.")

    mount(tmp_path, "2", AWS_ACCESS_KEY_ID="second", AWS_SECRET_ACCESS_KEY="y")
    with suppress(StoreError):
        bucket.head("a.csv")

    assert (bucket.access.key_id, bucket.access.secret) == ("second", "y")
    assert (owner.secret, owner.bucket_field, owner.foreign) == ("Secret 'acme'", "spec.output.s3.uri", True)


def test_an_endpoint_that_a_rotated_secret_names_is_checked_too(tmp_path: Path) -> None:
    mount(tmp_path, "1", AWS_ENDPOINT_URL="http://127.0.0.1:9")
    place = S3Source("s3://acme/a.csv", foreign=True, secret="acme")
    bucket, _ = open_foreign(place, "SOURCE", {"FLYWHEEL_SOURCE_FOLDER": str(tmp_path)}, "the source's ")

    mount(tmp_path, "2", AWS_ENDPOINT_URL="http://169.254.0.1")

    with pytest.raises(Failure, match="no source may use it"):
        bucket.head("a.csv")


def test_variables_of_an_earlier_release_are_read(tmp_path: Path) -> None:
    bucket, _ = open_foreign(
        PLACE, "SOURCE", {"SOURCE_AWS_ACCESS_KEY_ID": "old", "SOURCE_AWS_SECRET_ACCESS_KEY": "z"}, "the source's "
    )

    assert (bucket.access.key_id, bucket.access.anonymous) == ("old", False)

"""The same question has the same answer, every answer fits, and two questions never share one."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from flywheel.core.resource import names
from flywheel.core.resource.kind import Resource
from tests.core.toy import KIND as TOY
from tests.core.toy import Bucket, Source, ToySpec, ToyStatus

LONG = "a" * 52
BEAR = Resource(
    api=TOY.api,
    name="bear",
    namespace="shop",
    uid="5e0c2a9b-1111-2222-3333-444444444444",
    generation=1,
    created=datetime(2026, 1, 1, tzinfo=UTC),
    spec=ToySpec(source=Source(s3=Bucket(uri="s3://bucket/"))),
    status=ToyStatus(),
)


def test_a_job_is_named_after_resource_step_attempt_and_uid() -> None:
    assert names.job(BEAR, "check", 2) == "bear-check-2-5e0c2a9b"


@pytest.mark.parametrize("step", ["check", "trial-123456", "a-step-with-quite-a-long-name"])
def test_a_jobs_name_fits_however_long_the_resources(step: str) -> None:
    name = names.job(replace(BEAR, name=LONG), step, 12)

    assert len(name) <= 63
    assert name.endswith(f"-{step}-12-5e0c2a9b")


def test_the_namesake_of_yesterday_has_other_jobs() -> None:
    assert names.job(BEAR, "check", 1) != names.job(replace(BEAR, uid="ffffffff-1111"), "check", 1)


def test_two_long_names_stay_two_names() -> None:
    one, other = (names.truncate("b" * 70 + last, 63) for last in "xy")

    assert len(one) == len(other) == 63
    assert one != other


def test_a_shortened_name_has_no_dash_before_its_dash() -> None:
    assert "--" not in names.truncate("a" * 15 + "-" * 5 + "b" * 20, 24)


def test_what_fits_is_left_alone() -> None:
    assert names.truncate("bear", 4) == "bear"


def test_a_child_is_named_after_its_resource() -> None:
    assert names.child(BEAR) == "bear"
    assert names.child(BEAR, "cold") == "bear-cold"


def test_labels_lead_back_to_the_resource_and_fit() -> None:
    found = names.labels(replace(BEAR, name="a" * 80))

    assert found["flywheel.ml/uid"] == BEAR.uid
    assert found["flywheel.ml/kind"] == "Toy"
    assert all(len(value) <= 63 for value in found.values())


def test_deleting_the_resource_deletes_what_carries_its_reference() -> None:
    assert names.owner_reference(BEAR) == {
        "apiVersion": "flywheel.ml/v1alpha1", "kind": "Toy", "name": "bear", "uid": BEAR.uid,
        "controller": True, "blockOwnerDeletion": True,
    }  # fmt: skip


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert names.digest({"a": 1, "b": [2]}) == names.digest({"b": [2], "a": 1})
    assert names.digest({"a": 1}) != names.digest({"a": "1"})

"""Which result in the store counts as that of this attempt: its own Job's, and that of an earlier release where it is older than the upgrade."""

import os
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flywheel_runtime.commands.collect.main import collect
from flywheel_runtime.commands.collect.main_observer import Stop
from flywheel_runtime.contract.paths import Attempt, Paths
from flywheel_runtime.store.artifacts import Store
from tests.runtime.s3_server import Server

pytestmark = pytest.mark.integration  # the other side is a real S3 server

UPGRADED_AT = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
JOB = {"FLYWHEEL_JOB": "77aa"}
UPGRADED = {**JOB, "FLYWHEEL_UPGRADED_AT": "2026-11-29T12:00:00Z"}
PLANTED = b'{"v": 1, "complete": true, "metrics": {"loss": 0.001}}'

Pod = dict[str, str]


def report(pod: Pod) -> dict[str, Any]:
    """The final message of another pod of the attempt, whose main has ended too."""
    Paths.from_env(pod).main_ended.unlink(missing_ok=True)
    return collect(pod, Paths.from_env(pod), Stop(at=time.monotonic()))


def plant(pod: Pod, store: Store, server: Server, written_at: datetime) -> None:
    """Put a result where earlier releases have it, with that time in the store."""
    key = store.root + Attempt.from_env(pod).earlier_result_key
    store.bucket.put(key, PLANTED)
    os.utime(server.folder / store.bucket.access.bucket / key, (written_at.timestamp(), written_at.timestamp()))


def test_the_result_of_another_job_does_not_count(finished: Pod) -> None:
    assert not report({**finished, **JOB})["repeated"]
    assert report({**finished, **JOB})["repeated"]
    assert not report({**finished, "FLYWHEEL_JOB": "88bb"})["repeated"]


@pytest.mark.parametrize(
    ("variables", "age", "counts"),
    [
        pytest.param(UPGRADED, timedelta(seconds=1), True, id="older than the upgrade"),
        pytest.param(UPGRADED, timedelta(), False, id="of the time of the upgrade"),
        pytest.param(UPGRADED, -timedelta(days=1), False, id="newer than the upgrade"),
        pytest.param(JOB, timedelta(days=1), False, id="of a resource that is newer than the upgrade"),
        pytest.param({}, -timedelta(days=1), True, id="in a pod of an earlier release"),
    ],
)
def test_a_result_of_an_earlier_release_counts_if_it_is_older_than_the_upgrade(
    variables: dict[str, str], age: timedelta, counts: bool, finished: Pod, store: Store, server: Server
) -> None:
    pod = {**finished, **variables}
    plant(pod, store, server, UPGRADED_AT - age)

    found = report(pod)

    assert (found["repeated"], found["metrics"]["loss"]) == ((True, 0.001) if counts else (False, 0.4))

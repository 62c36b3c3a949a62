"""Several checkouts, one machine: who waits is told for whom, and a dead holder blocks nobody."""

import json
from pathlib import Path

from e2e.cluster import lock


def test_who_waits_is_told_for_whom() -> None:
    text = json.dumps({"checkout": "/home/ada/flywheel", "pid": 17, "since": "2026-01-02T03:04:05+00:00"})

    assert lock.describe("The native cluster", text) == (
        "The native cluster is being changed from /home/ada/flywheel (pid 17, since 2026-01-02T03:04:05+00:00); waiting for it"
    )


def test_a_holder_who_has_not_said_who_it_is_is_told_too() -> None:
    assert "has not yet said who it is" in lock.describe("The native cluster", "")


def test_a_lock_is_free_after_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "cluster.lock"
    with lock.exclusive_lock(path, "The native cluster"):
        assert lock.is_held(path)

    assert not lock.is_held(path)

"""A leader that sleeps for 30 s (SIGSTOP) has lost its Lease when it wakes, and writes nothing more."""

import signal
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from e2e.local_operator import LocalOperator, installed_operator_paused, lease_holder
from e2e.namespace import Namespace
from e2e.waiting import wait_until

pytestmark = pytest.mark.operator_rests

MODEL = {
    "apiVersion": "flywheel.ml/v1alpha1",
    "kind": "Model",
    "metadata": {"name": "fraud"},
    "spec": {"description": "before"},
}


def test_a_leader_that_was_paused_writes_nothing_when_it_continues(namespace: Namespace, tmp_path: Path) -> None:
    with installed_operator_paused(namespace.name) as settings:
        sleeper = LocalOperator(settings, tmp_path / "sleeper.log", "sleeper", 18083)
        heir = None
        try:
            wait_until(lambda: lease_holder(namespace.name).startswith("sleeper"), 60, sleeper.log_text)
            namespace.apply(MODEL)
            namespace.wait("fwmodel", "fraud", ready="False", seconds=30)
            heir = LocalOperator(settings, tmp_path / "heir.log", "heir", 18084)
            wait_until(lambda: "caches" in heir.log_text(), 60, "the heir does not start")
            sleeper.signal(signal.SIGSTOP)
            asleep = time.monotonic()
            wait_until(lambda: lease_holder(namespace.name).startswith("heir"), 25, heir.log_text)
            namespace.kubectl("annotate", "fwmodel", "fraud", "changed=while-asleep")
            time.sleep(max(0.0, 30 - (time.monotonic() - asleep)))
            woke = datetime.now(UTC)
            writes_before = sleeper.log_text().count("write ")
            sleeper.signal(signal.SIGCONT)
            wait_until(lambda: sleeper.process.poll() is not None, 30, sleeper.log_text)
        finally:
            sleeper.kill()
            if heir is not None:
                heir.kill()

    assert sleeper.log_text().count("write ") == writes_before, f"it wrote after it woke at {woke}"
    assert sleeper.process.returncode == 1

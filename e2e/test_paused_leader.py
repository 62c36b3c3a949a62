"""A leader that sleeps for 30 s (SIGSTOP) has lost its Lease when it wakes, and writes nothing more."""

import signal
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from e2e.local_operator import LocalOperator, deployed_operator_rests, holder
from e2e.namespace import Story
from e2e.waiting import wait_until

pytestmark = pytest.mark.operator_rests

MODEL = {
    "apiVersion": "flywheel.ml/v1alpha1",
    "kind": "Model",
    "metadata": {"name": "fraud"},
    "spec": {"description": "before"},
}


def test_it_wakes_up_and_writes_nothing(story: Story, tmp_path: Path) -> None:
    with deployed_operator_rests(story.namespace) as settings:
        sleeper = LocalOperator(settings, tmp_path / "sleeper.log", "sleeper", 18083)
        heir = None
        try:
            wait_until(lambda: holder(story.namespace).startswith("sleeper"), 60, sleeper.words)
            story.apply(MODEL)
            story.wait("fwmodel", "fraud", ready="False", seconds=30)
            heir = LocalOperator(settings, tmp_path / "heir.log", "heir", 18084)
            wait_until(lambda: "caches" in heir.words() or None, 60, "the heir does not start")
            sleeper.signal(signal.SIGSTOP)
            asleep = time.monotonic()
            wait_until(lambda: holder(story.namespace).startswith("heir"), 25, heir.words)
            story.kubectl("annotate", "fwmodel", "fraud", "changed=while-asleep")
            time.sleep(max(0.0, 30 - (time.monotonic() - asleep)))
            woke = datetime.now(UTC)
            writes_before = sleeper.words().count("write ")
            sleeper.signal(signal.SIGCONT)
            wait_until(lambda: sleeper.process.poll() is not None, 30, sleeper.words)
        finally:
            sleeper.end()
            if heir is not None:
                heir.end()

    assert sleeper.words().count("write ") == writes_before, f"it wrote after it woke at {woke}"
    assert sleeper.process.returncode == 1

"""An operator with nothing to do writes nothing: not in three minutes, with the resync set to 30 s."""

import time
from datetime import UTC, datetime

import pytest

from e2e import audit, kube
from e2e.local_operator import DEPLOYMENT
from e2e.waiting import wait_until

pytestmark = pytest.mark.alone

QUIET_SECONDS = 180
GOING_SECONDS = 180  # that the namespace of a test before may take to go, with what the operator writes about it


def test_three_idle_minutes_have_no_write_but_lease_renewals() -> None:
    wait_until(lambda: not leaving(), GOING_SECONDS, lambda: f"namespaces that do not go: {leaving()}")
    before = kube.get("deployment", "flywheel-operator", "flywheel-system") or {}
    [container] = before["spec"]["template"]["spec"]["containers"]
    resync = next((each.get("value") for each in container["env"] if each["name"] == "FLYWHEEL_RESYNC_SECONDS"), None)
    kube.kubectl("set", "env", *DEPLOYMENT, "FLYWHEEL_RESYNC_SECONDS=30")
    try:
        kube.kubectl("rollout", "status", *DEPLOYMENT, "--timeout=120s")
        time.sleep(20)  # a new leader may still have something to write
        begin = datetime.now(UTC)
        time.sleep(QUIET_SECONDS)
        written = [audit.describe_write(entry) for entry in audit.writes(begin)]
    finally:
        kube.kubectl(
            "set", "env", *DEPLOYMENT, f"FLYWHEEL_RESYNC_SECONDS={resync}" if resync else "FLYWHEEL_RESYNC_SECONDS-"
        )
        kube.kubectl("rollout", "status", *DEPLOYMENT, "--timeout=120s")

    assert written == []


def leaving() -> list[str]:
    """Namespaces that are being deleted."""
    return [
        each["metadata"]["name"]
        for each in kube.list_objects("namespaces", "")
        if each["metadata"].get("deletionTimestamp")
    ]

"""What end-to-end tests of ModelMonitors share: a run over windows that have ended, and its report."""

import json
import time
from datetime import UTC, datetime
from typing import Any

from e2e.artifacts import read_artifact
from e2e.namespace import Namespace
from e2e.waiting import wait_until

SETTLING_SECONDS = 90  # kinds/modelmonitor/progress.py
RUN_SECONDS = 120


def run_monitor(namespace: Namespace, name: str, due: datetime) -> dict[str, Any]:
    """Request a run once the windows until `due` can be tested, and return the status after it."""
    time.sleep(max(0.0, (due - datetime.now(UTC)).total_seconds() + SETTLING_SECONDS + 1))
    namespace.kubectl("annotate", "fwmon", name, "--overwrite", f"flywheel.ml/run-requested={time.time()}")

    def is_tested() -> dict[str, Any] | None:
        status: dict[str, Any] = (namespace.get("fwmon", name) or {}).get("status", {})
        tested = status.get("processedUntil")
        return status if tested and datetime.fromisoformat(tested) >= due else None

    return wait_until(is_tested, RUN_SECONDS, lambda: str((namespace.get("fwmon", name) or {}).get("status")))


def read_report(namespace: Namespace, status: dict[str, Any]) -> dict[str, Any]:
    """report.json of the last run, from the store."""
    return dict(json.loads(read_artifact(namespace, status["report"]["digest"])["report.json"]))

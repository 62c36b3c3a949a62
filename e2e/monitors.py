"""What end-to-end tests of ModelMonitors share: a run over windows that have ended, and its report."""

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from e2e.artifacts import read_artifact
from e2e.namespace import Namespace
from e2e.waiting import wait_until

SETTLING_SECONDS = 90  # kinds/modelmonitor/progress.py
RUN_SECONDS = 120


def run_monitor(namespace: Namespace, name: str, due: datetime) -> dict[str, Any]:
    """Request a run once the windows until `due` can be tested, and return the status after it."""
    [status] = run_monitors(namespace, [name], due)
    return status


def run_monitors(namespace: Namespace, monitors: Sequence[str], due: datetime) -> list[dict[str, Any]]:
    """Request a run of each, all at once, once the windows until `due` can be tested, and return their statuses after it."""
    time.sleep(max(0.0, (due - datetime.now(UTC)).total_seconds() + SETTLING_SECONDS + 1))
    namespace.kubectl("annotate", "fwmon", *monitors, "--overwrite", f"flywheel.ml/run-requested={time.time()}")

    def is_tested(name: str) -> bool:
        tested = namespace.status("fwmon", name).get("processedUntil")
        return tested is not None and datetime.fromisoformat(tested) >= due

    def describe(name: str) -> str:
        return str(namespace.status("fwmon", name))

    for name in monitors:
        wait_until(partial(is_tested, name), RUN_SECONDS, partial(describe, name))
    return [namespace.status("fwmon", name) for name in monitors]


def read_report(namespace: Namespace, status: dict[str, Any]) -> dict[str, Any]:
    """report.json of the last run, from the store."""
    return dict(json.loads(read_artifact(namespace, status["report"]["digest"])["report.json"]))

"""Each cause is delivered five times, to two operators that die after their first writes: there is one run for it."""

import json
import signal
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from e2e import audit, pipelines
from e2e.local_operator import LocalOperator, free_lease, installed_operator_paused
from e2e.namespace import Namespace
from e2e.waiting import wait_until

pytestmark = pytest.mark.operator_rests

PIPELINE = """
apiVersion: flywheel.ml/v1alpha1
kind: TrainingPipeline
metadata: {name: once}
spec:
  inputs: [{name: patients, dataset: patients}]
  steps:
  - name: work
    container:
      image: %s
      command: [python3, -c, "from flywheel_runtime import run; run.finish({'done': 1})"]
      inputs: [{name: data, from: patients}]
    cache: Never
  triggers:
  - name: new
    newData: {dataset: patients}
  - name: never
    schedule: {cron: "0 0 29 2 *"}
"""
DELIVERIES = 5


def test_one_run_for_each_cause(namespace: Namespace, tmp_path: Path) -> None:
    image, began = pipelines.runtime_image(), datetime.now(UTC)
    namespace.apply(
        pipelines.DATASET % namespace.upload("patients.csv", pipelines.patients_csv(tmp_path, 300)), PIPELINE % image
    )
    with installed_operator_paused(namespace.name) as settings:
        kill_while_it_comes(namespace, settings, tmp_path, "first")
        one = settled(namespace, settings, tmp_path, 1)
        namespace.upload("patients.csv", pipelines.patients_csv(tmp_path, 400))
        namespace.kubectl("annotate", "fwds", "patients", "flywheel.ml/check-requested=again")
        namespace.kubectl("create", "job", "--from=cronjob/once-never", "by-hand")
        kill_while_it_comes(namespace, settings, tmp_path, "second")
        three = settled(namespace, settings, tmp_path, 3)

    assert len(one) == 1
    keys = [run["spec"]["cause"]["key"] for run in three]
    assert len(set(keys)) == len(keys) == 3
    assert {run["spec"]["cause"]["trigger"] for run in three} == {"new", "never"}
    assert made(namespace, began, "trainingruns") == 3
    assert made(namespace, began, "jobs", "-work-") == 3


def kill_while_it_comes(namespace: Namespace, settings: dict[str, str], folder: Path, when: str) -> None:
    """Two operators at a time, each of which may write a few times; whoever is left is killed. Each cause is touched in between."""
    for number in range(1, DELIVERIES + 1):
        pair = [
            LocalOperator(
                settings,
                folder / f"{when}-{number}-{side}.log",
                f"{when}-{number}-{side}",
                18180 + side,
                FLYWHEEL_DIE_AFTER_WRITES=str(number),
            )
            for side in (1, 2)
        ]
        try:
            patch = json.dumps({"metadata": {"annotations": {"test/touched": f"{when}-{number}"}}})
            for kind, name in (("fwds", "patients"), ("fwpipe", "once")):
                namespace.kubectl("patch", kind, name, "--type=merge", "--patch", patch)
            one_has_died(pair)
        finally:
            for each in pair:
                each.signal(signal.SIGKILL)
                each.kill()
        free_lease(namespace)


def one_has_died(pair: list[LocalOperator]) -> None:
    """Or ten seconds are over: with nothing to write nobody dies, and then they are killed where they are."""
    with suppress(TimeoutError):
        wait_until(lambda: any(each.process.poll() is not None for each in pair), 10)


def settled(namespace: Namespace, settings: dict[str, str], folder: Path, count: int) -> list[dict[str, Any]]:
    survivor = LocalOperator(settings, folder / f"survivor-{count}.log", f"survivor-{count}", 18183)
    try:
        wait_until(
            lambda: len(pipelines.list_runs(namespace)) >= count, 180, lambda: f"{pipelines.list_runs(namespace)}"
        )
        for run in pipelines.list_runs(namespace):
            assert pipelines.wait_for_run(namespace, run["metadata"]["name"])["result"] == "Succeeded"
        namespace.wait("fwpipe", "once", reason="Live")
        return pipelines.list_runs(namespace)
    finally:
        survivor.kill()
        free_lease(namespace)


def made(namespace: Namespace, began: datetime, resource: str, part: str = "") -> int:
    """How many the API server has made."""
    found = 0
    for entry in audit.writes(began):
        where = entry.get("objectRef", {})
        here = where.get("namespace") == namespace.name and where.get("resource") == resource
        found += (
            here
            and entry["responseStatus"]["code"] == 201
            and part in where["name"]
            and entry["userAgent"] == "flywheel"
        )
    return found

"""Two minutes without an operator: ticks pile up, one run answers them all, and the others are explained by it."""

import time
from pathlib import Path
from typing import Any

import pytest

from e2e import kube, pipelines
from e2e.local_operator import LocalOperator, installed_operator_paused
from e2e.namespace import Namespace
from e2e.waiting import wait_until

pytestmark = pytest.mark.operator_rests

PIPELINE = """
apiVersion: flywheel.ml/v1alpha1
kind: TrainingPipeline
metadata: {name: late}
spec:
  steps:
  - name: work
    container:
      image: %s
      command: [python3, -c, "from flywheel_runtime import run; run.finish({'done': 1})"]
    cache: Never
  triggers:
  - name: each-minute
    schedule: {cron: "* * * * *", concurrencyPolicy: Allow}
"""


def ticks(namespace: Namespace) -> list[dict[str, Any]]:
    found = kube.list_objects("jobs", namespace.name)
    return [job for job in found if job["metadata"]["labels"].get("flywheel.ml/trigger-name") == "each-minute"]


def test_one_run_for_all_that_was_missed(namespace: Namespace, tmp_path: Path) -> None:
    image = pipelines.runtime_image()
    with installed_operator_paused(namespace.name) as settings:
        first = LocalOperator(settings, tmp_path / "first.log", "first", 18170)
        try:
            namespace.apply(PIPELINE % image)
            namespace.wait("fwpipe", "late", reason="Live")
        finally:
            first.kill()
        before = {run["metadata"]["name"] for run in pipelines.list_runs(namespace)}
        wait_until(
            lambda: len([job for job in ticks(namespace) if not job["status"].get("completionTime")]) >= 3,
            300,
            "no three ticks",
        )
        waiting = {job["metadata"]["name"] for job in ticks(namespace) if not job["status"].get("completionTime")}

        second = LocalOperator(settings, tmp_path / "second.log", "second", 18171)
        try:
            wait_until(
                lambda: (
                    [run for run in pipelines.list_runs(namespace) if run["metadata"]["name"] not in before] or None
                ),
                60,
                second.log_text,
            )
            namespace.kubectl("patch", "fwpipe", "late", "--type=merge", "--patch", '{"spec": {"suspend": true}}')
            time.sleep(5)
            new = [run for run in pipelines.list_runs(namespace) if run["metadata"]["name"] not in before]
            answered = {run["spec"]["cause"]["tick"] for run in new}
            for run in new:
                assert pipelines.wait_for_run(namespace, run["metadata"]["name"])["result"] == "Succeeded"
            wait_until(
                lambda: all(
                    job["status"].get("completionTime")
                    for job in ticks(namespace)
                    if job["metadata"]["name"] in waiting
                ),
                60,
                lambda: f"ticks are left: {[job['metadata']['name'] for job in ticks(namespace)]}",
            )
        finally:
            second.kill()

    # The newest of those that waited; one more tick may have come while the operator started.
    assert 1 <= len(new) <= 2
    assert max(waiting) in answered
    assert not answered & (waiting - {max(waiting)})

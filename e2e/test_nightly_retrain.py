"""A real schedule, each minute: every tick starts one run, starts no pod of its own, and is over when its run is."""

from typing import Any

import pytest

from e2e import kube, pipelines
from e2e.namespace import Namespace
from e2e.waiting import wait_until

PIPELINE = """
apiVersion: flywheel.ml/v1alpha1
kind: TrainingPipeline
metadata: {name: nightly}
spec:
  steps:
  - name: work
    container:
      image: %s
      command: [python3, -c, "from flywheel_runtime import run; run.finish({'done': 1})"]
      parameters: {day: $(run.date)}
    cache: Never
  triggers:
  - name: each-minute
    schedule: {cron: "* * * * *", timeZone: America/New_York}
"""


@pytest.fixture(scope="module")
def nightly(namespace: Namespace) -> Namespace:
    namespace.apply(PIPELINE % pipelines.runtime_image())
    namespace.wait("fwpipe", "nightly", reason="Live")
    wait_until(lambda: len(done(namespace)) >= 2, 200, lambda: f"never two runs: {pipelines.list_runs(namespace)}")
    return namespace


def done(namespace: Namespace) -> list[dict[str, Any]]:
    return [run for run in pipelines.list_runs(namespace) if (run.get("status") or {}).get("result") == "Succeeded"]


def test_each_tick_has_one_run_with_its_scheduled_time(nightly: Namespace) -> None:
    found = pipelines.list_runs(nightly)
    times = [run["spec"]["cause"]["scheduled"] for run in found]

    assert len(set(times)) == len(times) >= 2
    assert all(run["spec"]["cause"]["trigger"] == "each-minute" for run in found)
    assert {run["metadata"]["name"].rpartition("-")[0] for run in found} == {"nightly-each-minute"}


def test_ticks_start_no_pod_and_end_with_their_run(nightly: Namespace) -> None:
    first = done(nightly)[0]["spec"]["cause"]["tick"]
    pods = {
        pod["metadata"]["labels"].get("batch.kubernetes.io/job-name") for pod in kube.list_objects("pods", nightly.name)
    }
    ticks = [
        job
        for job in kube.list_objects("jobs", nightly.name)
        if "flywheel.ml/trigger-name" in job["metadata"]["labels"]
    ]

    assert not pods & {job["metadata"]["name"] for job in ticks}
    assert all(job["status"].get("completionTime") for job in ticks if job["metadata"]["name"] == first)


def test_the_pipeline_says_what_its_trigger_did(nightly: Namespace) -> None:
    pipeline = nightly.get("fwpipe", "nightly") or {}
    [trigger] = pipeline["status"]["triggers"]

    assert trigger["fired"]["run"] in {run["metadata"]["name"] for run in pipelines.list_runs(nightly)}
    assert "the schedule '* * * * *' (America/New_York) ticked" in trigger["fired"]["cause"]


def test_suspended_it_fires_no_more(nightly: Namespace) -> None:
    nightly.kubectl("patch", "fwpipe", "nightly", "--type=merge", "--patch", '{"spec": {"suspend": true}}')
    nightly.wait("fwpipe", "nightly", reason="Suspended")

    assert (nightly.get("cronjob", "nightly-each-minute") or {})["spec"]["suspend"] is True

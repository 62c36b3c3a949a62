"""Each run of a pipeline that succeeds starts one run of the next, on its outputs, by operators that die after their first writes."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from e2e import pipelines
from e2e.local_operator import LocalOperator, free_lease, installed_operator_paused
from e2e.namespace import Namespace
from e2e.waiting import wait_until

pytestmark = pytest.mark.operator_rests

PIPELINES = """
apiVersion: flywheel.ml/v1alpha1
kind: TrainingPipeline
metadata: {name: features}
spec:
  parameters: [{name: radius, type: Integer}]
  inputs: [{name: patients, dataset: patients}]
  steps:
  - name: large
    prepare: {from: [patients], sql: "SELECT * FROM patients WHERE mean_radius > $(params.radius)"}
---
apiVersion: flywheel.ml/v1alpha1
kind: TrainingPipeline
metadata: {name: count}
spec:
  inputs: [{name: large, run: {pipeline: features, step: large}}]
  steps:
  - {name: numbered, prepare: {from: [large], sql: "SELECT *, patient + 1 AS number FROM large"}}
  triggers:
  - {name: after, run: {pipeline: features}}
"""
RADII = (0, 12)
DEATHS = (2, 3, 5, 4)  # writes after which each operator dies


def test_each_success_starts_one_run_on_its_outputs(namespace: Namespace, tmp_path: Path) -> None:
    source = namespace.upload("patients.csv", pipelines.patients_csv(tmp_path, 300))
    with installed_operator_paused(namespace.name) as settings:
        with operator(namespace, settings, tmp_path / "first.log"):
            namespace.apply(pipelines.DATASET % source, PIPELINES)
            namespace.wait("fwds", "patients")
            for name in ("features", "count"):
                namespace.wait("fwpipe", name, reason="Live")
        for radius in RADII:
            pipelines.start_run(namespace, f"large-{radius}", "features", f", parameters: {{radius: {radius}}}")
        for number, writes in enumerate(DEATHS):
            log = tmp_path / f"{number}.log"
            with operator(namespace, settings, log, FLYWHEEL_DIE_AFTER_WRITES=str(writes)) as dying:
                wait_for_death(dying)
        for name in ("survivor", "another"):  # the second one has an empty cache, and must start nothing
            with operator(namespace, settings, tmp_path / f"{name}.log"):
                wait_until(
                    lambda: len(ended(namespace)) >= len(RADII), 180, lambda: f"not one for each: {started(namespace)}"
                )
                touch_pipelines(namespace, name)
                namespace.wait("fwpipe", "count")

    produced = {name: output_of(namespace, name) for name in (f"large-{radius}" for radius in RADII)}
    used = [run["status"]["inputs"][0] for run in started(namespace)]
    assert {each["run"]: each["digest"] for each in used} == produced
    assert len(set(produced.values())) == len(used) == len(RADII)
    assert [run["status"]["result"] for run in started(namespace)] == ["Succeeded"] * len(RADII)
    assert {run["spec"]["cause"]["run"] for run in started(namespace)} == set(produced)


@contextmanager
def operator(namespace: Namespace, settings: dict[str, str], log: Path, **more: str) -> Iterator[LocalOperator]:
    """An operator of this story alone, which is killed at the end."""
    running = LocalOperator(settings, log, log.stem, 18190, **more)
    try:
        yield running
    finally:
        running.kill()
        free_lease(namespace)


def wait_for_death(dying: LocalOperator) -> None:
    """Wait until it has died, at most 15 seconds: with nothing to write nobody dies."""
    with suppress(TimeoutError):
        wait_until(lambda: dying.process.poll() is not None, 15)


def touch_pipelines(namespace: Namespace, value: str) -> None:
    """Deliver each pipeline to the operator once more."""
    patch = json.dumps({"metadata": {"annotations": {"test/touched": value}}})
    for name in ("features", "count"):
        namespace.kubectl("patch", "fwpipe", name, "--type=merge", "--patch", patch)


def started(namespace: Namespace) -> list[dict[str, Any]]:
    """The runs that the trigger has started."""
    return [run for run in pipelines.list_runs(namespace) if run["spec"]["pipeline"] == "count"]


def ended(namespace: Namespace) -> list[dict[str, Any]]:
    """Those of them that have ended."""
    return [run for run in started(namespace) if (run.get("status") or {}).get("result")]


def output_of(namespace: Namespace, run: str) -> str:
    """The digest of the data that a run of the first pipeline has left."""
    status = (namespace.get("fwrun", run) or {})["status"]
    return str(pipelines.step_status(status, "large")["outputs"]["data"])

"""`flywheel test` before there is anything, then `flywheel run --wait`: what people and CI do with a pipeline."""

from pathlib import Path

import pytest

from e2e import pipelines
from e2e.flywheel_command import Flywheel
from e2e.namespace import RUNNER, Namespace

PIPELINE = """
apiVersion: flywheel.ml/v1alpha1
kind: TrainingPipeline
metadata: {name: commanded}
spec:
  parameters: [{name: code, type: Integer, default: "0"}]
  steps:
  - name: first
    container:
      image: %(image)s
      command: [python3, -c, "import sys; from flywheel_runtime import run; run.params['code'] and sys.exit('asked to fail'); run.finish({'done': 1})"]
      parameters: {code: $(params.code)}
  - name: second
    container:
      image: %(image)s
      command: [python3, -c, "from flywheel_runtime import run; run.finish({'done': 2})"]
    dependsOn: [first]
"""


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    file = tmp_path / "pipeline.yaml"
    file.write_text(PIPELINE % {"image": pipelines.runtime_image()})
    return file


def test_a_namespace_that_is_not_ready_for_it_is_found_first(
    namespace: Namespace, flywheel: Flywheel, manifest: Path
) -> None:
    namespace.kubectl("delete", "serviceaccount", RUNNER)
    output = flywheel("test", "-f", manifest, code=1)
    namespace.kubectl("create", "serviceaccount", RUNNER)

    assert f'serviceaccount "{RUNNER}" not found' in output
    assert namespace.get("fwpipe", "commanded") is None


def test_every_pod_would_be_admitted(namespace: Namespace, flywheel: Flywheel, manifest: Path) -> None:
    output = flywheel("test", "-f", manifest)

    assert output.count("accepted  a pod of Job 'commanded-run-") == 2
    assert namespace.kubectl("get", "jobs,pods,fwpipe", "--output", "name") == ""


def test_a_run_is_followed_until_it_succeeds(namespace: Namespace, flywheel: Flywheel, manifest: Path) -> None:
    namespace.apply(manifest)
    namespace.wait("fwpipe", "commanded", reason="Live")

    output = flywheel("run", "commanded", "--wait", "--timeout", "3m")

    assert output.index("step 'first' Succeeded") < output.index("step 'second' Succeeded")


def test_a_run_that_fails_says_so_by_its_exit_code(flywheel: Flywheel) -> None:
    output = flywheel("run", "commanded", "-p", "code=3", "--wait", "--timeout", "3m", code=1)

    assert "asked to fail" in output


def test_an_unknown_parameter_is_named(flywheel: Flywheel) -> None:
    output = flywheel("run", "commanded", "-p", "mood=good", "--wait", "--timeout", "1m", code=1)

    assert "spec.parameters.mood: the pipeline has no such parameter; it has code" in output


def test_a_run_of_a_pipeline_that_is_there_shows_its_first_step(flywheel: Flywheel, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(
        "{apiVersion: flywheel.ml/v1alpha1, kind: TrainingRun, metadata: {generateName: once-}, spec: {pipeline: commanded}}"
    )

    output = flywheel("test", "-f", tmp_path / "run.yaml")

    assert "accepted  Job 'once-test-first-1-" in output

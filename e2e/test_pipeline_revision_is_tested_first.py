"""A changed pipeline is tried before triggers use it; one that fails its trial changes nothing for anybody."""

import json

import pytest

from e2e import pipelines
from e2e.namespace import Namespace

GOOD = "from flywheel_runtime import run; run.finish({'rows': 100, 'version': %d})"
BAD = "raise SystemExit('no module named transformers')"
PIPELINE = """
apiVersion: flywheel.ml/v1alpha1
kind: TrainingPipeline
metadata: {name: delivered}
spec:
  steps:
  - name: work
    container:
      image: %s
      command: [python3, -c, "%s"]
  - name: effect
    container:
      image: %s
      command: [python3, -c, "from flywheel_runtime import run; run.finish({})"]
    cache: Never
    dependsOn: [work]
  test:
    timeout: 5m
    checks: [{step: work, metric: rows, min: "50"}]
"""


def applied(namespace: Namespace, command: str) -> None:
    image = pipelines.runtime_image()
    namespace.apply(PIPELINE % (image, command, image))


@pytest.fixture(scope="module")
def delivered(namespace: Namespace) -> Namespace:
    applied(namespace, GOOD % 1)
    namespace.wait("fwpipe", "delivered", reason="Live", seconds=180)
    return namespace


def live(namespace: Namespace) -> str:
    return str((namespace.get("fwpipe", "delivered") or {})["status"]["revision"])


def test_the_test_run_had_no_side_effects(delivered: Namespace) -> None:
    [first] = pipelines.list_runs(delivered)

    assert first["spec"]["test"] is True
    assert pipelines.step_status(first["status"], "effect")["reason"] == "TestRun"


def test_a_revision_that_fails_its_trial_leaves_the_old_one_live(delivered: Namespace) -> None:
    before = live(delivered)
    applied(delivered, BAD)
    condition = delivered.wait("fwpipe", "delivered", reason="TestFailed", seconds=180)

    assert live(delivered) == before
    assert "no module named transformers" in condition["message"]
    pipelines.start_run(delivered, "by-hand", "delivered")
    status = pipelines.wait_for_run(delivered, "by-hand")
    assert (status["result"], status["revision"]) == ("Succeeded", before)


def test_a_revision_that_passes_becomes_live_and_can_be_rolled_back(delivered: Namespace) -> None:
    before = live(delivered)
    applied(delivered, GOOD % 2)
    delivered.wait("fwpipe", "delivered", reason="Live", seconds=180)
    revisions = (delivered.get("fwpipe", "delivered") or {})["status"]["revisions"]

    assert live(delivered) != before
    assert [each["state"] for each in revisions] == ["Passed", "Failed", "Passed"]
    delivered.kubectl(
        "patch", "fwpipe", "delivered", "--type=merge", "--patch", json.dumps({"spec": {"revision": before}})
    )
    condition = delivered.wait("fwpipe", "delivered", reason="Live")
    assert live(delivered) == before
    assert "pinned" in condition["message"]


def test_checks_of_the_test_run_count(delivered: Namespace) -> None:
    few = "from flywheel_runtime import run; run.finish({'rows': 10})"
    delivered.kubectl(
        "patch", "fwpipe", "delivered", "--type=json", "--patch", '[{"op": "remove", "path": "/spec/revision"}]'
    )
    applied(delivered, few)
    condition = delivered.wait("fwpipe", "delivered", reason="TestFailed", seconds=180)

    assert "step 'work' of the test run has rows 10, below 50" in condition["message"]

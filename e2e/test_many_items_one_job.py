"""One Indexed Job for many items: each has its own parameters and its own result, one that fails stops no other, and another attempt
may do only what is left. First without any kind, then as a pipeline's forEach."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from e2e import audit, kube, pipelines
from e2e.cluster import images
from e2e.namespace import Namespace
from e2e.waiting import wait_until
from flywheel.core.diagnosis import indexed_outcome
from flywheel.core.diagnosis.outcome import Outcome, is_finished
from flywheel.core.pods.indexed_job import ItemSet
from flywheel.core.pods.job import Step, step_job
from flywheel.core.resource.ownership import with_owner
from flywheel.core.resource.schema import Resources
from flywheel.core.settings import Settings
from flywheel.kinds.experiment.kind import KIND
from tests.simulation import resource

SCRIPT = """
from flywheel_runtime import run
month = run.params["month"]
if month == 1:
    raise SystemExit("no flights in month 1")
(run.output("part") / "month.txt").write_text(str(month))
run.finish({"month": month, "year": run.params["year"]})
"""
MONTHS = tuple({"month": month} for month in (1, 2, 3, 4))


@pytest.fixture(scope="module")
def first(namespace: Namespace) -> dict[int, Outcome]:
    return outcomes(namespace, ItemSet(MONTHS, parallelism=2), attempt=1)


def outcomes(namespace: Namespace, each: ItemSet, attempt: int) -> dict[int, Outcome]:
    """What is read of the Job when it is over."""
    owner = resource(KIND, "flights", {"dataset": "flights", "trainer": {"sklearn": {}}}, namespace=namespace.name)
    step = Step(
        name="months",
        attempt=attempt,
        image=images.recorded()["runtime"]["image"],
        command=("python3", "-c", SCRIPT),
        params={"year": 2013},
        outputs=("part",),
        resources=Resources(requests={"cpu": "20m", "memory": "64Mi"}),
        indexed=each,
    )
    child = step_job(owner, step, Settings(runtime_image=images.recorded()["runtime"]["image"]))
    manifest = with_owner(owner, child)
    del manifest["metadata"]["ownerReferences"]  # nobody of that uid lives here, and what has no owner left is removed
    # The policies let nobody but the operator create a Job with our labels.
    namespace.kubectl("apply", "--server-side", "--as", audit.OPERATOR, "--filename", "-", stdin=json.dumps(manifest))

    def over() -> Mapping[str, Any] | None:
        job = namespace.get("job", child.name)
        return job if job is not None and is_finished(job) else None

    job = wait_until(over, 120, lambda: namespace.kubectl("get", "pods"))
    pods = kube.list_objects("pods", namespace.name)
    mine = [pod for pod in pods if pod["metadata"]["labels"].get("batch.kubernetes.io/job-name") == child.name]
    return indexed_outcome.item_outcomes(job, mine)


def test_every_item_ends_by_itself(first: dict[int, Outcome]) -> None:
    """The first fails before the last ones have begun."""
    assert {item: found.result for item, found in first.items()} == {
        0: "Failed",
        1: "Succeeded",
        2: "Succeeded",
        3: "Succeeded",
    }
    assert "no flights in month 1" in first[0].message


def test_every_item_has_its_own_parameters_and_output(first: dict[int, Outcome]) -> None:
    assert {item: dict(first[item].metrics) for item in (1, 3)} == {
        1: {"month": 2, "year": 2013},
        3: {"month": 4, "year": 2013},
    }
    assert len({first[item].outputs["part"] for item in (1, 2, 3)}) == 3


def test_another_attempt_does_only_what_is_left(namespace: Namespace, first: dict[int, Outcome]) -> None:
    found = outcomes(namespace, ItemSet(({"month": 12}, {}, {}, {}), parallelism=2, items=(0,)), attempt=2)

    assert {item: each.metrics["month"] for item, each in found.items()} == {0: 12}


def test_they_are_judged_together(first: dict[int, Outcome]) -> None:
    found = indexed_outcome.merge_outcomes(first, len(MONTHS))

    assert found.result == "Failed"
    assert found.message.startswith("1 of 4 items did not succeed; item 0:")


PIPELINE = """
apiVersion: flywheel.ml/v1alpha1
kind: TrainingPipeline
metadata: {name: yearly}
spec:
  parameters: [{name: last, type: Integer, default: "3"}]
  steps:
  - name: months
    container:
      image: %(image)s
      command: [python3, -c, "from flywheel_runtime import run; month = run.params['month']; (run.output('part') / 'n').write_text(str(month)); run.finish({'month': month})"]
      outputs: [part]
      forEach:
        parallelism: 2
        items: [{month: 1}, {month: 2}, {month: $(params.last)}]
  - name: year
    container:
      image: %(image)s
      command: [python3, -c, "from flywheel_runtime import run; run.finish({'sum': sum(int((run.input(f'months-{item}') / 'n').read_text()) for item in range(3))})"]
      inputs: [{name: months, from: months}]
"""


def test_a_pipelines_for_each_hands_every_item_on(namespace: Namespace) -> None:
    namespace.apply(PIPELINE % {"image": images.recorded()["runtime"]["image"]})
    namespace.wait("fwpipe", "yearly", reason="Live")
    pipelines.start_run(namespace, "one", "yearly")

    status = pipelines.wait_for_run(namespace, "one")

    assert status["result"] == "Succeeded", status
    assert set(pipelines.step_status(status, "months")["outputs"]) == {"part-0", "part-1", "part-2"}
    assert pipelines.step_status(status, "months")["metrics"] == {"month": "2"}
    assert pipelines.step_status(status, "year")["metrics"] == {"sum": "6"}

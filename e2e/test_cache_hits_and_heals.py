"""A run takes what an earlier one did, says so, starts no pod for it; and makes again what the store has lost."""

import pytest

from e2e import kube, pipelines
from e2e.namespace import Namespace

PIPELINE = """
apiVersion: flywheel.ml/v1alpha1
kind: TrainingPipeline
metadata: {name: chain}
spec:
  parameters: [{name: size, type: Integer, default: "3"}]
  steps:
  - name: first
    container:
      image: %(image)s
      command: [python3, -c, "from flywheel_runtime import run; (run.output('data') / 'a.txt').write_text('a' * run.params['size']); run.finish({'size': run.params['size']})"]
      parameters: {size: $(params.size)}
      outputs: [data]
  - name: second
    container:
      image: %(image)s
      command: [python3, -c, "from flywheel_runtime import run; text = (run.input('first') / 'a.txt').read_text(); (run.output('data') / 'b.txt').write_text(text.upper()); run.finish({'length': len(text)})"]
      inputs: [{name: first, from: first}]
      outputs: [data]
  - name: third
    container:
      image: %(image)s
      command: [python3, -c, "import os; from flywheel_runtime import run; text = (run.input('second') / 'b.txt').read_text(); run.finish({'length': len(text)})"]
      args: [$(params.size)]
      inputs: [{name: second, from: second}]
    cache: Never
"""


@pytest.fixture(scope="module")
def chain(namespace: Namespace) -> Namespace:
    namespace.apply(PIPELINE % {"image": pipelines.runtime_image()})
    namespace.wait("fwpipe", "chain", reason="Live")
    pipelines.start_run(namespace, "one", "chain")
    status = pipelines.wait_for_run(namespace, "one")
    assert status["result"] == "Succeeded", status
    return namespace


def test_the_first_run_does_everything_and_says_why(chain: Namespace) -> None:
    status = pipelines.wait_for_run(chain, "one")

    assert [each["cache"] for each in status["steps"]] == ["Miss", "Miss", "Miss"]
    assert pipelines.step_status(status, "third")["cacheReason"] == "cache: Never"
    assert pipelines.step_status(status, "second")["metrics"] == {"length": "3"}


def test_the_second_run_takes_two_steps_from_the_first(chain: Namespace) -> None:
    pipelines.start_run(chain, "two", "chain")
    status = pipelines.wait_for_run(chain, "two")

    assert [each["cache"] for each in status["steps"]] == ["Hit", "Hit", "Miss"]
    assert "run 'one'" in pipelines.step_status(status, "first")["cacheReason"]
    pods = {
        pod["metadata"]["labels"]["flywheel.ml/name"] + "/" + pod["metadata"]["labels"]["flywheel.ml/step"]
        for pod in kube.list_objects("pods", chain.name)
    }
    assert not pods & {"two/first", "two/second"}


def test_another_parameter_is_other_work(chain: Namespace) -> None:
    pipelines.start_run(chain, "three", "chain", ", parameters: {size: 4}")
    status = pipelines.wait_for_run(chain, "three")

    assert [each["cache"] for each in status["steps"]] == ["Miss", "Miss", "Miss"]
    assert pipelines.step_status(status, "third")["metrics"] == {"length": "4"}


def test_what_the_store_has_lost_is_made_again(chain: Namespace) -> None:
    digest = pipelines.step_status(pipelines.wait_for_run(chain, "one"), "second")["outputs"]["data"].removeprefix(
        "sha256:"
    )
    store, bucket = kube.store(), kube.bucket()
    store.delete_object(Bucket=bucket, Key=f"{chain.name}/manifests/sha256/{digest}.json")

    pipelines.start_run(chain, "four", "chain")
    status = pipelines.wait_for_run(chain, "four")

    assert status["result"] == "Succeeded", status
    second = pipelines.step_status(status, "second")
    assert (second["cache"], second["outputs"]["data"]) == ("Miss", f"sha256:{digest}")
    assert "lost" in second["cacheReason"]
    assert pipelines.step_status(status, "first")["cache"] == "Hit"
    store.head_object(Bucket=bucket, Key=f"{chain.name}/manifests/sha256/{digest}.json")

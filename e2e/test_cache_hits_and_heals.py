"""A run takes what an earlier one did, says so, starts no pod for it; and makes again what the store has lost."""

import pytest

from e2e import kube, pipelines
from e2e.namespace import Story

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
def chain(story: Story) -> Story:
    story.apply(PIPELINE % {"image": pipelines.runtime_image()})
    story.wait("fwpipe", "chain", reason="Live")
    pipelines.start(story, "one", "chain")
    status = pipelines.ended(story, "one")
    assert status["result"] == "Succeeded", status
    return story


def test_the_first_run_does_everything_and_says_why(chain: Story) -> None:
    status = pipelines.ended(chain, "one")

    assert [each["cache"] for each in status["steps"]] == ["Miss", "Miss", "Miss"]
    assert pipelines.step(status, "third")["cacheReason"] == "cache: Never"
    assert pipelines.step(status, "second")["metrics"] == {"length": "3"}


def test_the_second_run_takes_two_steps_from_the_first(chain: Story) -> None:
    pipelines.start(chain, "two", "chain")
    status = pipelines.ended(chain, "two")

    assert [each["cache"] for each in status["steps"]] == ["Hit", "Hit", "Miss"]
    assert "run 'one'" in pipelines.step(status, "first")["cacheReason"]
    pods = {
        pod["metadata"]["labels"]["flywheel.ml/name"] + "/" + pod["metadata"]["labels"]["flywheel.ml/step"]
        for pod in kube.listed("pods", chain.namespace)
    }
    assert not pods & {"two/first", "two/second"}


def test_another_parameter_is_other_work(chain: Story) -> None:
    pipelines.start(chain, "three", "chain", ", parameters: {size: 4}")
    status = pipelines.ended(chain, "three")

    assert [each["cache"] for each in status["steps"]] == ["Miss", "Miss", "Miss"]
    assert pipelines.step(status, "third")["metrics"] == {"length": "4"}


def test_what_the_store_has_lost_is_made_again(chain: Story) -> None:
    digest = pipelines.step(pipelines.ended(chain, "one"), "second")["outputs"]["data"].removeprefix("sha256:")
    store, bucket = kube.store(), kube.bucket()
    store.delete_object(Bucket=bucket, Key=f"{chain.namespace}/manifests/sha256/{digest}.json")

    pipelines.start(chain, "four", "chain")
    status = pipelines.ended(chain, "four")

    assert status["result"] == "Succeeded", status
    second = pipelines.step(status, "second")
    assert (second["cache"], second["outputs"]["data"]) == ("Miss", f"sha256:{digest}")
    assert "lost" in second["cacheReason"]
    assert pipelines.step(status, "first")["cache"] == "Hit"
    store.head_object(Bucket=bucket, Key=f"{chain.namespace}/manifests/sha256/{digest}.json")

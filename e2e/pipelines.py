"""What stories of pipelines share: patients' measurements as a Dataset, steps in the runtime image, waiting for runs."""

from pathlib import Path
from typing import Any

from sklearn.datasets import load_breast_cancer

from e2e import kube
from e2e.namespace import Story
from e2e.waiting import wait_until

DATASET = """
apiVersion: flywheel.ml/v1alpha1
kind: Dataset
metadata: {name: patients}
spec:
  source: {s3: {uri: "%s"}}
  target: malignant
  keys: [patient]
"""
RUN = """
apiVersion: flywheel.ml/v1alpha1
kind: TrainingRun
metadata: {name: %s}
spec: {pipeline: %s%s}
"""


def patients(folder: Path, rows: int = 569) -> bytes:
    """The first rows of scikit-learn's breast cancer data as CSV, with a key."""
    data = load_breast_cancer(as_frame=True)
    frame = data.data.rename(columns=lambda name: name.replace(" ", "_"))
    frame["malignant"] = 1 - data.target
    frame["patient"] = range(len(frame))
    path = folder / "patients.csv"
    frame.head(rows).to_csv(path, index=False)
    return path.read_bytes()


def begun(story: Story, folder: Path, pipeline: str, name: str) -> None:
    """The patients as a Dataset, the pipeline of that name, and its first run by hand, `one`."""
    story.apply(DATASET % story.put("patients.csv", patients(folder)), pipeline)
    story.wait("fwds", "patients")
    story.wait("fwpipe", name, reason="Live")
    start(story, "one", name)


def runtime_image() -> str:
    """Any Python code can be a container's in it."""
    deployment = kube.get("deployment", "flywheel-operator", "flywheel-system")
    assert deployment is not None, "the chart is not installed; run 'make deploy'"
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    return next(str(each["value"]) for each in container["env"] if each["name"] == "FLYWHEEL_RUNTIME_IMAGE")


def start(story: Story, name: str, pipeline: str, more: str = "") -> None:
    """A run by hand; `more` is the rest of its spec, such as ", parameters: {months: 6}"."""
    story.apply(RUN % (name, pipeline, more))


def ended(story: Story, name: str, seconds: float = 240) -> dict[str, Any]:
    """The status of a run, once it has ended."""

    def found() -> dict[str, Any] | None:
        status: dict[str, Any] = (story.get("fwrun", name) or {}).get("status") or {}
        return status if status.get("result") else None

    return wait_until(found, seconds, lambda: f"run {name} does not end: {story.get('fwrun', name)}")


def step(status: dict[str, Any], name: str) -> dict[str, Any]:
    """One step of a run's status."""
    return next(each for each in status["steps"] if each["name"] == name)


def runs(story: Story) -> list[dict[str, Any]]:
    """All runs of the namespace, oldest first."""
    return sorted(kube.listed("fwrun", story.namespace), key=lambda run: str(run["metadata"]["creationTimestamp"]))

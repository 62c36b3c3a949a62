"""What end-to-end tests of pipelines share: patients' measurements as a Dataset, steps in the runtime image, waiting for runs."""

from pathlib import Path
from typing import Any

from e2e import kube
from e2e.manifests import PATIENTS, read_patients
from e2e.namespace import Namespace
from e2e.waiting import wait_until

DATASET = PATIENTS + "  keys: [patient]\n"
RUN = """
apiVersion: flywheel.ml/v1alpha1
kind: TrainingRun
metadata: {name: %s}
spec: {pipeline: %s%s}
"""


def patients_csv(folder: Path, rows: int = 569) -> bytes:
    """The first rows of scikit-learn's breast cancer data as CSV, with a key."""
    frame = read_patients()
    frame["patient"] = range(len(frame))
    path = folder / "patients.csv"
    frame.head(rows).to_csv(path, index=False)
    return path.read_bytes()


def create_pipeline(namespace: Namespace, folder: Path, pipeline: str, name: str) -> None:
    """The patients as a Dataset, the pipeline of that name, and its first run by hand, `one`."""
    namespace.apply(DATASET % namespace.upload("patients.csv", patients_csv(folder)), pipeline)
    namespace.wait("fwds", "patients")
    namespace.wait("fwpipe", name, reason="Live")
    start_run(namespace, "one", name)


def runtime_image() -> str:
    """Any Python code can be a container's in it."""
    deployment = kube.get("deployment", "flywheel-operator", "flywheel-system")
    assert deployment is not None, "the chart is not installed; run 'make deploy'"
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    return next(str(each["value"]) for each in container["env"] if each["name"] == "FLYWHEEL_RUNTIME_IMAGE")


def start_run(namespace: Namespace, name: str, pipeline: str, more: str = "") -> None:
    """A run by hand; `more` is the rest of its spec, such as ", parameters: {months: 6}"."""
    namespace.apply(RUN % (name, pipeline, more))


def wait_for_run(namespace: Namespace, name: str, seconds: float = 240) -> dict[str, Any]:
    """The status of a run, once it has ended."""

    def found() -> dict[str, Any] | None:
        status: dict[str, Any] = (namespace.get("fwrun", name) or {}).get("status") or {}
        return status if status.get("result") else None

    return wait_until(found, seconds, lambda: f"run {name} does not end: {namespace.get('fwrun', name)}")


def step_status(status: dict[str, Any], name: str) -> dict[str, Any]:
    """One step of a run's status."""
    return next(each for each in status["steps"] if each["name"] == name)


def list_runs(namespace: Namespace) -> list[dict[str, Any]]:
    """All runs of the namespace, oldest first."""
    return sorted(kube.list_objects("fwrun", namespace.name), key=lambda run: str(run["metadata"]["creationTimestamp"]))

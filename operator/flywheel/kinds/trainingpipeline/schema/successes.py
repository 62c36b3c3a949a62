"""Runs of a pipeline that succeeded, whose outputs other pipelines may take."""

from flywheel.core.resource.api import TRAINING_PIPELINE, TRAINING_RUN, Manifest, Reference
from flywheel.core.resource.kind import Cluster


def find_successes(namespace: str, pipeline: str, cluster: Cluster) -> list[Manifest]:
    """The TrainingRuns of the pipeline that succeeded, in the order in which they ended. Tests and reproductions of runs do not count."""
    runs = cluster.referrers(TRAINING_RUN, Reference(TRAINING_PIPELINE, namespace, pipeline))
    found = [each for each in runs if each["spec"].get("pipeline") == pipeline and _counts(each)]
    return sorted(found, key=lambda each: (each["status"]["completionTime"], each["metadata"]["name"]))


def _counts(run: Manifest) -> bool:
    spec, status = run["spec"], run.get("status") or {}
    has_succeeded = status.get("result") == "Succeeded" and bool(status.get("completionTime"))
    return has_succeeded and not spec.get("test") and not spec.get("reproduceOf")

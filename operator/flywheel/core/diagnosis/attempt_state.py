"""What is known of an attempt while its Job exists: how it ended, or why it does not run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flywheel.core.diagnosis.indexed_outcome import attempt_outcome
from flywheel.core.diagnosis.internal_error import INTERNAL_ERROR, find_internal_error
from flywheel.core.diagnosis.kueue import diagnose_queue
from flywheel.core.diagnosis.outcome import Outcome
from flywheel.core.diagnosis.workload_diagnosis import Diagnosis, diagnose_workload
from flywheel.core.resource.api import JOB, POD, Manifest, Reference
from flywheel.core.resource.kind import AnyResource, Cluster
from flywheel.core.resource.ownership import controller_of


@dataclass(frozen=True, kw_only=True)
class AttemptState:
    """How an attempt ended, or what keeps it from running. Both are None while it runs, and where it has no Job."""

    outcome: Outcome | None = None
    diagnosis: Diagnosis | None = None
    has_job: bool = False


def read_job(
    job: Manifest,
    pods: Sequence[Manifest],
    cluster: Cluster,
    outcome_of: Callable[[Manifest, Sequence[Manifest]], Outcome | None] = attempt_outcome,
) -> AttemptState:
    """Returns the state of a Job's attempt. `pods` are those of all Jobs of its owner."""
    ours = pods_of_job(job, pods)
    ended = outcome_of(job, ours)
    if ended is not None:
        return AttemptState(outcome=ended, has_job=True)
    internal_error = find_internal_error(ours)
    if internal_error is not None:
        return AttemptState(diagnosis=Diagnosis(INTERNAL_ERROR, internal_error), has_job=True)
    return AttemptState(diagnosis=diagnose_queue(job, cluster) or diagnose_workload(job, ours, cluster), has_job=True)


def find_job(resource: AnyResource, name: str, cluster: Cluster) -> AttemptState:
    """Returns the state of the attempt whose Job has that name."""
    job = cluster.get(Reference(JOB, resource.namespace, name))
    return read_job(job, cluster.children(resource.uid, POD), cluster) if job is not None else AttemptState()


def pods_of_job(job: Manifest, pods: Sequence[Manifest]) -> list[Manifest]:
    """Returns the pods whose controller is this Job, by its uid: labels and names are what anybody may write."""
    return [pod for pod in pods if controller_of(pod).get("uid") == job["metadata"]["uid"]]

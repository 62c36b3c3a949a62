"""What each sort of step becomes, how its result is identified, and how it is read."""

from collections.abc import Mapping
from typing import Any

from flywheel.core.resource.api import EXPERIMENT, JOB, MODEL_VERSION, Reference
from flywheel.core.resource.kind import Cluster
from flywheel.core.resource.plan import Child
from flywheel.kinds.trainingpipeline.schema.steps import Step
from flywheel.kinds.trainingrun.schema import TrainingRun
from flywheel.kinds.trainingrun.steps import jobs, register, train
from flywheel.kinds.trainingrun.steps.attempt import Attempt, AttemptSeen


def attempt_children(attempt: Attempt) -> tuple[Child, ...]:
    """The object that does the work, last, and before it what it needs."""
    if attempt.step.train is not None:
        return (train.experiment(attempt, attempt.step.train),)
    if attempt.step.register_ is not None:
        return register.model_and_version(attempt, attempt.step.register_)
    return jobs.job_and_service(attempt)


def attempt_identity(attempt: Attempt) -> Mapping[str, Any] | str:
    """Everything that decides the result, for the cache; or the reason why the result is never taken from there."""
    if attempt.step.train is not None:
        return train.experiment_identity(attempt, attempt.step.train)
    if attempt.step.register_ is not None:
        return "the Model decides anew"
    if attempt.step.notify is not None:
        return "a notification is a side effect"
    return jobs.job_identity(attempt)


def read_attempt(step: Step | None, run: TrainingRun, name: str, cluster: Cluster) -> AttemptSeen:
    """What is observed of the object of that name. A step that the template does not have was added by the run, and is a Job."""
    kind = step.kind if step is not None else ""
    api = {"train": EXPERIMENT, "register": MODEL_VERSION}.get(kind, JOB)
    found = cluster.get(Reference(api, run.namespace, name))
    if found is None:
        return AttemptSeen(exists=False)
    if kind == "train":
        return train.read_experiment(found)
    return register.read_registration(found, cluster) if kind == "register" else jobs.read_step_job(run, found, cluster)
